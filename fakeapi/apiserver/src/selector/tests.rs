//! Judged by `labels`, `fields` and the name checks of apimachinery 0.36.3.

use serde_json::{Value, json};

use super::{FieldSelector, LabelSelector};
use crate::names;

const CASES: &str = include_str!("testdata/cases.jsonl");

#[test]
fn agrees_with_the_real_implementation() {
    let mut wrong = Vec::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).expect("a case a line");
        let text = case["Text"].as_str().expect("a text");
        let ours = match case["What"].as_str() {
            Some("label") => LabelSelector::parse(text).map(|s| s.to_string()),
            Some("field") => FieldSelector::parse(text).map(|s| s.to_string()),
            _ => Ok(faults(text)),
        };
        let theirs = match case["Error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(case["Result"].as_str().unwrap_or_default().to_owned()),
        };
        if ours.clone().map_err(|error| error.to_string()) != theirs {
            wrong.push(format!("{line}\n  ours: {ours:?}"));
        }
    }
    assert!(CASES.lines().count() > 1000);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The complaints of four checks; Go writes an empty list as null.
fn faults(text: &str) -> String {
    let checks =
        [names::qualified_name, names::label_value, names::dns1123_label, names::dns1123_subdomain];
    let all: Vec<Value> = checks
        .iter()
        .map(|check| check(text))
        .map(|faults| if faults.is_empty() { Value::Null } else { json!(faults) })
        .collect();
    json!(all).to_string()
}
