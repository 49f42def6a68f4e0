//! Writes an object the way Go's encoder would after decoding it: what is empty and may be
//! omitted is gone, what is not optional is there.
//!
//! A real server decodes every request into a struct and encodes the struct again, so clients see
//! the effect: `"status": {}` appears, `"labels": {}` and `null` disappear.

use serde_json::{Map, Value, json};

use crate::quantity::Quantity;

use super::{
    Field, FieldType, Instant, MAX_DEPTH, Special, TypeRef, format_duration, parse_duration,
    prune::Nested,
};

/// Rewrites `value` as a real server would answer it.
///
/// Expects what [`check`](super::check) accepts and [`prune`](super::prune) has seen; values of
/// another type and unknown fields are left as they are.
pub fn normalize(value: &mut Value, root: TypeRef) {
    object(value, root, 0);
}

fn object(value: &mut Value, of: TypeRef, depth: usize) {
    let Value::Object(fields) = value else { return };
    if depth > MAX_DEPTH {
        return;
    }
    for (name, value) in fields.iter_mut() {
        if let Some(field) = of.field(name) {
            field_value(field, value, depth);
        }
    }
    finish(fields, of);
}

fn field_value(field: &Field, value: &mut Value, depth: usize) {
    match &mut *value {
        Value::Array(items) if field.repeated => {
            for item in items {
                item_value(field, item);
            }
        }
        Value::Object(entries) if field.map => {
            for entry in entries.values_mut() {
                item_value(field, entry);
            }
        }
        Value::Null => {}
        value => special_value(field, value),
    }
    match (Nested::of(field, value), value) {
        (Nested::One(of), value) => object(value, of, depth + 1),
        (Nested::List(of), Value::Array(items)) => {
            for item in items {
                object(item, of, depth + 1);
            }
        }
        (Nested::Map(of), Value::Object(entries)) => {
            for entry in entries.values_mut() {
                object(entry, of, depth + 1);
            }
        }
        _ => {}
    }
}

/// Items of lists and maps are no pointers in Go, so null among them is the zero value.
fn item_value(field: &Field, value: &mut Value) {
    if value.is_null() {
        *value = zero(field.field_type());
    } else {
        special_value(field, value);
    }
}

/// Writes a value of a special type in the form Go gives it.
fn special_value(field: &Field, value: &mut Value) {
    let FieldType::Special(special) = field.field_type() else {
        return;
    };
    let written = match (special, &*value) {
        (Special::Time, Value::String(text)) => {
            Instant::parse(text).ok().map(|time| json!(time.map(Instant::to_text)))
        }
        (Special::MicroTime, Value::String(text)) => {
            Instant::parse(text).ok().map(|time| json!(time.map(Instant::to_micro_text)))
        }
        (Special::Duration, Value::String(text)) => {
            parse_duration(text).map(|nanos| json!(format_duration(nanos)))
        }
        (Special::Quantity, value) => canonical_quantity(value).map(Value::String),
        _ => None,
    };
    if let Some(written) = written {
        *value = written;
    }
}

/// The canonical form of a quantity given as text or number.
pub(crate) fn canonical_quantity(value: &Value) -> Option<String> {
    let parsed = match value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => return None,
    };
    parsed.ok().map(|quantity| quantity.canonical())
}

/// Adds and removes the fields of one object, whose values are finished already.
pub(crate) fn finish(fields: &mut Map<String, Value>, of: TypeRef) {
    for field in of.fields() {
        let empty = match fields.get(field.name) {
            None | Some(Value::Null) => true,
            Some(value) => !field.pointer && is_empty(field, value),
        };
        if !empty {
            continue;
        }
        match absent(field) {
            Some(written) => {
                if fields.get(field.name).is_none_or(Value::is_null) {
                    fields.insert(field.name.to_owned(), written);
                }
            }
            None => {
                fields.remove(field.name);
            }
        }
    }
}

