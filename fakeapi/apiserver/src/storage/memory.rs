//! A store in memory over a shared base.

mod list;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::history::{History, Record};
use super::owners::Owners;
use super::{
    Base, BaseChange, CommitError, CommitLog, Compacted, Entry, Event, EventKind, Expect, Key,
    NoBase, NoLog, Object, Page, PageRequest, ResourceId, Storage,
};

/// Objects in memory, over a [`Base`], written to a [`CommitLog`] before they are seen.
///
/// An untouched store costs its base and a few words: no map, no history, no channel is
/// allocated before the first write or watch.
pub struct MemoryStore<B = NoBase, L = NoLog> {
    log: L,
    state: Mutex<State<B>>,
}

/// What the store itself has under a key.
enum Written {
    /// This object, whatever the base has.
    Object(Arc<Object>),
    /// No object, whatever the base has.
    Tombstone,
    /// What the base has.
    Nothing,
}

struct State<B> {
    base: B,
    revision: u64,
    /// What was written here; `None` hides an object of the base.
    written: BTreeMap<Key, Option<Arc<Object>>>,
    /// Which of the written objects have owners.
    owners: Owners,
    history: History,
    waiting: Vec<(ResourceId, Arc<Notify>)>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(NoBase, NoLog, 1)
    }
}

impl<B: Base, L: CommitLog> MemoryStore<B, L> {
    /// A store over `base` whose clock stands at `revision`.
    pub fn new(base: B, log: L, revision: u64) -> Self {
        let mut history = History::default();
        history.restart(revision);
        let state = State {
            base,
            revision,
            written: BTreeMap::new(),
            owners: Owners::default(),
            history,
            waiting: Vec::new(),
        };
        Self { log, state: Mutex::new(state) }
    }

    /// Where this store writes its changes.
    pub fn log(&self) -> &L {
        &self.log
    }

    /// Reads the base.
    pub fn with_base<T>(&self, read: impl FnOnce(&B) -> T) -> T {
        read(&self.state.lock().base)
    }

    /// Reads the base together with what was written over it, and the clock.
    pub fn with_written<T>(
        &self,
        read: impl FnOnce(&B, u64, &dyn Fn(&Key) -> Option<Arc<Object>>) -> T,
    ) -> T {
        let state = self.state.lock();
        let written = |key: &Key| state.written.get(key).cloned().flatten();
        read(&state.base, state.revision, &written)
    }

    /// Changes the base and tells watchers.
    ///
    /// `change` gets the base and the first free revision: the n-th change that it returns has
    /// that revision plus n. It writes to a log of its own; when it fails, it must have left the
    /// base as it was.
    ///
    /// An object that was written to stays as it is written; one that was deleted here and is
    /// added by the base comes back; one that the base removes is gone whoever wrote it.
    ///
    /// # Errors
    /// What `change` returns.
    pub fn change_base<E>(
        &self,
        change: impl FnOnce(&mut B, u64) -> Result<Vec<BaseChange>, E>,
    ) -> Result<(), E> {
        let mut state = self.state.lock();
        let first = state.revision + 1;
        for change in change(&mut state.base, first)? {
            state.base_changed(change);
        }
        Ok(())
    }

    /// Writes down something that is no change of an object, and takes a revision for it: a
    /// snapshot of before is told from one of after by it. Watchers are not told.
    ///
    /// `write` gets the revision and writes to a log of its own, while nothing else changes.
    ///
    /// # Errors
    /// What `write` returns; then the revision is not taken.
    pub fn note<E>(&self, write: impl FnOnce(u64) -> Result<(), E>) -> Result<(), E> {
        let mut state = self.state.lock();
        let revision = state.revision + 1;
        write(revision)?;
        state.revision = revision;
        Ok(())
    }

    /// Applies what a log holds, while the store is being rebuilt.
    ///
    /// Records must come in the order they were written; watches can resume within them. One at
    /// or below the clock is of a version whose base took fewer revisions: it is as good as the
    /// others, but watches from before it must relist.
    pub fn restore(&self, revision: u64, key: Key, object: Option<Object>) {
        let mut state = self.state.lock();
        let clock = state.revision;
        state.revision = clock.max(revision);
        let previous = state.stored_or_base(&key);
        let (kind, object) = match (object, &previous) {
            (Some(new), None) => (EventKind::Added, Arc::new(new)),
            (Some(new), Some(_)) => (EventKind::Modified, Arc::new(new)),
            (None, Some(old)) => (EventKind::Deleted, old.clone()),
            (None, None) => return,
        };
        state.apply(kind, key, object, previous);
        if revision <= clock {
            state.history.restart(clock);
        }
    }

