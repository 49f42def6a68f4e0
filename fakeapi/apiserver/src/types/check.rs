//! Whether known fields have the JSON type they must have, told in the words of a real server.

use serde_json::{Number, Value};
use thiserror::Error;

use crate::quantity::{Quantity, QuantityError};

use super::{
    Field, FieldType, Instant, Kind, MAX_DEPTH, Special, TypeRef, parse_duration,
    time::{Layout, explain, has_micros},
};

/// A value that cannot be decoded into its field.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FieldError {
    /// Another JSON type is expected. The text is that of Go's decoder, which clients know.
    #[error(
        "json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {expected}"
    )]
    Type {
        /// What was found: `string`, `number 1.5`, `bool`, `array` or `object`.
        found: String,
        /// Short name of the type that has the field.
        owner: &'static str,
        /// Path from the root, without positions in lists and keys of maps.
        path: String,
        /// The Go type of the field.
        expected: String,
    },
    /// The root is no object.
    #[error("json: cannot unmarshal {found} into Go value of type {expected}")]
    Root {
        /// What was found.
        found: String,
        /// The Go type of the root.
        expected: String,
    },
    /// Text that does not have the form its field asks for. Go's decoder does not name the field.
    #[error("{reason}")]
    Text {
        /// Path from the root, without positions in lists and keys of maps.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The value is nested deeper than [`MAX_DEPTH`].
    #[error("json: exceeded max depth")]
    TooDeep,
}

/// Checks every known field of `value`; fields the type does not have are left to
/// [`prune`](super::prune).
///
/// # Errors
///
/// What a real server's decoder would say: the first text without the form its field asks for,
/// or else the first value of another type, in the order of names.
pub fn check(value: &Value, root: TypeRef) -> Result<(), FieldError> {
    if !value.is_object() {
        let found = describe(value, None);
        return Err(FieldError::Root { found, expected: go_message(root) });
    }
    let mut walk = Walk { path: Vec::new(), mismatch: None };
    walk.object(value, root, 0)?;
    walk.mismatch.map_or(Ok(()), Err)
}

/// Whether a value stands for a whole list or map, or for one value of the field's type.
#[derive(Clone, Copy)]
enum Whole {
    No,
    List,
    Map,
}

struct Walk {
    path: Vec<(TypeRef, &'static Field)>,
    /// The first value of another type. Go goes on after it, and tells what else is wrong first.
    mismatch: Option<FieldError>,
}

impl Walk {
    fn object(&mut self, value: &Value, of: TypeRef, depth: usize) -> Result<(), FieldError> {
        if depth > MAX_DEPTH {
            return Err(FieldError::TooDeep);
        }
        let Value::Object(fields) = value else {
            return Ok(());
        };
        for (name, value) in fields {
            let Some(field) = of.field(name) else {
                continue;
            };
            self.path.push((of, field));
            self.field(field, value, depth)?;
            self.path.pop();
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, value: &Value, depth: usize) -> Result<(), FieldError> {
        match value {
            Value::Null => Ok(()),
            Value::Array(items) if field.repeated => {
                items.iter().try_for_each(|item| self.item(field, item, depth))
            }
            Value::Object(entries) if field.map => {
                entries.values().try_for_each(|entry| self.item(field, entry, depth))
            }
            value if field.repeated => {
                self.mismatch(field, value, Whole::List);
                Ok(())
            }
            value if field.map => {
                self.mismatch(field, value, Whole::Map);
                Ok(())
            }
            value => self.item(field, value, depth),
        }
    }

    fn item(&mut self, field: &Field, value: &Value, depth: usize) -> Result<(), FieldError> {
        let fits = match (field.field_type(), value) {
            (_, Value::Null) => return Ok(()),
            (FieldType::Message(message), Value::Object(_)) => {
                return self.object(value, message, depth + 1);
            }
            (FieldType::Special(special), value) => {
                return self.special(special, field, value, depth);
            }
            (FieldType::Bool, Value::Bool(_))
            | (FieldType::String, Value::String(_))
            | (FieldType::Double, Value::Number(_)) => true,
            (FieldType::Int64, Value::Number(number)) => number.as_i64().is_some(),
            (FieldType::Int32, Value::Number(number)) => as_i32(number).is_some(),
            (FieldType::Bytes, Value::String(text)) => return self.bytes(text),
            _ => false,
        };
        if !fits {
            self.mismatch(field, value, Whole::No);
        }
        Ok(())
    }

    fn special(
        &mut self,
        special: Special,
        field: &Field,
        value: &Value,
        depth: usize,
    ) -> Result<(), FieldError> {
        let fits = match (special, value) {
            (Special::RawExtension | Special::Json, _)
            | (Special::Quantity, Value::Number(_))
            | (Special::IntOrString, Value::String(_))
            | (Special::SchemaOrBool(_), Value::Bool(_)) => true,
            (Special::Time, Value::String(text)) => {
                return self.text(Instant::parse(text).is_ok(), || explain(text, Layout::Seconds));
            }
            (Special::MicroTime, Value::String(text)) => {
                let fits = Instant::parse(text).is_ok() && has_micros(text);
                return self.text(fits, || explain(text, Layout::Micros));
            }
            (Special::Duration, Value::String(text)) => {
                return self.text(parse_duration(text).is_some(), || {
                    format!("time: invalid duration {text:?}")
                });
            }
            (Special::Quantity, value) => {
                let parsed = value.as_str().map_or(Err(QuantityError::Format), Quantity::parse);
                return match parsed {
                    Ok(_) => Ok(()),
                    Err(error) => self.text(false, || error.to_string()),
                };
            }
            (Special::IntOrString, Value::Number(number)) => as_i32(number).is_some(),
            (
                Special::SchemaOrArray(schema)
                | Special::SchemaOrBool(schema)
                | Special::SchemaOrStrings(schema),
                Value::Object(_),
            ) => return self.object(value, schema, depth + 1),
            (Special::SchemaOrArray(schema), Value::Array(items)) => {
                return items.iter().try_for_each(|item| self.object(item, schema, depth + 1));
            }
            (Special::Strings | Special::SchemaOrStrings(_), Value::Array(items)) => {
                items.iter().all(is_text_or_null)
            }
            _ => false,
        };
        if !fits {
            self.mismatch(field, value, Whole::No);
        }
        Ok(())
    }

    fn bytes(&self, text: &str) -> Result<(), FieldError> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        match STANDARD.decode(text) {
            Ok(_) => Ok(()),
            Err(error) => self.text(false, || format!("illegal base64 data: {error}")),
        }
    }