/// What Go writes for a field that has its zero value; nothing when it leaves the field out.
fn absent(field: &Field) -> Option<Value> {
    let structure = !field.repeated && !field.map && !field.pointer && is_struct(field);
    let omitted = field.omit_zero || (field.omit_empty && !structure);
    if omitted {
        return None;
    }
    let nil = field.pointer || field.repeated || field.map;
    Some(if nil { Value::Null } else { zero(field.field_type()) })
}

/// Whether Go's `omitempty` has no effect on the field's type.
fn is_struct(field: &Field) -> bool {
    match field.field_type() {
        FieldType::Message(_) => true,
        FieldType::Special(special) => special != Special::Strings,
        _ => false,
    }
}

/// Whether Go would see the zero value, or an empty list or map.
fn is_empty(field: &Field, value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) if field.map => entries.is_empty(),
        Value::Object(_) => field.omit_zero && *value == zero(field.field_type()),
        // In Go these are bytes, of which the text is only the form in JSON.
        Value::String(text) if field.field_type() == FieldType::Bytes => text.is_empty(),
        value => !field.repeated && !field.map && *value == zero(field.field_type()),
    }
}

/// What Go writes for the zero value of a type.
pub(crate) fn zero(of: FieldType) -> Value {
    match of {
        FieldType::Int32 | FieldType::Int64 | FieldType::Double => json!(0),
        FieldType::Bool => Value::Bool(false),
        FieldType::String => json!(""),
        FieldType::Bytes => Value::Null,
        FieldType::Message(message) => {
            let mut fields = Map::new();
            finish(&mut fields, message);
            Value::Object(fields)
        }
        FieldType::Special(special) => match special {
            Special::Duration => json!("0s"),
            Special::Quantity => json!("0"),
            Special::IntOrString => json!(0),
            Special::SchemaOrBool(_) => Value::Bool(false),
            _ => Value::Null,
        },
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;
    use crate::types::table;

    fn normalized(api_version: &str, kind: &str, mut value: Value) -> Value {
        normalize(&mut value, table().root_of(api_version, kind).expect("a kind"));
        value
    }

    #[test]
    fn writes_like_go() {
        assert_eq!(
            normalized(
                "v1",
                "Pod",
                json!({
                    "metadata": { "name": "a", "labels": {}, "generateName": "",
                        "creationTimestamp": "2020-01-01T02:00:00+02:00" },
                    "spec": { "containers": [{ "name": "c", "image": null,
                        "resources": { "limits": { "cpu": 1 } } }], "priority": 0,
                        "hostNetwork": false },
                }),
            ),
            json!({
                "metadata": { "name": "a", "creationTimestamp": "2020-01-01T00:00:00Z" },
                "spec": { "containers": [{ "name": "c",
                    "resources": { "limits": { "cpu": "1" } } }], "priority": 0 },
                "status": {},
            })
        );
    }

    #[test]
    fn adds_what_is_not_optional() {
        assert_eq!(
            normalized("v1", "Pod", json!({ "spec": {} })),
            json!({ "metadata": {}, "spec": { "containers": null }, "status": {} })
        );
        assert_eq!(
            normalized("rbac.authorization.k8s.io/v1", "ClusterRole", json!({})),
            json!({ "metadata": {}, "rules": null })
        );
    }

    #[test]
    fn is_idempotent_and_keeps_pointers() {
        let deployment = json!({ "spec": { "replicas": 0, "template": { "spec": {
            "automountServiceAccountToken": false, "containers": [null] } } } });
        let once = normalized("apps/v1", "Deployment", deployment);
        assert_eq!(once["spec"]["replicas"], json!(0));
        assert_eq!(once["spec"]["template"]["spec"]["containers"][0]["name"], json!(""));
        assert_eq!(once["spec"]["selector"], Value::Null);
        let twice = normalized("apps/v1", "Deployment", once.clone());
        assert_eq!(once, twice);
    }
}