    /// Sets the clock forward, for a store rebuilt from a snapshot: older watches must relist.
    pub fn restart_at(&self, revision: u64) {
        let mut state = self.state.lock();
        state.revision = state.revision.max(revision);
        let revision = state.revision;
        state.history.restart(revision);
    }

    /// Forgets what changed until now, unless somebody is watching: a watch from before must
    /// relist. For changes so many, and so early, that remembering them would cost more than the
    /// objects.
    pub fn forget_unwatched(&self) {
        let mut state = self.state.lock();
        state.waiting.retain(|(_, notify)| Arc::strong_count(notify) > 1);
        if state.waiting.is_empty() {
            let revision = state.revision;
            state.history.restart(revision);
        }
    }

    /// Puts an object of a snapshot in its place without telling anyone; `None` hides the base's.
    pub fn load(&self, key: Key, object: Option<Object>) {
        let entry = object.map_or(Written::Tombstone, |object| Written::Object(object.into()));
        self.state.lock().write(key, entry);
    }

    /// Calls `visit` with the objects of a resource that were written here, in order of their keys.
    pub fn written_of(&self, resource: ResourceId, mut visit: impl FnMut(&Key, &Arc<Object>)) {
        let state = self.state.lock();
        let written = state.written.range(Key::new(resource, "", "")..);
        for (key, object) in written.take_while(|(key, _)| key.resource == resource) {
            if let Some(object) = object {
                visit(key, object);
            }
        }
    }

    /// Calls `visit` with everything written here, for a snapshot; `None` hides the base's.
    ///
    /// The revision is that of the store while `visit` runs.
    ///
    /// # Errors
    /// What `visit` returns.
    pub fn snapshot(
        &self,
        begin: impl FnOnce(u64, &B) -> io::Result<()>,
        mut visit: impl FnMut(&Key, Option<&Object>) -> io::Result<()>,
    ) -> io::Result<()> {
        let state = self.state.lock();
        begin(state.revision, &state.base)?;
        state.written.iter().try_for_each(|(key, object)| visit(key, object.as_deref()))
    }
}

impl<B: Base> State<B> {
    /// The object as it is stored, without what changes by itself.
    fn stored_or_base(&self, key: &Key) -> Option<Arc<Object>> {
        match self.written.get(key) {
            Some(written) => written.clone(),
            None => self.base.get(key),
        }
    }

    /// The object as it is served.
    fn current(&self, key: &Key) -> Option<Arc<Object>> {
        match self.written.get(key) {
            Some(written) => written.as_ref().map(|object| self.fresh(key, object)),
            None => self.base.get(key),
        }
    }

    fn fresh(&self, key: &Key, object: &Arc<Object>) -> Arc<Object> {
        self.base.refresh(key, object).unwrap_or_else(|| object.clone())
    }

    /// Puts an entry in its place; tells the object that was written there before.
    fn write(&mut self, key: Key, entry: Written) -> Option<Arc<Object>> {
        let new = match &entry {
            Written::Object(new) => Some(new),
            Written::Tombstone | Written::Nothing => None,
        };
        if let Some(new) = new {
            self.owners.add(&key, new);
        }
        let old = self.written.get(&key).cloned().flatten();
        if let Some(old) = &old {
            self.owners.replaced(&key, old, new.map(AsRef::as_ref));
        }
        match entry {
            Written::Object(new) => drop(self.written.insert(key, Some(new))),
            Written::Tombstone => drop(self.written.insert(key, None)),
            Written::Nothing => drop(self.written.remove(&key)),
        }
        old
    }

    fn check(&self, key: &Key, expect: Expect) -> Result<Option<Arc<Object>>, CommitError> {
        let stored = self.stored_or_base(key);
        match (expect, &stored) {
            (Expect::Absent, None) => Ok(stored),
            (Expect::Absent, Some(_)) => Err(CommitError::Exists),
            (Expect::Revision(_), None) => Err(CommitError::Missing),
            (Expect::Revision(expected), Some(object)) => {
                let current = object.meta.resource_version;
                if current == expected {
                    Ok(stored)
                } else {
                    Err(CommitError::Changed { current, expected })
                }
            }
        }
    }

    /// Makes a change that is written down already.
    fn apply(
        &mut self,
        kind: EventKind,
        key: Key,
        object: Arc<Object>,
        previous: Option<Arc<Object>>,
    ) {
        if kind == EventKind::Deleted {
            let hides = self.base.get(&key).is_some();
            self.write(key.clone(), if hides { Written::Tombstone } else { Written::Nothing });
        } else {
            self.write(key.clone(), Written::Object(object.clone()));
        }
        self.publish(kind, key, Some(object), previous);
    }

