//! Where a changed object is stored: the one place that knows that some changes are ends.

use std::sync::Arc;

use serde_json::Value;

use super::strategy::metadata;
use super::update::is_finished;
use crate::storage::{CommitError, Entry, Expect, Key, Object, Storage};

/// What became of an object that was written.
#[derive(Debug)]
pub(super) enum Stored {
    /// It is there in its new form.
    Kept(Arc<Object>),
    /// It is gone: it was to be deleted and nothing holds it any more. This was its last state.
    Gone(Arc<Object>),
}

impl Stored {
    pub(super) fn object(&self) -> &Arc<Object> {
        match self {
            Self::Kept(object) | Self::Gone(object) => object,
        }
    }
}

/// Stores `value` in place of `current`, or removes the object when `value` is finished.
///
/// Whoever gets [`Stored::Gone`] must tell [`super::garbage::after`].
///
/// # Errors
/// [`CommitError::Changed`] or [`CommitError::Missing`] when another write came between.
pub(super) fn replace(
    storage: &dyn Storage,
    key: &Key,
    current: &Object,
    value: &mut Value,
) -> Result<Stored, CommitError> {
    if is_finished(value) {
        return remove(storage, key, current, value).map(Stored::Gone);
    }
    let mut encode = |revision: u64| at(value, revision);
    let expect = Expect::Revision(current.meta.resource_version);
    storage.commit(key, expect, Entry::Put(&mut encode)).map(Stored::Kept)
}

/// Removes an object whose last state is `value`.
///
/// # Errors
/// As [`replace`].
pub(super) fn remove(
    storage: &dyn Storage,
    key: &Key,
    current: &Object,
    value: &mut Value,
) -> Result<Arc<Object>, CommitError> {
    let mut encode = |revision: u64| at(value, revision);
    let expect = Expect::Revision(current.meta.resource_version);
    storage.commit(key, expect, Entry::Remove(&mut encode))
}

/// Stores a new object.
///
/// # Errors
/// [`CommitError::Exists`] when the key is taken.
pub(super) fn insert(
    storage: &dyn Storage,
    key: &Key,
    value: &mut Value,
) -> Result<Arc<Object>, CommitError> {
    storage.commit(key, Expect::Absent, Entry::Put(&mut |revision| at(value, revision)))
}

fn at(value: &mut Value, revision: u64) -> Object {
    metadata(value).insert("resourceVersion".into(), revision.to_string().into());
    Object::encode(value)
}
