//! JSON merge patch (RFC 7396).

use serde_json::{Map, Value};

use super::PatchError;

/// Merges `patch` into `doc`: members of objects one by one, `null` deletes, all else replaces.
///
/// # Errors
/// [`PatchError::Malformed`] when the patch is a scalar or `null`.
pub fn merge_patch(doc: &mut Value, patch: &Value) -> Result<(), PatchError> {
    match (doc, patch) {
        (Value::Object(doc), Value::Object(patch)) => merge_members(doc, patch),
        (doc, Value::Object(_) | Value::Array(_)) => *doc = without_nulls(patch),
        _ => return Err(PatchError::Malformed("Invalid JSON Patch".to_owned())),
    }
    Ok(())
}

fn merge_members(doc: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, change) in patch {
        if change.is_null() {
            doc.remove(key);
            continue;
        }
        match (doc.get_mut(key), change) {
            (Some(Value::Object(doc)), Value::Object(patch)) => merge_members(doc, patch),
            _ => {
                doc.insert(key.clone(), without_nulls(change));
            }
        }
    }
}

/// The server takes null members out of everything a merge patch adds, even inside lists.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        for (doc, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "foo"}), json!(["c"]), json!(["c"])),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!({"a": 1}), json!({"a": [{"b": null}]}), json!({"a": [{}]})),
        ] {
            let mut merged = doc.clone();
            merge_patch(&mut merged, &patch).expect("applies");
            assert_eq!(merged, expected, "{doc} + {patch}");
        }
        let refusal = merge_patch(&mut json!({}), &json!(3)).expect_err("a scalar");
        assert_eq!((refusal.code(), refusal.to_string().as_str()), (400, "Invalid JSON Patch"));
    }

    /// Small documents over few keys, so that patches meet them.
    pub(in crate::patch) fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
            "[ab]".prop_map(Value::from),
        ];
        let tree = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[abc]", tree, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn an_empty_patch_changes_nothing(doc in documents()) {
            let mut merged = doc.clone();
            merge_patch(&mut merged, &json!({})).expect("applies");
            prop_assert_eq!(merged, doc);
        }

        #[test]
        fn twice_is_once(doc in documents(), patch in documents()) {
            let mut once = doc;
            merge_patch(&mut once, &patch).expect("applies");
            let mut twice = once.clone();
            merge_patch(&mut twice, &patch).expect("applies");
            prop_assert_eq!(twice, once);
        }
    }
}