    fn text(&self, fits: bool, reason: impl FnOnce() -> String) -> Result<(), FieldError> {
        if fits {
            return Ok(());
        }
        Err(FieldError::Text { path: self.path(), reason: reason() })
    }

    fn mismatch(&mut self, field: &Field, value: &Value, whole: Whole) {
        if self.mismatch.is_some() {
            return;
        }
        let found = describe(value, Some(field.field_type()));
        let owner = self.path.last().map_or("", |(owner, _)| owner.short_name());
        let expected = go_field(field, whole);
        self.mismatch = Some(FieldError::Type { found, owner, path: self.path(), expected });
    }

    /// Names of the fields, with those of embedded messages as Go shows them.
    fn path(&self) -> String {
        let mut names = Vec::new();
        for (owner, field) in &self.path {
            embedding(*owner, field, &mut names);
            names.push(field.name);
        }
        names.join(".")
    }
}

/// Adds the names of the embedded messages between `owner` and one of its fields.
fn embedding(owner: TypeRef, field: &Field, names: &mut Vec<&'static str>) {
    if owner.wire_fields().iter().any(|own| std::ptr::eq(own, field)) {
        return;
    }
    for inline in owner.wire_fields().iter().filter(|own| own.inline) {
        if let Kind::Message(embedded) = inline.kind
            && embedded.field(field.name).is_some_and(|found| std::ptr::eq(found, field))
        {
            names.push(embedded.short_name());
            return embedding(embedded, field, names);
        }
    }
}

fn is_text_or_null(value: &Value) -> bool {
    value.is_string() || value.is_null()
}

pub(super) fn as_i32(number: &Number) -> Option<i32> {
    number.as_i64().and_then(|number| i32::try_from(number).ok())
}

/// How Go's decoder names a value; it shows a number only where another number is expected.
fn describe(value: &Value, expected: Option<FieldType>) -> String {
    let numeric = matches!(
        expected,
        Some(FieldType::Int32 | FieldType::Int64 | FieldType::Special(Special::IntOrString))
    );
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if numeric => format!("number {number}"),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// The Go type of a field, or of one of its items.
fn go_field(field: &Field, whole: Whole) -> String {
    match (whole, field.go_type) {
        (Whole::No, Some(go)) if field.repeated => go.trim_start_matches("[]").to_owned(),
        // A map with a name of its own hides the type of its values.
        (Whole::No, Some(_)) if field.map => go_item(field),
        (_, Some(go)) => go.to_owned(),
        (Whole::No, None) => go_item(field),
        (Whole::List, None) => format!("[]{}", go_item(field)),
        (Whole::Map, None) => format!("map[string]{}", go_item(field)),
    }
}

fn go_item(field: &Field) -> String {
    match (field.field_type(), field.kind) {
        (FieldType::Special(Special::Strings), Kind::Message(list)) => go_message(list),
        (other, _) => go_type(other),
    }
}

fn go_type(of: FieldType) -> String {
    match of {
        FieldType::Int32 => "int32".to_owned(),
        FieldType::Int64 => "int64".to_owned(),
        FieldType::Double => "float64".to_owned(),
        FieldType::Bool => "bool".to_owned(),
        FieldType::String => "string".to_owned(),
        FieldType::Bytes => "[]uint8".to_owned(),
        FieldType::Message(message) => go_message(message),
        FieldType::Special(special) => match special {
            // Their own decoders ask for text first.
            Special::Time | Special::MicroTime | Special::Duration => "string",
            Special::Quantity => "resource.Quantity",
            Special::IntOrString => "intstr.IntOrString",
            Special::RawExtension => "runtime.RawExtension",
            Special::Json => "v1.JSON",
            Special::Strings => "[]string",
            Special::SchemaOrArray(_) => "v1.JSONSchemaPropsOrArray",
            Special::SchemaOrBool(_) => "v1.JSONSchemaPropsOrBool",
            Special::SchemaOrStrings(_) => "v1.JSONSchemaPropsOrStringArray",
        }
        .to_owned(),
    }
}

/// `v1.PodSpec` for `k8s.io.api.core.v1.PodSpec`.
fn go_message(message: TypeRef) -> String {
    let name = message.name();
    match name.rmatch_indices('.').nth(1) {
        Some((position, _)) => name[position + 1..].to_owned(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::table;

    fn told(kind: &str, value: &Value) -> String {
        let root = table().root("", "v1", kind).expect("a kind");
        check(value, root).expect_err("must not fit").to_string()
    }

    #[test]
    fn tells_like_go() {
        let go = "json: cannot unmarshal";
        for (value, text) in [
            (json!({ "spec": { "priority": "1" } }),
             format!("{go} string into Go struct field PodSpec.spec.priority of type int32")),
            (json!({ "spec": { "priority": 1.5 } }),
             format!("{go} number 1.5 into Go struct field PodSpec.spec.priority of type int32")),
            (json!({ "spec": { "containers": {} } }),
             format!("{go} object into Go struct field PodSpec.spec.containers of type []v1.Container")),
            (json!({ "spec": { "containers": [7] } }),
             format!("{go} number into Go struct field PodSpec.spec.containers of type v1.Container")),
            (json!({ "spec": 7 }),
             format!("{go} number into Go struct field Pod.spec of type v1.PodSpec")),
            (json!({ "metadata": { "labels": { "a": 1 } } }),
format!("{go} number into Go struct field ObjectMeta.metadata.labels of type string"),
            ),
            (json!({ "metadata": { "labels": [] } }),
             format!("{go} array into Go struct field ObjectMeta.metadata.labels of type map[string]string")),
            (json!({ "metadata": { "creationTimestamp": "soon" } }),
             "parsing time \"soon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"soon\" as \"2006\""
                .to_owned()),
            (json!({ "spec": { "containers": [{ "resources": { "limits": { "cpu": "x" } } }] } }),
             QuantityError::Format.to_string()),
            (json!([]), format!("{go} array into Go value of type v1.Pod")),
        ] {
            assert_eq!(told("Pod", &value), text);
        }
        let secret = told("Secret", &json!({ "data": { "a": "*" } }));
        assert!(secret.starts_with("illegal base64 data"), "{secret}");
    }

    #[test]
    fn takes_what_go_takes() {
        let root = table().root("", "v1", "Pod").expect("Pod");
        let pod = json!({ "metadata": { "creationTimestamp": null, "unknown": { "a": 1 } }, "spec": {
            "containers": [null, { "livenessProbe": { "httpGet": { "port": "http" }},
            "readinessProbe": { "httpGet": { "port": 80 }},
            "resources": { "limits": { "cpu": 1, "memory": "1.5Gi", "x": "1e3" }}}]}});
        assert_eq!(check(&pod, root), Ok(()));
    }
}
