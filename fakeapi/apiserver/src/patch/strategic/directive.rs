//! The directives of a strategic merge patch, and what is left of a value without them.

use std::fmt;

use serde_json::Value;

use super::{Members, PatchError};

pub(super) const MARKER: &str = "$patch";
pub(super) const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const DELETE_LIST: &str = "$deleteFromPrimitiveList";
pub(super) const SET_ORDER: &str = "$setElementOrder";

/// What a new value leaves in the document: no directives, no nulls.
///
/// With `drop_marked`, objects that carry `$patch` vanish altogether (nothing is there to
/// replace or delete). Without it only the directive itself goes: the real server keeps such an
/// object and loses the directive when it decodes into its types.
pub(super) fn settled(value: Value, drop_marked: bool) -> Option<Value> {
    match value {
        Value::Object(members) if drop_marked && members.contains_key(MARKER) => None,
        Value::Object(members) => Some(Value::Object(settled_members(members, drop_marked))),
        Value::Array(items) => {
            Some(items.into_iter().filter_map(|item| settled(item, drop_marked)).collect())
        }
        scalar => Some(scalar),
    }
}

/// [`settled`] for the members of an object that itself stays.
pub(super) fn settled_members(members: Members, drop_marked: bool) -> Members {
    members
        .into_iter()
        .filter(|(key, value)| !value.is_null() && !is_directive(key))
        .filter_map(|(key, value)| Some((key, settled(value, drop_marked)?)))
        .collect()
}

fn is_directive(key: &str) -> bool {
    let listed = |prefix| key.strip_prefix(prefix).is_some_and(|rest: &str| rest.starts_with('/'));
    key == MARKER || key == RETAIN_KEYS || listed(DELETE_LIST) || listed(SET_ORDER)
}

pub(super) fn unknown(directive: &Value, patch: &Members) -> PatchError {
    let directive = match directive {
        Value::Number(number) if number.is_f64() => format!("%!s(float64={number})"),
        Value::Number(number) => format!("%!s(int64={number})"),
        Value::Bool(truth) => format!("%!s(bool={truth})"),
        Value::Null => "%!s(<nil>)".to_owned(),
        other => Shown(other).to_string(),
    };
    let patch = Value::Object(patch.clone());
    let text = format!("unknown patch type: {directive} in map: {}", Shown(&patch));
    PatchError::Contradictory(text)
}

pub(super) fn bad_delete_list() -> PatchError {
    PatchError::Malformed("invalid patch format of primitive list".to_owned())
}

pub(super) fn bad_set_order() -> PatchError {
    PatchError::Malformed("invalid patch format of setElementOrder list".to_owned())
}

pub(super) fn bad_retain_keys() -> PatchError {
    PatchError::Malformed("invalid patch format of retainKeys".to_owned())
}

pub(super) fn no_merge_key(item: &Value, merge_key: &str) -> PatchError {
    let item = Shown(item);
    PatchError::Contradictory(format!(
        "map: {item} does not contain declared merge key: {merge_key}"
    ))
}

/// The items, when the value is a list.
pub(super) fn list(value: Value) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(wrong_type("[]interface {}", &other)),
    }
}

pub(super) fn wrong_type(expected: &str, found: &Value) -> PatchError {
    let found = match found {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    PatchError::Contradictory(format!("expected a {expected}, but received a {found}"))
}

pub(super) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value as the server prints it inside its texts: `map[a:1 b:[x y]]`.
pub(super) struct Shown<'a>(pub(super) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("<nil>"),
            Value::String(text) => f.write_str(text),
            Value::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{}", if index > 0 { " " } else { "" }, Shown(item))?;
                }
                f.write_str("]")
            }
            Value::Object(members) => {
                f.write_str("map[")?;
                for (index, (key, value)) in members.iter().enumerate() {
                    write!(f, "{}{key}:{}", if index > 0 { " " } else { "" }, Shown(value))?;
                }
                f.write_str("]")
            }
            scalar => write!(f, "{scalar}"),
        }
    }
}
