//! Fields a type does not have: reported, and removed as a real server drops them when it decodes.

use std::fmt::Write as _;

use serde_json::Value;

use super::{FieldType, MAX_DEPTH, Special, TypeRef};

/// Unknown fields a walk reports at most, as many as a real server does.
pub const MAX_REPORTED_FIELDS: usize = 100;

/// Names the fields of `value` that its type does not have, as `unknown field "spec.foo"`.
///
/// The paths are those of a real server's strict decoding: `spec.containers[0].foo`. Like that,
/// it does not look into the schemas of a CRD where something else may stand for a schema.
pub fn unknown_fields(value: &Value, root: TypeRef) -> Vec<String> {
    let mut found = Vec::new();
    Search { path: String::new(), found: &mut found }.object(value, root, 0);
    found
}

/// Removes every field of `value` that its type does not have; the answer is that of
/// [`unknown_fields`].
pub fn prune(value: &mut Value, root: TypeRef) -> Vec<String> {
    let found = unknown_fields(value, root);
    remove(value, root, 0);
    found
}

/// What a field's value holds that has fields of its own.
#[derive(Clone, Copy)]
pub(super) enum Nested {
    Nothing,
    One(TypeRef),
    List(TypeRef),
    Map(TypeRef),
}

impl Nested {
    /// Looks at the value only where the type allows more than one form.
    pub(super) fn of(field: &super::Field, value: &Value) -> Self {
        let inner = match field.field_type() {
            FieldType::Message(message) => message,
            FieldType::Special(
                Special::SchemaOrArray(schema)
                | Special::SchemaOrBool(schema)
                | Special::SchemaOrStrings(schema),
            ) => {
                return match value {
                    _ if field.map => Self::Map(schema),
                    Value::Object(_) => Self::One(schema),
                    Value::Array(_) => Self::List(schema),
                    _ => Self::Nothing,
                };
            }
            _ => return Self::Nothing,
        };
        if field.repeated {
            Self::List(inner)
        } else if field.map {
            Self::Map(inner)
        } else {
            Self::One(inner)
        }
    }
}

struct Search<'f> {
    path: String,
    found: &'f mut Vec<String>,
}

impl Search<'_> {
    fn object(&mut self, value: &Value, of: TypeRef, depth: usize) {
        let Value::Object(fields) = value else { return };
        if depth > MAX_DEPTH {
            return;
        }
        for (name, value) in fields {
            if self.found.len() >= MAX_REPORTED_FIELDS {
                return;
            }
            let length = self.enter(name);
            match of.field(name) {
                None => self.found.push(format!("unknown field \"{}\"", self.path)),
                // A schema among other things has a decoder of its own, which is never strict.
                Some(field) if matches!(field.field_type(), FieldType::Special(_)) => {}
                Some(field) => self.nested(value, Nested::of(field, value), depth),
            }
            self.path.truncate(length);
        }
    }

    fn nested(&mut self, value: &Value, nested: Nested, depth: usize) {
        match (nested, value) {
            (Nested::One(of), value) => self.object(value, of, depth + 1),
            (Nested::List(of), Value::Array(items)) => {
                for (position, item) in items.iter().enumerate() {
                    let length = self.path.len();
                    write!(self.path, "[{position}]").expect("writing to a string cannot fail");
                    self.object(item, of, depth + 1);
                    self.path.truncate(length);
                }
            }
            (Nested::Map(of), Value::Object(entries)) => {
                for (key, entry) in entries {
                    let length = self.enter(key);
                    self.object(entry, of, depth + 1);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// Appends a name to the path and returns the length to go back to.
    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }
}

fn remove(value: &mut Value, of: TypeRef, depth: usize) {
    let Value::Object(fields) = value else { return };
    if depth > MAX_DEPTH {
        return;
    }
    fields.retain(|name, value| {
        let Some(field) = of.field(name) else {
            return false;
        };
        match (Nested::of(field, value), value) {
            (Nested::One(of), value) => remove(value, of, depth + 1),
            (Nested::List(of), Value::Array(items)) => {
                for item in items {
                    remove(item, of, depth + 1);
                }
            }
            (Nested::Map(of), Value::Object(entries)) => {
                for entry in entries.values_mut() {
                    remove(entry, of, depth + 1);
                }
            }
            _ => {}
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::table;

    #[test]
    fn names_and_removes_unknown_fields() {
        let root = table().root("", "v1", "Pod").expect("Pod");
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "extra": 1,
            "metadata": { "name": "a", "labels": { "any": "thing" }, "foo": {} },
            "spec": {
                "containers": [{ "name": "c" }, { "name": "d", "Image": "x", "resources": {
                    "limits": { "cpu": "1" }, "bar": 1 } }],
                "volumes": [{ "name": "v", "emptyDir": { "x": 1 }, "volumeSource": {} }],
            },
        });
        let expected = [
            "unknown field \"extra\"",
            "unknown field \"metadata.foo\"",
            "unknown field \"spec.containers[1].Image\"",
            "unknown field \"spec.containers[1].resources.bar\"",
            "unknown field \"spec.volumes[0].emptyDir.x\"",
            "unknown field \"spec.volumes[0].volumeSource\"",
        ];
        assert_eq!(unknown_fields(&pod, root), expected);
        assert_eq!(prune(&mut pod, root), expected);
        assert_eq!(
            pod,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "a", "labels": { "any": "thing" } },
                "spec": {
                    "containers": [{ "name": "c" },
                        { "name": "d", "resources": { "limits": { "cpu": "1" } } }],
                    "volumes": [{ "name": "v", "emptyDir": {} }],
                },
            })
        );
    }

    #[test]
    fn looks_into_maps_and_schemas_but_not_into_raw_values() {
        let root = table()
            .root("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
            .expect("CustomResourceDefinition");
        let crd = json!({ "spec": { "versions": [{ "schema": { "openAPIV3Schema": {
            "default": { "anything": true },
            "properties": { "a": { "tpye": 1, "items": { "tpye": "string" } } },
            "additionalProperties": { "oops": 1 },
        } } }] } });
        let schema = "spec.versions[0].schema.openAPIV3Schema";
        let mut pruned = crd.clone();
        assert_eq!(
            prune(&mut pruned, root),
            [format!("unknown field \"{schema}.properties.a.tpye\"")]
        );
        let schema = &pruned["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(
            *schema,
            json!({
                "default": { "anything": true },
                "properties": { "a": { "items": {} } },
                "additionalProperties": {},
            })
        );
    }

    #[test]
    fn the_report_is_bounded() {
        let root = table().root("", "v1", "Pod").expect("Pod");
        let many: serde_json::Map<_, _> =
            (0..1000).map(|number| (format!("x{number}"), json!(1))).collect();
        let mut pod = Value::Object(many);
        assert_eq!(prune(&mut pod, root).len(), MAX_REPORTED_FIELDS);
        assert_eq!(pod, json!({}), "all are removed, reported or not");
    }
}
