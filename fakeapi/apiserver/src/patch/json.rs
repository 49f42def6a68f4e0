//! JSON patch (RFC 6902) with the dialect of the real server.
//!
//! The server's library differs from the RFC in ways clients have come to use: `replace` of a
//! missing member adds it, `test` for null passes on a missing member, negative indices count
//! from the end, and the whole document can be replaced but not added to. Its texts name the
//! operation and the path, so they are built here operation by operation; a stock RFC 6902
//! library would refuse other patches with other words.

use serde::Deserialize;
use serde_json::Value;

use super::PatchError;

/// Most operations in one patch; the real server's bound.
pub const MAX_OPERATIONS: usize = 10_000;
/// Most bytes that the `copy` operations of one patch may add together; the real server's
/// bound. Without it a few hundred bytes could double a document a thousand times.
pub const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

const MISSING: &str = "missing value";

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    op: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    value: Value,
}

/// Applies the operations of `patch` in order; `doc` changes only if all of them apply.
///
/// # Errors
/// [`PatchError::Malformed`] when the bytes are no list of operations,
/// [`PatchError::TooManyOperations`] above [`MAX_OPERATIONS`], and [`PatchError::Unfit`] when
/// one operation does not apply or its test fails.
pub fn json_patch(doc: &mut Value, patch: &[u8]) -> Result<(), PatchError> {
    let operations = decode(patch)?;
    if operations.len() > MAX_OPERATIONS {
        let got = operations.len();
        return Err(PatchError::TooManyOperations {
            allowed: MAX_OPERATIONS,
            got,
        });
    }
    let mut run = Run {
        doc: doc.clone(),
        copied: 0,
    };
    for operation in operations {
        run.apply(operation).map_err(PatchError::Unfit)?;
    }
    *doc = run.doc;
    Ok(())
}

