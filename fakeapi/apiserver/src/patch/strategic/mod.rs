//! Strategic merge patch: a merge patch that knows which lists are maps or sets in disguise.
//!
//! The schema says how each field merges; the patch can overrule it with directives:
//! `$patch: replace|delete`, `$retainKeys`, `$deleteFromPrimitiveList/<list>` and
//! `$setElementOrder/<list>`. kubectl sends all of them, so order and refusals follow the real
//! implementation step by step:
//!
//! 1. `$patch` decides the whole object at once.
//! 2. `$retainKeys` clears what it does not name.
//! 3. Lists that have a `$setElementOrder` are merged and put into that order.
//! 4. All other fields: null deletes, objects recurse, lists merge or are replaced.
//!
//! Fields the schema does not know merge like a JSON merge patch.

mod directive;
mod list;
mod order;
mod schema;
#[cfg(test)]
mod tests;

pub use schema::{FieldRule, MergeSchema, Strategy};

use serde_json::{Map, Value};

use super::PatchError;
use directive::{DELETE_LIST, MARKER, RETAIN_KEYS, SET_ORDER, settled, settled_members};

type Members = Map<String, Value>;

/// Applies a strategic merge patch; `doc` changes only if the whole patch applies.
///
/// `root` is the schema's type of the document.
///
/// # Errors
/// [`PatchError::Malformed`] for directives of the wrong form, [`PatchError::Unfit`] for lists
/// of lists, [`PatchError::Contradictory`] when list items lack their merge key or the order
/// asked for does not fit the patch.
pub fn strategic<S: MergeSchema + ?Sized>(
    doc: &mut Value,
    patch: &Value,
    schema: &S,
    root: S::Type,
) -> Result<(), PatchError> {
    let patch = match patch {
        Value::Null => return Ok(()),
        Value::Object(patch) => patch.clone(),
        _ => return Err(wrong_root(patch)),
    };
    let Value::Object(original) = doc else {
        return Err(wrong_root(doc));
    };
    *original = Merge { schema }.members(original.clone(), patch, Some(root))?;
    Ok(())
}

fn wrong_root(value: &Value) -> PatchError {
    let kind = directive::json_kind(value);
    PatchError::Malformed(format!(
        "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    ))
}

struct Merge<'s, S: ?Sized> {
    schema: &'s S,
}

impl<S: MergeSchema + ?Sized> Merge<'_, S> {
    fn rule(&self, of: Option<S::Type>, field: &str) -> FieldRule<'_, S::Type> {
        of.and_then(|of| self.schema.field(of, field)).unwrap_or_default()
    }

    /// Merges one object into another of type `of` (`None`: unknown to the schema).
    fn members(
        &self,
        mut original: Members,
        mut patch: Members,
        of: Option<S::Type>,
    ) -> Result<Members, PatchError> {
        if let Some(directive) = patch.get(MARKER) {
            return match directive.as_str() {
                Some("replace") => Ok(settled_members(patch, false)),
                Some("delete") => Ok(Members::new()),
                _ => Err(directive::unknown(directive, &patch)),
            };
        }
        retain_keys(&mut original, &mut patch)?;
        self.ordered_lists(&mut original, &mut patch, of)?;
        for (key, change) in patch {
            match key.strip_prefix(DELETE_LIST) {
                Some(list) => {
                    let list = list.strip_prefix('/').ok_or_else(directive::bad_delete_list)?;
                    delete_from_list(&mut original, list, change)?;
                }
                None => self.member(&mut original, key, change, of)?,
            }
        }
        Ok(original)
    }

    fn member(
        &self,
        original: &mut Members,
        key: String,
        change: Value,
        of: Option<S::Type>,
    ) -> Result<(), PatchError> {
        let rule = self.rule(of, &key);
        let merged = match (original.remove(&key), change) {
            (_, Value::Null) => None,
            (Some(Value::Object(old)), Value::Object(new)) => {
                Some(Value::Object(if rule.strategy == Strategy::Replace {
                    settled_members(new, false)
                } else {
                    self.members(old, new, rule.child)?
                }))
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                Some(Value::Array(self.list(old, new, &rule)?))
            }
            (_, new) => settled(new, true),
        };
        original.extend(merged.map(|value| (key, value)));
        Ok(())
    }

    /// Merges the lists that have a `$setElementOrder` and takes both out of the patch.
    fn ordered_lists(
        &self,
        original: &mut Members,
        patch: &mut Members,
        of: Option<S::Type>,
    ) -> Result<(), PatchError> {
        let keys: Vec<String> =
            patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
        for key in keys {
            let wanted = directive::list(patch.remove(&key).unwrap_or_default())?;
            let field = key[SET_ORDER.len()..].strip_prefix('/');
            let field = field.ok_or_else(directive::bad_set_order)?;
            let rule = self.rule(of, field);
            let old = match original.remove(field) {
                None | Some(Value::Null) => None,
                Some(old) => Some(directive::list(old)?),
            };
            let new = patch.remove(field).map(directive::list).transpose()?;
            if let Some(new) = &new {
                order::check(new, &wanted, rule.merge_key)?;
            }
            let server = order::Positions::after_merge(
                old.as_deref().unwrap_or_default(),
                new.as_deref().unwrap_or_default(),
                rule.merge_key,
            )?;
            let merged = match (old, new) {
                (None, None) => continue,
                (Some(old), None) => old,
                (None, Some(new)) => new.into_iter().filter_map(|v| settled(v, true)).collect(),
                (Some(old), Some(new)) => self.list(old, new, &rule)?,
            };
            let wanted = order::Positions::of(&wanted, rule.merge_key)?;
            let arranged = order::arrange(merged, &wanted, &server, rule.merge_key)?;
            original.insert(field.to_owned(), Value::Array(arranged));
        }
        Ok(())
    }
}

/// `$deleteFromPrimitiveList/<list>` deletes whatever the list's strategy is.
fn delete_from_list(original: &mut Members, list: &str, gone: Value) -> Result<(), PatchError> {
    match (original.get_mut(list), gone) {
        (_, Value::Null) => drop(original.remove(list)),
        (Some(Value::Array(items)), Value::Array(gone)) => list::delete(items, &gone)?,
        _ => {}
    }
    Ok(())
}

/// `$retainKeys` names every member that may stay; the patch must not add another.
fn retain_keys(original: &mut Members, patch: &mut Members) -> Result<(), PatchError> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let retained = retained.as_array().ok_or_else(directive::bad_retain_keys)?;
    let stays = |key: &str| retained.iter().any(|name| name.as_str() == Some(key));
    let free = |key: &str| key.starts_with(DELETE_LIST) || key.starts_with(SET_ORDER);
    if patch.iter().any(|(key, value)| !value.is_null() && !free(key) && !stays(key)) {
        return Err(directive::bad_retain_keys());
    }
    original.retain(|key, _| stays(key));
    Ok(())
}
