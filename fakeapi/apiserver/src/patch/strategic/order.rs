//! The order of a merged list.
//!
//! Three orders meet: the one the patch asks for, the one the document had, and the items the
//! patch does not name. The first two are both kept, and the rest is woven in where the
//! document's order allows.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::PatchError;
use super::directive::{self, MARKER, SET_ORDER, Shown};

/// What tells an item apart: the value of its merge key, or itself.
pub(super) fn identity(item: &Value, merge_key: Option<&str>) -> Result<String, PatchError> {
    let Some(merge_key) = merge_key else {
        return Ok(item.to_string());
    };
    match item {
        Value::Object(members) => {
            let value = members.get(merge_key);
            value.map(Value::to_string).ok_or_else(|| directive::no_merge_key(item, merge_key))
        }
        other => Err(directive::wrong_type("map[string]interface {}", other)),
    }
}

/// Where each identity stands in a list, first occurrence.
pub(super) struct Positions(HashMap<String, usize>);

impl Positions {
    pub(super) fn of(list: &[Value], merge_key: Option<&str>) -> Result<Self, PatchError> {
        let mut positions = HashMap::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            positions.entry(identity(item, merge_key)?).or_insert(index);
        }
        Ok(Self(positions))
    }

    /// The order of `old` as the real implementation sees it after it merged `new` into it.
    ///
    /// It edits the list in place and reads the order afterwards: items that the patch adds
    /// take the places that its deletions freed, so as many of them count as known, last.
    pub(super) fn after_merge(
        old: &[Value],
        new: &[Value],
        merge_key: Option<&str>,
    ) -> Result<Self, PatchError> {
        let mut positions = Self::of(old, merge_key)?;
        let Some(_) = merge_key else {
            return Ok(positions);
        };
        let marked = |item: &Value, directive| item.get(MARKER).is_some_and(|d| d == directive);
        if new.iter().any(|item| marked(item, "replace")) {
            return Ok(positions);
        }
        let mut gone = HashSet::new();
        for item in new.iter().filter(|item| marked(item, "delete")) {
            gone.insert(identity(item, merge_key)?);
        }
        let mut freed = 0;
        for item in old {
            freed += usize::from(gone.contains(&identity(item, merge_key)?));
        }
        positions.0.retain(|identity, _| !gone.contains(identity));
        for item in new.iter().filter(|item| item.get(MARKER).is_none()) {
            let identity = identity(item, merge_key)?;
            if freed > 0 && positions.get(&identity).is_none() {
                positions.0.insert(identity, old.len() + new.len() - freed);
                freed -= 1;
            }
        }
        Ok(positions)
    }

    pub(super) fn get(&self, identity: &str) -> Option<usize> {
        self.0.get(identity).copied()
    }
}

/// The items with those named in `wanted` in that order, the others in the order of `server`,
/// woven together so that a pair known to `server` stays in its order if it can.
pub(super) fn arrange(
    items: Vec<Value>,
    wanted: &Positions,
    server: &Positions,
    merge_key: Option<&str>,
) -> Result<Vec<Value>, PatchError> {
    let mut named = Vec::new();
    let mut others = Vec::new();
    for item in items {
        let identity = identity(&item, merge_key)?;
        let at = server.get(&identity);
        match wanted.get(&identity) {
            Some(place) => named.push((place, at, item)),
            None => others.push((at, item)),
        }
    }
    named.sort_by_key(|(place, ..)| *place);
    others.sort_by_key(|(at, _)| at.unwrap_or(usize::MAX));

    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, at, item) in named {
        let comes_first = |other: &(Option<usize>, Value)| {
            other.0.zip(at).is_some_and(|(other, own)| other < own)
        };
        while let Some((_, other)) = others.next_if(comes_first) {
            arranged.push(other);
        }
        arranged.push(item);
    }
    arranged.extend(others.map(|(_, item)| item));
    Ok(arranged)
}

/// Checks that the items of the patch (those to be deleted aside) appear in the order asked
/// for, and only such.
pub(super) fn check(
    patch: &[Value],
    wanted: &[Value],
    merge_key: Option<&str>,
) -> Result<(), PatchError> {
    if patch.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let mut places = wanted.iter();
    let deleted = |item: &Value| item.get(MARKER).is_some_and(|marker| marker == "delete");
    for item in patch.iter().filter(|item| !deleted(item)) {
        if item.get(MARKER).is_some() {
            // Skipped like the real one does: only while there are places left.
            if places.as_slice().is_empty() {
                return Err(mismatch(patch, wanted));
            }
            continue;
        }
        let sought = identity(item, merge_key)?;
        let mut found = false;
        while !found {
            let Some(place) = places.next() else {
                return Err(mismatch(patch, wanted));
            };
            found = identity(place, merge_key)? == sought;
        }
    }
    Ok(())
}

fn mismatch(patch: &[Value], wanted: &[Value]) -> PatchError {
    let patch = Value::from(patch);
    let wanted = Value::from(wanted);
    PatchError::Contradictory(format!(
        "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
        Shown(&patch),
        Shown(&wanted)
    ))
}