fn decode(patch: &[u8]) -> Result<Vec<Operation>, PatchError> {
    let malformed = |text: String| PatchError::Malformed(format!("error decoding patch: {text}"));
    let patch: Value = serde_json::from_slice(patch).map_err(|e| malformed(e.to_string()))?;
    let wrong = |found, wanted| {
        malformed(format!(
            "json: cannot unmarshal {found} into Go value of type {wanted}"
        ))
    };
    let items = match patch {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        other => return Err(wrong(kind(&other), "[]handlers.jsonPatchOp")),
    };
    items
        .into_iter()
        .map(|item| match item {
            Value::Object(_) => {
                serde_json::from_value(item).map_err(|error| malformed(format!("json: {error}")))
            }
            other => Err(wrong(kind(&other), "handlers.jsonPatchOp")),
        })
        .collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

struct Run {
    doc: Value,
    copied: usize,
}

impl Run {
    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        let Operation {
            op,
            path,
            from,
            value,
        } = operation;
        match op.as_deref().unwrap_or("unknown") {
            "add" => self.add(&needed(path, "add", "path")?, value),
            "remove" => self.remove(&needed(path, "remove", "path")?),
            "replace" => self.replace(&needed(path, "replace", "path")?, value),
            "test" => self.test(&needed(path, "test", "path")?, &value),
            "move" => {
                let from = needed(from, "move", "from")?;
                self.shift(&from, &needed(path, "move", "path")?)
            }
            "copy" => {
                let from = needed(from, "copy", "from")?;
                self.copy(&from, &needed(path, "copy", "path")?)
            }
            other => Err(format!("Unexpected kind: {other}")),
        }
    }

    fn add(&mut self, path: &str, value: Value) -> Result<(), String> {
        let (parent, key) = parent(&mut self.doc, path).ok_or_else(|| {
            format!("add operation does not apply: doc is missing path: \"{path}\": {MISSING}")
        })?;
        insert(parent, &key, value).map_err(|e| format!("error in add for path: '{path}': {e}"))
    }

    fn remove(&mut self, path: &str) -> Result<(), String> {
        let (parent, key) = parent(&mut self.doc, path).ok_or_else(|| {
            format!("remove operation does not apply: doc is missing path: \"{path}\": {MISSING}")
        })?;
        let taken = take(parent, &key);
        taken
            .map(drop)
            .map_err(|e| format!("error in remove for path: '{path}': {e}"))
    }

    fn replace(&mut self, path: &str, value: Value) -> Result<(), String> {
        if path.is_empty() {
            if !value.is_object() && !value.is_array() {
                return Err("replace operation value must be object or array".to_owned());
            }
            self.doc = value;
            return Ok(());
        }
        let missing = |what| {
            format!("replace operation does not apply: doc is missing {what}: {path}: {MISSING}")
        };
        match parent(&mut self.doc, path).ok_or_else(|| missing("path"))? {
            (Value::Array(items), key) => {
                let index = position(&key, items.len()).map_err(|_| missing("key"))?;
                items[index] = value;
            }
            (members, key) => members[key] = value,
        }
        Ok(())
    }

    fn test(&mut self, path: &str, expected: &Value) -> Result<(), String> {
        let found = if path.is_empty() {
            &self.doc
        } else {
            let (parent, key) = parent(&mut self.doc, path).ok_or_else(|| {
                format!("test operation does not apply: is missing path: {path}: {MISSING}")
            })?;
            look(parent, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?
        };
        if found == expected {
            return Ok(());
        }
        Err(format!("testing value {path} failed: test failed"))
    }

    fn shift(&mut self, from: &str, path: &str) -> Result<(), String> {
        let (source, key) = parent(&mut self.doc, from).ok_or_else(|| {
            format!("move operation does not apply: doc is missing from path: {from}: {MISSING}")
        })?;
        let value =
            take(source, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?;
        let (target, key) = parent(&mut self.doc, path).ok_or_else(|| {
            format!(
                "move operation does not apply: doc is missing destination path: {path}: {MISSING}"
            )
        })?;
        insert(target, &key, value).map_err(|e| format!("error in move for path: '{path}': {e}"))
    }

    fn copy(&mut self, from: &str, path: &str) -> Result<(), String> {
        let (source, key) = parent(&mut self.doc, from).ok_or_else(|| {
            format!("copy operation does not apply: doc is missing from path: {from}: {MISSING}")
        })?;
        let value = look(source, &key)
            .map_err(|e| format!("error in copy for from: '{from}': {e}"))?
            .clone();
        self.copied += if value.is_null() {
            0
        } else {
            value.to_string().len()
        };
        let (target, key) = parent(&mut self.doc, path).ok_or_else(|| {
            format!(
                "copy operation does not apply: doc is missing destination path: {path}: {MISSING}"
            )
        })?;
        if self.copied > MAX_COPIED_BYTES {
            return Err(format!(
                "Unable to complete the copy, the accumulated size increase of copy is {}, \
                 exceeding the limit {MAX_COPIED_BYTES}",
                self.copied
            ));
        }
        insert(target, &key, value)
            .map_err(|e| format!("error while adding value during copy: {e}"))
    }
}

fn needed(member: Option<String>, op: &str, name: &str) -> Result<String, String> {
    member.ok_or_else(|| format!("{op} operation failed to decode {name}: {MISSING}"))
}

/// The object or list that holds the last step of `path`, and that step. What stands before
/// the first slash is not looked at, as in the server.
fn parent<'a>(doc: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (_, pointer) = path.split_once('/')?;
    let mut steps = pointer.split('/').map(unescape);
    let mut last = steps.next()?;
    let mut current = doc;
    for step in steps {
        current = match current {
            Value::Array(items) => {
                let index = position(&last, items.len()).ok()?;
                &mut items[index]
            }
            Value::Object(members) => members.get_mut(&last)?,
            _ => return None,
        };
        last = step;
    }
    matches!(current, Value::Array(_) | Value::Object(_)).then_some((current, last))
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

fn look<'a>(parent: &'a Value, key: &str) -> Result<&'a Value, String> {
    match parent {
        Value::Array(items) => Ok(&items[position(key, items.len())?]),
        members => Ok(members.get(key).unwrap_or(&Value::Null)),
    }
}

fn take(parent: &mut Value, key: &str) -> Result<Value, String> {
    match parent {
        Value::Array(items) => Ok(items.remove(position(key, items.len())?)),
        members => members
            .as_object_mut()
            .and_then(|members| members.remove(key))
            .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: {MISSING}")),
    }
}

