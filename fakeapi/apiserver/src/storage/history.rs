//! The bounded memory of what changed, from which watches resume and pages stay consistent.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Compacted, Key, Object, Scope};

/// The most changes one store remembers.
pub const HISTORY_EVENTS: usize = 4096;

/// The most bytes of objects that one store remembers its changes by: the newest change is
/// remembered even if it alone is larger.
pub const HISTORY_BYTES: usize = 32 << 20;

/// How long a change is remembered at the least-busy end: as etcd's default compaction.
///
/// Checked when something is written, never by a timer.
pub const HISTORY_KEEP: Duration = Duration::from_mins(5);

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was not there before.
    Added,
    /// It was there and is there.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change, as watchers see it.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The revision of the change.
    pub revision: u64,
    /// The object's key.
    pub key: Key,
    /// The object after the change; for [`EventKind::Deleted`] its last state.
    pub object: Arc<Object>,
    /// The object before the change; a selector may have matched it and not the new one.
    pub previous: Option<Arc<Object>>,
}

/// A change as it is kept: objects of the base are rendered when somebody asks.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) kind: EventKind,
    pub(super) revision: u64,
    pub(super) at: Instant,
    pub(super) key: Key,
    pub(super) object: Option<Arc<Object>>,
    pub(super) previous: Option<Arc<Object>>,
}

impl Record {
    fn bytes(&self) -> usize {
        self.object.as_ref().map_or(0, |object| object.json().len())
    }
}

/// The changes since `floor`, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    records: VecDeque<Record>,
    /// What the records' objects take. One that was there before a record is mostly that of an
    /// earlier record, or still stored: it is not counted.
    bytes: usize,
    /// Every change after this revision is here.
    floor: u64,
}

impl History {
    /// Begins anew at `revision`: nothing before it can be resumed.
    pub(super) fn restart(&mut self, revision: u64) {
        self.records = VecDeque::new();
        self.bytes = 0;
        self.floor = revision;
    }

    pub(super) fn push(&mut self, record: Record) {
        let now = record.at;
        self.bytes += record.bytes();
        self.records.push_back(record);
        while self.records.len() > HISTORY_EVENTS
            || (self.bytes > HISTORY_BYTES && self.records.len() > 1)
            || self.records.front().is_some_and(|r| now.duration_since(r.at) > HISTORY_KEEP)
        {
            if let Some(old) = self.records.pop_front() {
                self.bytes -= old.bytes();
                self.floor = old.revision;
            }
        }
        if self.records.capacity() > 64 && self.records.len() < self.records.capacity() / 4 {
            self.records.shrink_to(self.records.len() * 2);
        }
    }

    /// The records after `after`.
    pub(super) fn since(&self, after: u64) -> Result<impl Iterator<Item = &Record>, Compacted> {
        if after < self.floor {
            return Err(Compacted { wanted: after, oldest: self.floor });
        }
        let start = self.records.partition_point(|r| r.revision <= after);
        Ok(self.records.range(start..))
    }

    /// Gives records that relied on the base for `key` the object they speak of, because the
    /// base is about to forget it.
    pub(super) fn settle(&mut self, key: &Key, object: &Arc<Object>) {
        for record in self.records.iter_mut().filter(|r| r.object.is_none() && r.key == *key) {
            record.object = Some(object.clone());
            self.bytes += record.bytes();
        }
    }

    /// What objects in `scope` that changed after `at` were at `at`; `None` for not there.
    pub(super) fn undo(
        &self,
        scope: Scope<'_>,
        at: u64,
    ) -> Result<HashMap<Key, Option<Arc<Object>>>, Compacted> {
        let mut before = HashMap::new();
        for record in self.since(at)?.filter(|r| scope.covers(&r.key)) {
            before.entry(record.key.clone()).or_insert_with(|| record.previous.clone());
        }
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::ResourceId;

    fn record(revision: u64, object: Option<Arc<Object>>) -> Record {
        let key = Key::new(ResourceId::of("", "configmaps"), "ns", "c");
        let at = Instant::now();
        Record { kind: EventKind::Modified, revision, at, key, object, previous: None }
    }

    #[test]
    fn large_objects_are_forgotten_before_many() {
        let text = "x".repeat(HISTORY_BYTES / 4);
        let large = Arc::new(Object::encode(&json!({"kind": "K", "data": text})));
        let mut history = History::default();
        for revision in 1..=10 {
            history.push(record(revision, Some(large.clone())));
        }
        assert!(history.since(6).is_err());
        assert_eq!(history.since(7).unwrap().count(), 3);
        // What the base had to give up counts too.
        history.push(record(11, None));
        let key = history.records[0].key.clone();
        history.settle(&key, &large);
        assert_eq!(history.bytes, 4 * large.json().len());
        history.restart(11);
        assert_eq!(history.bytes, 0);
        let huge = "x".repeat(HISTORY_BYTES + 1);
        let huge = Arc::new(Object::encode(&json!({"kind": "K", "data": huge})));
        history.push(record(12, Some(huge)));
        assert_eq!(history.since(11).unwrap().count(), 1, "watches still see the newest");
    }
}
