//! The server's dialect, operation by operation.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::patch::merge::tests::documents;

#[test]
fn applies() {
    for (doc, patch, expected) in [
        (json!({}), json!([]), json!({})),
        (json!({}), json!([{"op": "add", "path": "/a", "value": 1}]), json!({"a": 1})),
        (
            json!({"a": [1]}),
            json!([{"op": "add", "path": "/a/-", "value": 2}]),
            json!({"a": [1, 2]}),
        ),
        (
            json!({"a": [1]}),
            json!([{"op": "add", "path": "/a/0", "value": 2}]),
            json!({"a": [2, 1]}),
        ),
        (
            json!({"a": [1]}),
            json!([{"op": "add", "path": "/a/-1", "value": 2}]),
            json!({"a": [1, 2]}),
        ),
        (json!({"a": [1, 2]}), json!([{"op": "remove", "path": "/a/-1"}]), json!({"a": [1]})),
        (
            json!({"a/b": {"c~": 1}}),
            json!([{"op": "remove", "path": "/a~1b/c~0"}]),
            json!({"a/b": {}}),
        ),
        (json!({}), json!([{"op": "replace", "path": "/new", "value": 1}]), json!({"new": 1})),
        (
            json!({"a": 1}),
            json!([{"op": "replace", "path": "", "value": {"b": 2}}]),
            json!({"b": 2}),
        ),
        (json!({"a": 1}), json!([{"op": "move", "from": "/a", "path": "/b"}]), json!({"b": 1})),
        (
            json!({"a": [1]}),
            json!([{"op": "copy", "from": "/a", "path": "/b"}]),
            json!({"a": [1], "b": [1]}),
        ),
        (json!({}), json!([{"op": "test", "path": "/a", "value": null}]), json!({})),
        (json!({}), json!([{"op": "test", "path": "/a"}]), json!({})),
        (
            json!({"a": {"b": [1]}}),
            json!([{"op": "test", "path": "/a", "value": {"b": [1]}}]),
            json!({"a": {"b": [1]}}),
        ),
        (json!({"": 1}), json!([{"op": "test", "path": "/", "value": 1}]), json!({"": 1})),
    ] {
        let mut patched = doc.clone();
        json_patch(&mut patched, patch.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{doc} + {patch}: {error}"));
        assert_eq!(patched, expected, "{doc} + {patch}");
    }
}

#[test]
fn refuses_with_the_servers_text_and_changes_nothing() {
    let doc = json!({"a": [1], "b": {"c": 1}, "n": null});
    for (operation, error) in [
        (
            json!({"op": "test", "path": "/b/c", "value": 2}),
            "testing value /b/c failed: test failed",
        ),
        (
            json!({"op": "test", "path": "/x/y", "value": 2}),
            "test operation does not apply: is missing path: /x/y: missing value",
        ),
        (
            json!({"op": "test", "path": "/a/7", "value": 2}),
            "error in test for path: '/a/7': Unable to access invalid index: 7: invalid index referenced",
        ),
        (
            json!({"op": "remove", "path": "/b/x"}),
            "error in remove for path: '/b/x': Unable to remove nonexistent key: x: missing value",
        ),
        (
            json!({"op": "remove", "path": "/a/x"}),
            "error in remove for path: '/a/x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            json!({"op": "remove", "path": "/x/y"}),
            "remove operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (
            json!({"op": "add", "path": "", "value": {}}),
            "add operation does not apply: doc is missing path: \"\": missing value",
        ),
        (
            json!({"op": "add", "path": "/a/3", "value": 1}),
            "error in add for path: '/a/3': Unable to access invalid index: 3: invalid index referenced",
        ),
        (
            json!({"op": "add", "path": "/a/-3", "value": 1}),
            "error in add for path: '/a/-3': Unable to access invalid index: -3: invalid index referenced",
        ),
        (
            json!({"op": "add", "path": "/a/q", "value": 1}),
            "error in add for path: '/a/q': value was not a proper array index: 'q': strconv.Atoi: parsing \"q\": invalid syntax",
        ),
        (
            json!({"op": "add", "path": "/n/q", "value": 1}),
            "add operation does not apply: doc is missing path: \"/n/q\": missing value",
        ),
        (
            json!({"op": "replace", "path": "/a/1", "value": 1}),
            "replace operation does not apply: doc is missing key: /a/1: missing value",
        ),
        (
            json!({"op": "replace", "path": "/x/1", "value": 1}),
            "replace operation does not apply: doc is missing path: /x/1: missing value",
        ),
        (
            json!({"op": "move", "from": "/q", "path": "/z"}),
            "error in move for path: 'q': Unable to remove nonexistent key: q: missing value",
        ),
        (
            json!({"op": "move", "path": "/z"}),
            "move operation failed to decode from: operation, missing from field: missing value",
        ),
        (
            json!({"op": "copy", "from": "/b", "path": "/z/z"}),
            "copy operation does not apply: doc is missing destination path: /z/z: missing value",
        ),
        (json!({"op": "grow", "path": "/z"}), "Unexpected kind: grow"),
        (json!({"path": "/z"}), "Unexpected kind: unknown"),
        (json!({"op": "add", "value": 1}), "add operation failed to decode path: missing value"),
    ] {
        let patch = json!([{"op": "add", "path": "/done", "value": 1}, operation]);
        let mut patched = doc.clone();
        let refusal = json_patch(&mut patched, patch.to_string().as_bytes());
        let refusal = refusal.expect_err(&operation.to_string());
        assert_eq!((refusal.code(), refusal.to_string().as_str()), (422, error));
        assert_eq!(patched, doc, "{operation}");
    }
}

#[test]
fn malformed_patches() {
    for (patch, error) in [
        (
            "{}",
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            "[1]",
            "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp",
        ),
        ("[", "error decoding patch: EOF while parsing a list"),
        (r#"[{"op": 1}]"#, "error decoding patch: json: invalid type"),
    ] {
        let refusal = json_patch(&mut json!({}), patch.as_bytes()).expect_err(patch);
        assert_eq!(refusal.code(), 400);
        assert!(refusal.to_string().starts_with(error), "{patch}: {refusal}");
    }
}

#[test]
fn bounds() {
    let add = r#"{"op":"add","path":"/a","value":1}"#;
    let patch = |n| format!("[{}]", vec![add; n].join(","));
    let mut doc = json!({});
    assert_eq!(json_patch(&mut doc, patch(MAX_OPERATIONS).as_bytes()), Ok(()));
    let refusal = json_patch(&mut doc, patch(MAX_OPERATIONS + 1).as_bytes()).expect_err("over");
    assert_eq!(refusal.code(), 413);
    let text = "The allowed maximum operations in a JSON patch is 10000, got 10001";
    assert_eq!(refusal.to_string(), text);

    let double = r#"{"op":"copy","from":"/a","path":"/a/-"}"#;
    let patch = format!("[{}]", vec![double; 100].join(","));
    let mut doc = json!({"a": ["x"]});
    let refusal = json_patch(&mut doc, patch.as_bytes()).expect_err("grows without end");
    assert!(refusal.to_string().starts_with("Unable to complete the copy"), "{refusal}");
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(doc in documents()) {
        let mut patched = doc.clone();
        prop_assert_eq!(json_patch(&mut patched, b"[]"), Ok(()));
        prop_assert_eq!(patched, doc);
    }

    #[test]
    fn any_path_is_answered(doc in documents(), path in "[/abc01~-]{0,6}", op in 0..6usize) {
        let op = ["add", "remove", "replace", "move", "copy", "test"][op];
        let patch = json!([{"op": op, "path": path, "from": "/a", "value": 1}]).to_string();
        let mut patched = doc.clone();
        if json_patch(&mut patched, patch.as_bytes()).is_err() {
            prop_assert_eq!(patched, doc);
        }
    }
}

#[test]
fn a_document_cannot_be_nested_without_end() {
    let wrap = concat!(
        r#"{"op":"add","path":"/t","value":{}},"#,
        r#"{"op":"move","from":"/a","path":"/t/a"},"#,
        r#"{"op":"move","from":"/t","path":"/a"}"#
    );
    let patch = |n| format!("[{}]", vec![wrap; n].join(","));
    let doc = json!({"a": 1});
    assert_eq!(json_patch(&mut doc.clone(), patch(100).as_bytes()), Ok(()));
    let refusal = json_patch(&mut doc.clone(), patch(3000).as_bytes()).expect_err("deep");
    assert_eq!(refusal.to_string(), "exceeded max depth of 128");

    // Many moves that nest nothing are fine.
    let swing = r#"{"op":"move","from":"/a","path":"/b"},{"op":"move","from":"/b","path":"/a"}"#;
    let patch = format!("[{}]", vec![swing; 1000].join(","));
    assert_eq!(json_patch(&mut doc.clone(), patch.as_bytes()), Ok(()));
}

/// One line a case, answered by evanphx/json-patch 4.13.0, the server's library.
const CASES: &str = include_str!("testdata/cases.jsonl");

#[test]
fn agrees_with_the_real_implementation() {
    let mut wrong = Vec::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).expect("a case a line");
        let mut doc = case["Doc"].clone();
        let ours = json_patch(&mut doc, case["Patch"].to_string().as_bytes());
        let agrees = match (&ours, case["Error"].as_str()) {
            (Ok(()), None) => {
                let result = case["Result"].as_str().expect("a text");
                serde_json::from_str::<Value>(result).expect("JSON") == doc
            }
            (Err(error), Some(text)) => error.to_string() == text,
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{line}\n  ours: {ours:?} {doc}"));
        }
    }
    assert!(CASES.lines().count() > 500);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
