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
use crate::json::MAX_DEPTH;

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
        return Err(PatchError::TooManyOperations { allowed: MAX_OPERATIONS, got });
    }
    let mut run = Run { doc: doc.clone(), copied: 0, depth: depth(doc) };
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
        malformed(format!("json: cannot unmarshal {found} into Go value of type {wanted}"))
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
    /// No less than the nesting of `doc`.
    depth: usize,
}

impl Run {
    /// One operation. Few and short ones could nest a document deeper than any stack, so the
    /// bound of decoding holds for what they make, too.
    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        let reach = |path: &Option<String>| path.as_deref().map_or(0, |p| p.matches('/').count());
        let from = operation.from.as_ref();
        let moved = from.map_or(0, |_| self.depth.saturating_sub(reach(&operation.from)));
        let carried = moved.max(depth(&operation.value));
        let grown = reach(&operation.path) + carried;
        self.change(operation)?;
        self.depth = self.depth.max(grown);
        if self.depth > MAX_DEPTH {
            self.depth = depth(&self.doc);
        }
        if self.depth > MAX_DEPTH {
            return Err(format!("exceeded max depth of {MAX_DEPTH}"));
        }
        Ok(())
    }

    fn change(&mut self, operation: Operation) -> Result<(), String> {
        let Operation { op, path, from, value } = operation;
        match op.as_deref().unwrap_or("unknown") {
            "add" => self.add(&needed(path, "add", "path")?, value),
            "remove" => self.remove(&needed(path, "remove", "path")?),
            "replace" => self.replace(&needed(path, "replace", "path")?, value),
            "test" => self.test(&needed(path, "test", "path")?, &value),
            "move" => self.shift(&needed(from, "move", "from")?, path),
            "copy" => self.copy(&needed(from, "copy", "from")?, path),
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
        taken.map(drop).map_err(|e| format!("error in remove for path: '{path}': {e}"))
    }

    fn replace(&mut self, path: &str, value: Value) -> Result<(), String> {
        if path.is_empty() {
            if !value.is_object() && !value.is_array() {
                // The slip at the end is the server's own.
                let text = "replace operation value must be object or array: %!w(<nil>)";
                return Err(text.to_owned());
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

    fn shift(&mut self, from: &str, path: Option<String>) -> Result<(), String> {
        let (source, key) = parent(&mut self.doc, from).ok_or_else(|| {
            format!("move operation does not apply: doc is missing from path: {from}: {MISSING}")
        })?;
        let value =
            take(source, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?;
        let path = needed(path, "move", "path")?;
        let (target, key) = parent(&mut self.doc, &path).ok_or_else(|| {
            format!(
                "move operation does not apply: doc is missing destination path: {path}: {MISSING}"
            )
        })?;
        insert(target, &key, value).map_err(|e| format!("error in move for path: '{path}': {e}"))
    }

    fn copy(&mut self, from: &str, path: Option<String>) -> Result<(), String> {
        let (source, key) = parent(&mut self.doc, from).ok_or_else(|| {
            format!("copy operation does not apply: doc is missing from path: {from}: {MISSING}")
        })?;
        let value = look(source, &key)
            .map_err(|e| format!("error in copy for from: '{from}': {e}"))?
            .clone();
        self.copied += if value.is_null() { 0 } else { value.to_string().len() };
        let path = needed(path, "copy", "path")?;
        let (target, key) = parent(&mut self.doc, &path).ok_or_else(|| {
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

/// A member that the operation cannot do without; the server words its absence in three ways.
fn needed(member: Option<String>, op: &str, name: &str) -> Result<String, String> {
    member.ok_or_else(|| {
        let cause = match (op, name) {
            (_, "from") => "operation, missing from field: ",
            ("replace" | "test" | "move", _) => "operation missing path field: ",
            _ => "",
        };
        format!("{op} operation failed to decode {name}: {cause}{MISSING}")
    })
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

/// Levels of lists and objects.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
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
    key.parse()
        .map_err(|_| format!("strconv.Atoi: parsing {}: invalid syntax", crate::names::quote(key)))
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
mod tests;
