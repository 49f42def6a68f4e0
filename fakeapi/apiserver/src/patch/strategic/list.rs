//! Merging two lists: as sets of scalars, or as maps by merge key.

use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};

use serde_json::Value;

use super::directive::{self, MARKER, Shown, settled};
use super::order::{Positions, arrange, identity};
use super::{FieldRule, Merge, MergeSchema, PatchError};

impl<S: MergeSchema + ?Sized> Merge<'_, S> {
    /// Merges `patch` into `original` as the field's rule says.
    pub(super) fn list(
        &self,
        original: Vec<Value>,
        patch: Vec<Value>,
        rule: &FieldRule<'_, S::Type>,
    ) -> Result<Vec<Value>, PatchError> {
        if !rule.strategy.merges() {
            return Ok(patch.into_iter().filter_map(|item| settled(item, false)).collect());
        }
        match element(&original, &patch)? {
            None => Ok(original),
            Some(Value::Object(_)) => self.maps(original, patch, rule),
            Some(_) => scalars(original, patch),
        }
    }

    /// Items are objects that their merge key tells apart.
    fn maps(
        &self,
        original: Vec<Value>,
        patch: Vec<Value>,
        rule: &FieldRule<'_, S::Type>,
    ) -> Result<Vec<Value>, PatchError> {
        let merge_key = rule.merge_key.ok_or_else(|| {
            let text = "cannot merge lists without merge key for struct";
            PatchError::Contradictory(text.to_owned())
        })?;
        let (mut merged, patch) = obey_markers(original, patch, merge_key)?;
        let merge_key = Some(merge_key);
        let server = Positions::of(&merged, merge_key)?;
        let wanted = Positions::of(&patch, merge_key)?;
        let mut added = std::collections::HashMap::new();
        for item in patch {
            let identity = identity(&item, merge_key)?;
            let place = server.get(&identity).or_else(|| added.get(&identity).copied());
            match (place, item) {
                (Some(place), Value::Object(change)) => {
                    let Value::Object(old) = merged[place].take() else {
                        unreachable!("identity() refused all items but objects")
                    };
                    merged[place] = Value::Object(self.members(old, change, rule.child)?);
                }
                (_, item) => {
                    added.insert(identity, merged.len());
                    merged.extend(settled(item, false));
                }
            }
        }
        arrange(merged, &wanted, &server, merge_key)
    }
}

/// Carries out the items that are directives: `$patch: delete` takes the item with the same key
/// out of the original, `$patch: replace` puts the patch in its place.
fn obey_markers(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut gone = HashSet::new();
    let mut replace = false;
    for item in patch {
        match item.get(MARKER) {
            None => plain.push(item),
            Some(marker) => match marker.as_str() {
                Some("delete") => drop(gone.insert(identity(&item, Some(merge_key))?)),
                Some("replace") => replace = true,
                Some("merge") => {
                    let text = "merging lists cannot yet be specified in the patch";
                    return Err(PatchError::Contradictory(text.to_owned()));
                }
                _ => {
                    let members = item.as_object().cloned().unwrap_or_default();
                    return Err(directive::unknown(marker, &members));
                }
            },
        }
    }
    if replace {
        let replaced = plain.into_iter().filter_map(|item| settled(item, false)).collect();
        return Ok((replaced, Vec::new()));
    }
    if !gone.is_empty() {
        let is_gone =
            |item: &Value| identity(item, Some(merge_key)).is_ok_and(|id| gone.contains(&id));
        original.retain(|item| !is_gone(item));
    }
    Ok((original, plain))
}

/// Items are scalars: the list is a set.
fn scalars(original: Vec<Value>, patch: Vec<Value>) -> Result<Vec<Value>, PatchError> {
    let server = Positions::of(&original, None)?;
    let wanted = Positions::of(&patch, None)?;
    let mut seen = HashSet::new();
    let mut merged = original;
    merged.extend(patch);
    merged.retain(|item| seen.insert(item.to_string()));
    arrange(merged, &wanted, &server, None)
}

/// Takes the scalars `gone` out of the list.
pub(super) fn delete(items: &mut Vec<Value>, gone: &[Value]) -> Result<(), PatchError> {
    if let Some(Value::Object(_)) = element(items, gone)? {
        return Err(directive::bad_delete_list());
    }
    let gone: HashSet<String> = gone.iter().map(Value::to_string).collect();
    items.retain(|item| !gone.contains(&item.to_string()));
    Ok(())
}

/// An item that stands for all, after a check that all are of one type and none is a list.
fn element<'a>(original: &'a [Value], patch: &'a [Value]) -> Result<Option<&'a Value>, PatchError> {
    let mut all = original.iter().chain(patch);
    let Some(first) = all.next() else {
        return Ok(None);
    };
    if first.is_array() {
        return Err(PatchError::Unfit("lists of lists are not supported".to_owned()));
    }
    if all.any(|item| kind(item) != kind(first)) {
        let lists = Value::from(vec![Value::from(original), Value::from(patch)]);
        return Err(PatchError::Contradictory(format!(
            "list element types are not identical: {}",
            Shown(&lists)
        )));
    }
    Ok(Some(first))
}

/// Go tells integers from other numbers.
fn kind(value: &Value) -> (Discriminant<Value>, bool) {
    (discriminant(value), value.is_f64())
}
