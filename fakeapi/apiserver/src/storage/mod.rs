//! What the API machinery asks of a store, and the in-memory store that answers it.
//!
//! A store holds the objects of one API server: one resourceVersion clock, one bounded history,
//! no timers. Everything here is synchronous, because nothing here waits for anyone: a commit is
//! in the log (see [`CommitLog`]) and visible when the call returns.

mod base;
mod commit;
mod history;
mod key;
mod memory;
mod object;
mod owners;

use std::sync::Arc;

pub use base::{Base, BaseChange, NoBase};
pub use commit::{CommitError, CommitLog, Entry, Expect, NoLog};
pub use history::{Event, EventKind, HISTORY_BYTES, HISTORY_EVENTS, HISTORY_KEEP};
pub use key::{Key, ResourceId, Scope};
pub use memory::MemoryStore;
pub use object::{Meta, Object};
use tokio::sync::Notify;

/// The store of one API server.
pub trait Storage: Send + Sync + 'static {
    /// The resourceVersion of the newest change; every object and event has this one or a lower.
    fn revision(&self) -> u64;

    /// The object under `key` as it is now.
    fn get(&self, key: &Key) -> Option<Arc<Object>>;

    /// The objects of `page.scope` in key order, as they were at one revision.
    ///
    /// # Errors
    /// [`Compacted`] when `page.at` is older than what the history can restore.
    fn list(&self, page: &PageRequest<'_>) -> Result<Page, Compacted>;

    /// How many objects [`Storage::list`] would show, whatever the limit of `page` is.
    ///
    /// # Errors
    /// As [`Storage::list`].
    fn count(&self, page: &PageRequest<'_>) -> Result<usize, Compacted> {
        let all = PageRequest { limit: usize::MAX, ..page.clone() };
        self.list(&all).map(|page| page.objects.len())
    }

    /// Replaces, creates or removes one object if it still is as `expect` says.
    ///
    /// `next` is called with the revision that the change gets, which it must write into the
    /// object; for a removal into the object's last state.
    ///
    /// # Errors
    /// [`CommitError`] when the expectation does not hold or the log did not take the change;
    /// nothing has changed then.
    fn commit(
        &self,
        key: &Key,
        expect: Expect,
        next: Entry<'_>,
    ) -> Result<Arc<Object>, CommitError>;

    /// The changes of `resource` after revision `after`, oldest first, `max` at the most.
    ///
    /// The second value is the revision up to which the answer is complete.
    ///
    /// # Errors
    /// [`Compacted`] when changes after `after` have left the history.
    fn changes(
        &self,
        resource: ResourceId,
        after: u64,
        max: usize,
    ) -> Result<(Vec<Event>, u64), Compacted>;

    /// The keys of the objects whose `metadata.ownerReferences` name this uid.
    ///
    /// A store that keeps no such index has no garbage collection.
    fn dependents(&self, uid: &str) -> Vec<Key> {
        let _ = uid;
        Vec::new()
    }

    /// Wakes whoever waits for changes of `resource`.
    ///
    /// Register with [`Notify::notified`] before calling [`Storage::changes`], or a change
    /// between the two is missed.
    fn watch(&self, resource: ResourceId) -> Arc<Notify>;
}

/// Which objects a list wants.
#[derive(Clone, Debug)]
pub struct PageRequest<'a> {
    /// The resource, and the namespace when only one is wanted.
    pub scope: Scope<'a>,
    /// Only objects after this (namespace, name).
    pub after: Option<(&'a str, &'a str)>,
    /// At the most this many objects.
    pub limit: usize,
    /// The revision to show; `None` is now.
    pub at: Option<u64>,
}

/// One answer of [`Storage::list`].
#[derive(Debug)]
pub struct Page {
    /// The objects in key order.
    pub objects: Vec<Arc<Object>>,
    /// The revision they were read at.
    pub revision: u64,
    /// Whether objects follow after the last one.
    pub more: bool,
}

/// What was asked for is older than what the history holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision {wanted} is compacted, the oldest kept is {oldest}")]
pub struct Compacted {
    /// The revision that was asked for.
    pub wanted: u64,
    /// The oldest revision from which changes are complete.
    pub oldest: u64,
}