fn insert(parent: &mut Value, key: &str, value: Value) -> Result<(), String> {
    match parent {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let index = number(key)
                .map_err(|e| format!("value was not a proper array index: '{key}': {e}"))?;
            let index = from_end(index, items.len() + 1)?;
            items.insert(index, value);
        }
        members => members[key] = value,
    }
    Ok(())
}

/// The place of an element that exists.
fn position(key: &str, len: usize) -> Result<usize, String> {
    from_end(number(key)?, len)
}

fn number(key: &str) -> Result<i64, String> {
    key.parse().map_err(|_| {
        format!(
            "strconv.Atoi: parsing {}: invalid syntax",
            crate::names::quote(key)
        )
    })
}

fn from_end(index: i64, len: usize) -> Result<usize, String> {
    let distance = usize::try_from(index.unsigned_abs()).ok();
    let place = match distance {
        Some(distance) if index < 0 => len.checked_sub(distance),
        Some(distance) => (distance < len).then_some(distance),
        None => None,
    };
    place
        .ok_or_else(|| format!("Unable to access invalid index: {index}: invalid index referenced"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::merge::tests::documents;
    use super::*;

    #[test]
    fn applies() {
        for (doc, patch, expected) in [
            (json!({}), json!([]), json!({})),
            (
                json!({}),
                json!([{"op": "add", "path": "/a", "value": 1}]),
                json!({"a": 1}),
            ),
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
            (
                json!({"a": [1, 2]}),
                json!([{"op": "remove", "path": "/a/-1"}]),
                json!({"a": [1]}),
            ),
            (
                json!({"a/b": {"c~": 1}}),
                json!([{"op": "remove", "path": "/a~1b/c~0"}]),
                json!({"a/b": {}}),
            ),
            (
                json!({}),
                json!([{"op": "replace", "path": "/new", "value": 1}]),
                json!({"new": 1}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "replace", "path": "", "value": {"b": 2}}]),
                json!({"b": 2}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "move", "from": "/a", "path": "/b"}]),
                json!({"b": 1}),
            ),
            (
                json!({"a": [1]}),
                json!([{"op": "copy", "from": "/a", "path": "/b"}]),
                json!({"a": [1], "b": [1]}),
            ),
            (
                json!({}),
                json!([{"op": "test", "path": "/a", "value": null}]),
                json!({}),
            ),
            (json!({}), json!([{"op": "test", "path": "/a"}]), json!({})),
            (
                json!({"a": {"b": [1]}}),
                json!([{"op": "test", "path": "/a", "value": {"b": [1]}}]),
                json!({"a": {"b": [1]}}),
            ),
            (
                json!({"": 1}),
                json!([{"op": "test", "path": "/", "value": 1}]),
                json!({"": 1}),
            ),
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
                "move operation failed to decode from: missing value",
            ),
            (
                json!({"op": "copy", "from": "/b", "path": "/z/z"}),
                "copy operation does not apply: doc is missing destination path: /z/z: missing value",
            ),
            (json!({"op": "grow", "path": "/z"}), "Unexpected kind: grow"),
            (json!({"path": "/z"}), "Unexpected kind: unknown"),
            (
                json!({"op": "add", "value": 1}),
                "add operation failed to decode path: missing value",
            ),
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
        assert_eq!(
            json_patch(&mut doc, patch(MAX_OPERATIONS).as_bytes()),
            Ok(())
        );
        let refusal = json_patch(&mut doc, patch(MAX_OPERATIONS + 1).as_bytes()).expect_err("over");
        assert_eq!(refusal.code(), 413);
        let text = "The allowed maximum operations in a JSON patch is 10000, got 10001";
        assert_eq!(refusal.to_string(), text);

        let double = r#"{"op":"copy","from":"/a","path":"/a/-"}"#;
        let patch = format!("[{}]", vec![double; 100].join(","));
        let mut doc = json!({"a": ["x"]});
        let refusal = json_patch(&mut doc, patch.as_bytes()).expect_err("grows without end");
        assert!(
            refusal
                .to_string()
                .starts_with("Unable to complete the copy"),
            "{refusal}"
        );
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
}
