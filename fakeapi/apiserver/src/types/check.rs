//! Whether known fields have the JSON type they must have, told in the words of a real server.

use serde_json::{Number, Value};
use thiserror::Error;

use super::{Field, FieldType, Instant, MAX_DEPTH, Special, TypeRef, parse_duration};

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
        /// Path from the root, without positions in lists.
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
    /// Text that does not have the form its field asks for.
    #[error("{path}: {reason}")]
    Text {
        /// Path from the root, without positions in lists.
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
/// The first field, in the order of names, that a real server could not decode.
pub fn check(value: &Value, root: TypeRef) -> Result<(), FieldError> {
    match value {
        Value::Object(_) => Walk { path: Vec::new() }.object(value, root, 0),
        other => Err(FieldError::Root { found: describe(other), expected: go_message(root) }),
    }
}

/// Whether a value stands for a whole list or map, or for one value of the field's type.
#[derive(Clone, Copy)]
enum Whole {
    No,
    List,
    Map,
}

struct Walk<'v> {
    path: Vec<&'v str>,
}

impl<'v> Walk<'v> {
    fn object(&mut self, value: &'v Value, of: TypeRef, depth: usize) -> Result<(), FieldError> {
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
            self.path.push(name);
            self.field(field, value, of, depth)?;
            self.path.pop();
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &Field,
        value: &'v Value,
        owner: TypeRef,
        depth: usize,
    ) -> Result<(), FieldError> {
        match value {
            Value::Null => Ok(()),
            Value::Array(items) if field.repeated => {
                items.iter().try_for_each(|item| self.item(field, item, owner, depth))
            }
            Value::Object(entries) if field.map => entries.iter().try_for_each(|(key, entry)| {
                self.path.push(key);
                self.item(field, entry, owner, depth)?;
                self.path.pop();
                Ok(())
            }),
            value if field.repeated => Err(self.mismatch(field, value, owner, Whole::List)),
            value if field.map => Err(self.mismatch(field, value, owner, Whole::Map)),
            value => self.item(field, value, owner, depth),
        }
    }

    fn item(
        &mut self,
        field: &Field,
        value: &'v Value,
        owner: TypeRef,
        depth: usize,
    ) -> Result<(), FieldError> {
        let fits = match (field.field_type(), value) {
            (_, Value::Null) => true,
            (FieldType::Message(message), Value::Object(_)) => {
                return self.object(value, message, depth + 1);
            }
            (FieldType::Special(special), value) => {
                return self.special(special, field, value, owner, depth);
            }
            (FieldType::Bool, Value::Bool(_)) | (FieldType::String, Value::String(_)) => true,
            (FieldType::Double, Value::Number(_)) => true,
            (FieldType::Int64, Value::Number(number)) => number.as_i64().is_some(),
            (FieldType::Int32, Value::Number(number)) => as_i32(number).is_some(),
            (FieldType::Bytes, Value::String(text)) => return self.bytes(text),
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.mismatch(field, value, owner, Whole::No)) }
    }

    fn special(
        &mut self,
        special: Special,
        field: &Field,
        value: &'v Value,
        owner: TypeRef,
        depth: usize,
    ) -> Result<(), FieldError> {
        let fits = match (special, value) {
            (Special::RawExtension | Special::Json, _) => true,
            (Special::Time | Special::MicroTime, Value::String(text)) => {
                return self.text(Instant::parse(text).is_ok(), || {
                    format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\" failed")
                });
            }
            (Special::Duration, Value::String(text)) => {
                return self.text(parse_duration(text).is_some(), || {
                    format!("time: invalid duration {text:?}")
                });
            }
            (Special::Quantity, Value::String(text)) => {
                return self.text(is_quantity(text), || QUANTITY_RULE.to_owned());
            }
            (Special::Quantity, Value::Number(_)) | (Special::IntOrString, Value::String(_)) => {
                true
            }
            (Special::IntOrString, Value::Number(number)) => as_i32(number).is_some(),
            (Special::Strings, Value::Array(items)) => items.iter().all(is_text_or_null),
            (
                Special::SchemaOrArray(schema)
                | Special::SchemaOrBool(schema)
                | Special::SchemaOrStrings(schema),
                Value::Object(_),
            ) => return self.object(value, schema, depth + 1),
            (Special::SchemaOrArray(schema), Value::Array(items)) => {
                return items.iter().try_for_each(|item| self.object(item, schema, depth + 1));
            }
            (Special::SchemaOrBool(_), Value::Bool(_)) => true,
            (Special::SchemaOrStrings(_), Value::Array(items)) => items.iter().all(is_text_or_null),
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.mismatch(field, value, owner, Whole::No)) }
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
        Err(FieldError::Text { path: self.path.join("."), reason: reason() })
    }

    fn mismatch(&self, field: &Field, value: &Value, owner: TypeRef, whole: Whole) -> FieldError {
        let item = go_type(field.field_type());
        let expected = match whole {
            Whole::List => format!("[]{item}"),
            Whole::Map => format!("map[string]{item}"),
            Whole::No => item,
        };
        FieldError::Type {
            found: describe(value),
            owner: owner.short_name(),
            path: self.path.join("."),
            expected,
        }
    }
}

const QUANTITY_RULE: &str = "quantities must match the regular expression \
    '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// The rule of [`QUANTITY_RULE`].
fn is_quantity(text: &str) -> bool {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let suffix =
        unsigned.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let number = &unsigned[..unsigned.len() - suffix.len()];
    let exponent =
        suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    number.contains(|letter: char| letter.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_text_or_null(value: &Value) -> bool {
    value.is_string() || value.is_null()
}

pub(super) fn as_i32(number: &Number) -> Option<i32> {
    number.as_i64().and_then(|number| i32::try_from(number).ok())
}

/// How Go's decoder names a value.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
            "number".to_owned()
        }
        Value::Number(number) => format!("number {number}"),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
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
            Special::Time => "v1.Time",
            Special::MicroTime => "v1.MicroTime",
            Special::Duration => "v1.Duration",
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
             format!("{go} number into Go struct field ObjectMeta.metadata.labels.a of type string")),
            (json!({ "metadata": { "labels": [] } }),
             format!("{go} array into Go struct field ObjectMeta.metadata.labels of type map[string]string")),
            (json!({ "metadata": { "creationTimestamp": "soon" } }),
             "metadata.creationTimestamp: parsing time \"soon\" as \"2006-01-02T15:04:05Z07:00\" failed"
                .to_owned()),
            (json!({ "spec": { "containers": [{ "resources": { "limits": { "cpu": "x" } } }] } }),
             format!("spec.containers.resources.limits.cpu: {QUANTITY_RULE}")),
            (json!([]), format!("{go} array into Go value of type v1.Pod")),
        ] {
            assert_eq!(told("Pod", &value), text);
        }
        let secret = told("Secret", &json!({ "data": { "a": "*" } }));
        assert!(secret.starts_with("data.a: illegal base64 data"), "{secret}");
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

    #[test]
    fn quantities() {
        for (text, fits) in [
            ("1", true),
            ("-1.5Gi", true),
            ("1e-3", true),
            ("", false),
            (".", false),
            ("1 G", false),
        ] {
            assert_eq!(is_quantity(text), fits, "{text:?}");
        }
    }
}