    fn base_changed(&mut self, change: BaseChange) {
        let BaseChange { kind, key, last } = change;
        self.revision += 1;
        // The base forgets what it said before; the history must not.
        if let Some(last) = &last {
            self.history.settle(&key, last);
        }
        match (kind, self.written.get(&key)) {
            (EventKind::Added | EventKind::Modified, Some(Some(_)))
            | (EventKind::Modified | EventKind::Deleted, Some(None)) => {
                if kind == EventKind::Deleted {
                    self.write(key.clone(), Written::Nothing);
                }
            }
            (EventKind::Added, _) => {
                self.write(key.clone(), Written::Nothing);
                self.publish(kind, key, None, None);
            }
            (EventKind::Modified, None) => self.publish(kind, key, None, last),
            (EventKind::Deleted, _) => {
                let written = self.write(key.clone(), Written::Nothing);
                if let Some(object) = written.or(last) {
                    self.publish(kind, key, Some(object.clone()), Some(object));
                }
            }
        }
    }

    fn publish(
        &mut self,
        kind: EventKind,
        key: Key,
        object: Option<Arc<Object>>,
        previous: Option<Arc<Object>>,
    ) {
        let resource = key.resource;
        let (revision, at) = (self.revision, Instant::now());
        self.history.push(Record { kind, revision, at, key, object, previous });
        if let Some((_, notify)) = self.waiting.iter().find(|(of, _)| *of == resource) {
            notify.notify_waiters();
        }
    }
}

impl<B: Base, L: CommitLog> Storage for MemoryStore<B, L> {
    fn revision(&self) -> u64 {
        self.state.lock().revision
    }

    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.state.lock().current(key)
    }

    fn list(&self, page: &PageRequest<'_>) -> Result<Page, Compacted> {
        self.state.lock().list(page)
    }

    fn count(&self, page: &PageRequest<'_>) -> Result<usize, Compacted> {
        self.state.lock().count(page)
    }

    fn commit(
        &self,
        key: &Key,
        expect: Expect,
        next: Entry<'_>,
    ) -> Result<Arc<Object>, CommitError> {
        let mut state = self.state.lock();
        let previous = state.check(key, expect)?;
        let revision = state.revision + 1;
        let (kind, object) = match next {
            Entry::Put(encode) if previous.is_none() => (EventKind::Added, encode(revision)),
            Entry::Put(encode) => (EventKind::Modified, encode(revision)),
            Entry::Remove(encode) => (EventKind::Deleted, encode(revision)),
        };
        let written = (kind != EventKind::Deleted).then_some(&object);
        self.log.append(revision, key, written).map_err(CommitError::Log)?;
        state.revision = revision;
        let object = Arc::new(object);
        state.apply(kind, key.clone(), object.clone(), previous);
        Ok(object)
    }

    fn changes(
        &self,
        resource: ResourceId,
        after: u64,
        max: usize,
    ) -> Result<(Vec<Event>, u64), Compacted> {
        let state = self.state.lock();
        let mut events = Vec::new();
        for record in state.history.since(after)?.filter(|r| r.key.resource == resource) {
            if events.len() == max {
                let read = events.last().map_or(after, |event: &Event| event.revision);
                return Ok((events, read));
            }
            let Some(object) = record.object.clone().or_else(|| state.base.get(&record.key)) else {
                continue;
            };
            events.push(Event {
                kind: record.kind,
                revision: record.revision,
                key: record.key.clone(),
                object,
                previous: record.previous.clone(),
            });
        }
        Ok((events, state.revision))
    }

    fn dependents(&self, uid: &str) -> Vec<Key> {
        let state = self.state.lock();
        let mut keys = state.owners.dependents(uid);
        let base = state.base.dependents(uid);
        keys.extend(base.into_iter().filter(|key| !state.written.contains_key(key)));
        keys
    }

    fn watch(&self, resource: ResourceId) -> Arc<Notify> {
        let mut state = self.state.lock();
        state.waiting.retain(|(of, notify)| *of == resource || Arc::strong_count(notify) > 1);
        if let Some((_, notify)) = state.waiting.iter().find(|(of, _)| *of == resource) {
            return notify.clone();
        }
        let notify = Arc::new(Notify::new());
        state.waiting.push((resource, notify.clone()));
        notify
    }
}
