//! The release's types as a schema for strategic merge patches.

use super::{FieldRule, MergeSchema, Strategy};
use crate::types::{Field, FieldType, TypeRef, TypeTable};

/// An object of one type, or a map whose values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// An object.
    Object(TypeRef),
    /// A map.
    MapOf(TypeRef),
}

impl MergeSchema for TypeTable {
    type Type = Merged;

    fn field(&self, of: Merged, name: &str) -> Option<FieldRule<'_, Merged>> {
        match of {
            Merged::MapOf(values) => {
                Some(FieldRule { child: Some(Merged::Object(values)), ..FieldRule::default() })
            }
            Merged::Object(object) => object.field(name).map(rule),
        }
    }
}

fn rule(field: &'static Field) -> FieldRule<'static, Merged> {
    let child = match field.field_type() {
        FieldType::Message(message) if field.map => Some(Merged::MapOf(message)),
        FieldType::Message(message) => Some(Merged::Object(message)),
        _ => None,
    };
    let declared = field.patch_strategy;
    let strategy = match (declared.merge, declared.replace, declared.retain_keys) {
        (true, _, true) => Strategy::MergeRetainKeys,
        (true, _, false) => Strategy::Merge,
        (false, true, _) => Strategy::Replace,
        (false, false, true) => Strategy::RetainKeys,
        (false, false, false) => Strategy::Unset,
    };
    FieldRule { child, strategy, merge_key: field.patch_merge_key }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::strategic;
    use super::*;

    #[test]
    fn lists_of_the_release_merge_as_their_types_say() {
        let table = crate::types::table();
        let node = Merged::Object(table.root("", "v1", "Node").unwrap());
        let mut doc = json!({
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "r"}]},
            "metadata": {"labels": {"a": "1", "b": "2"}},
        });
        let patch = json!({
            "spec": {"taints": [{"key": "b", "effect": "NoExecute"}]},
            "status": {"conditions": [{"type": "Ready", "status": "False"}]},
            "metadata": {"labels": {"a": null, "c": "3"}},
        });
        strategic(&mut doc, &patch, table, node).unwrap();
        assert_eq!(
            doc,
            json!({
                "spec": {"taints": [{"key": "b", "effect": "NoExecute"}]},
                "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "r"}]},
                "metadata": {"labels": {"b": "2", "c": "3"}},
            })
        );
    }
}
