//! Judged by sigs.k8s.io/yaml 1.6.0: `testdata/cases.jsonl` holds documents, the values it
//! reads them as, and its complaints. Errors of syntax are compared as such, not by text.
//!
//! Left out, because they differ: numbers as keys that are no 64 bit integers, tabs before the
//! first key, and the line breaks U+0085 and U+2028 of YAML 1.1.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CASES: &str = include_str!("testdata/cases.jsonl");

#[test]
fn agrees_with_the_real_implementation() {
    let mut wrong = Vec::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).expect("a case a line");
        let document = case["yaml"].as_str().expect("a text");
        let decoded = decode(document.as_bytes());
        let agrees = match (&decoded, case.get("error")) {
            (Err(_), Some(_)) => true,
            (Ok(decoded), None) => {
                let strict = to_json(document.as_bytes()).err().map(|error| error.to_string());
                // The lines of what `<<` brings in are not kept.
                let same = if document.contains("<<") {
                    strict.is_some() == case["strict"].is_string()
                } else {
                    strict.as_deref() == case["strict"].as_str()
                };
                same && written(&decoded.value) == written(&case["value"])
            }
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{line}\n  ours: {decoded:?}"));
        }
    }
    assert!(CASES.lines().count() > 300);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Numbers beyond 64 bits may be written in two ways, and the last digit of a fraction depends
/// on the decoder of this file.
fn written(value: &Value) -> String {
    match value {
        Value::Number(number) if !number.is_i64() => {
            format!("{:.12e}", number.as_f64().unwrap_or(f64::NAN))
        }
        Value::Array(items) => items.iter().map(written).collect::<Vec<_>>().join(","),
        Value::Object(members) => {
            let pair = |(key, value): (&String, &Value)| format!("{key}={}", written(value));
            members.iter().map(pair).collect::<Vec<_>>().join(";")
        }
        other => other.to_string(),
    }
}

#[test]
fn bounds() {
    let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(decode(nest(100).as_bytes()).is_ok());
    let refusal = decode(nest(MAX_DEPTH + 2).as_bytes()).expect_err("deep").to_string();
    assert_eq!(refusal, "yaml: exceeded max depth of 128");
    let laughs: String = (1..40).fold("a0: &a0 x\n".to_owned(), |text, n| {
        let before = format!("*a{0}, *a{0}", n - 1);
        text + &format!("a{n}: &a{n} [{before}]\n")
    });
    let refusal = decode(laughs.as_bytes()).expect_err("grows").to_string();
    assert_eq!(refusal, "yaml: document contains excessive aliasing");
    assert!(matches!(decode(b"a: \xff"), Err(YamlError::Encoding(_))));
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "[a-c:\\-\\[\\]{}&*!?|>'\" \n,#%0-9]{0,40}") {
        let _answered = decode(text.as_bytes());
    }

    #[test]
    fn json_is_yaml(a in any::<i64>(), b in "[ -~]{0,12}", c in any::<bool>()) {
        let document = json!({"a": a, "b": b, "c": [c, null, {"d": b}]});
        let read = to_json(document.to_string().as_bytes()).expect("JSON");
        prop_assert_eq!(read, document);
    }
}
