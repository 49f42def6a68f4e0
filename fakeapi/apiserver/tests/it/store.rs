//! The in-memory store against a plain map: whatever happens in whatever order, both hold the
//! same, now and at every revision that is remembered.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use apiserver::storage::{
    Base, BaseChange, CommitError, Entry, Event, EventKind, Expect, Key, MemoryStore, NoLog,
    Object, PageRequest, ResourceId, Scope, Storage,
};
use proptest::prelude::*;
use serde_json::json;

/// A base that is a map.
#[derive(Default)]
struct MapBase(BTreeMap<Key, Arc<Object>>);

impl Base for MapBase {
    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.0.get(key).cloned()
    }

    fn scan(
        &self,
        scope: Scope<'_>,
        after: Option<(&str, &str)>,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) {
        for key in self.0.keys().filter(|key| scope.covers(key)) {
            if after.is_none_or(|after| key.position() > after)
                && visit(&key.namespace, &key.name).is_break()
            {
                return;
            }
        }
    }
}

type Store = MemoryStore<MapBase, NoLog>;

fn resource() -> ResourceId {
    ResourceId::of("test", "things")
}

fn key(at: usize) -> Key {
    Key::new(resource(), ["a", "b"][at % 2], ["p", "q", "r", "s"][at / 2 % 4])
}

fn object(key: &Key, revision: u64) -> Object {
    Object::encode(&json!({
        "kind": "Thing", "apiVersion": "test/v1",
        "metadata": {
            "name": key.name, "namespace": key.namespace, "resourceVersion": revision.to_string(),
        },
    }))
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize),
    Delete(usize),
    AddToBase(usize),
    ChangeInBase(usize),
    RemoveFromBase(usize),
    OtherKind,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8_usize).prop_map(Step::Write),
        3 => (0..8_usize).prop_map(Step::Delete),
        2 => (0..8_usize).prop_map(Step::AddToBase),
        1 => (0..8_usize).prop_map(Step::ChangeInBase),
        1 => (0..8_usize).prop_map(Step::RemoveFromBase),
        1 => Just(Step::OtherKind),
    ]
}

/// What the store should hold: revision by key, and whose the object is.
#[derive(Clone, Default)]
struct Model {
    seen: BTreeMap<Key, u64>,
    /// Keys that were written here, so that the base does not speak for them.
    written: BTreeMap<Key, bool>,
}

impl Model {
    fn take(&mut self, store: &Store, step: Step) {
        match step {
            Step::Write(at) => self.write(store, key(at)),
            Step::Delete(at) => self.delete(store, &key(at)),
            Step::AddToBase(at) | Step::ChangeInBase(at) | Step::RemoveFromBase(at) => {
                self.base(store, step, key(at));
            }
            Step::OtherKind => {
                let other = Key::new(ResourceId::of("test", "others"), "a", "x");
                let current = store.get(&other).map(|o| o.meta.resource_version);
                let expect = current.map_or(Expect::Absent, Expect::Revision);
                let mut put = |revision| object(&other, revision);
                store.commit(&other, expect, Entry::Put(&mut put)).unwrap();
            }
        }
    }

    fn write(&mut self, store: &Store, key: Key) {
        let expect = self.seen.get(&key).map_or(Expect::Absent, |at| Expect::Revision(*at));
        let mut put = |revision| object(&key, revision);
        let made = store.commit(&key, expect, Entry::Put(&mut put)).unwrap();
        self.seen.insert(key.clone(), made.meta.resource_version);
        self.written.insert(key, true);
    }

    fn delete(&mut self, store: &Store, key: &Key) {
        let Some(at) = self.seen.get(key) else {
            let mut last = |revision| object(key, revision);
            let missing = store.commit(key, Expect::Revision(1), Entry::Remove(&mut last));
            assert!(matches!(missing, Err(CommitError::Missing)));
            return;
        };
        let mut last = |revision| object(key, revision);
        let stale = store.commit(key, Expect::Revision(at + 1000), Entry::Remove(&mut last));
        assert!(matches!(stale, Err(CommitError::Changed { .. })));
        store.commit(key, Expect::Revision(*at), Entry::Remove(&mut last)).unwrap();
        self.seen.remove(key);
        self.written.insert(key.clone(), false);
    }

    fn base(&mut self, store: &Store, step: Step, key: Key) {
        let has = store.with_base(|base| base.0.contains_key(&key));
        let kind = match step {
            Step::AddToBase(_) if !has => EventKind::Added,
            Step::ChangeInBase(_) if has => EventKind::Modified,
            Step::RemoveFromBase(_) if has => EventKind::Deleted,
            _ => return,
        };
        let mut at = 0;
        let changed: Result<(), Infallible> = store.change_base(|base, revision| {
            at = revision;
            let last = match kind {
                EventKind::Deleted => base.0.remove(&key),
                _ => base.0.insert(key.clone(), object(&key, revision).into()),
            };
            Ok(vec![BaseChange { kind, key: key.clone(), last }])
        });
        changed.unwrap();
        match (kind, self.written.get(&key)) {
            // What was written here speaks for itself.
            (EventKind::Added | EventKind::Modified, Some(true))
            | (EventKind::Modified, Some(false)) => {}
            (EventKind::Added | EventKind::Modified, _) => {
                self.written.remove(&key);
                self.seen.insert(key, at);
            }
            (EventKind::Deleted, _) => {
                self.written.remove(&key);
                self.seen.remove(&key);
            }
        }
    }
}

fn read(objects: &[Arc<Object>]) -> BTreeMap<Key, u64> {
    objects
        .iter()
        .map(|object| {
            let value = object.value();
            let text = |field: &str| value["metadata"][field].as_str().unwrap().to_owned();
            let key = Key::new(resource(), &text("namespace"), &text("name"));
            (key, object.meta.resource_version)
        })
        .collect()
}

/// The whole of a scope at a revision, page by page.
fn pages(store: &Store, namespace: Option<&str>, at: u64, limit: usize) -> BTreeMap<Key, u64> {
    let scope = Scope { resource: resource(), namespace };
    let mut all = Vec::new();
    let mut last: Option<(String, String)> = None;
    loop {
        let after = last.as_ref().map(|(namespace, name)| (&**namespace, &**name));
        let page = store.list(&PageRequest { scope, after, limit, at: Some(at) }).unwrap();
        assert_eq!(page.revision, at);
        let keys: Vec<Key> = page
            .objects
            .iter()
            .map(|o| read(std::slice::from_ref(o)).into_keys().next().unwrap())
            .collect();
        assert!(keys.is_sorted_by(|a, b| a < b) && keys.len() <= limit);
        all.extend(page.objects);
        if !page.more {
            let everything = PageRequest { scope, after: None, limit, at: Some(at) };
            assert_eq!(store.count(&everything).unwrap(), all.len());
            return read(&all);
        }
        last = keys.last().map(|key| (key.namespace.to_string(), key.name.to_string()));
    }
}

/// Everything after a revision, in small bites.
fn events(store: &Store, after: u64) -> Vec<Event> {
    let (mut all, mut at) = (Vec::new(), after);
    loop {
        let (events, upto) = store.changes(resource(), at, 3).unwrap();
        if events.is_empty() {
            assert_eq!(upto, store.revision());
            return all;
        }
        assert_eq!(events.last().unwrap().revision.max(upto), upto);
        at = upto;
        all.extend(events);
    }
}

fn replay(mut objects: BTreeMap<Key, u64>, events: &[Event]) -> BTreeMap<Key, u64> {
    for event in events {
        match event.kind {
            EventKind::Added => {
                let before = objects.insert(event.key.clone(), event.revision);
                assert_eq!(before, None, "{event:?}");
            }
            EventKind::Modified => {
                assert!(objects.insert(event.key.clone(), event.revision).is_some(), "{event:?}");
            }
            EventKind::Deleted => {
                assert!(objects.remove(&event.key).is_some(), "{event:?}");
            }
        }
    }
    objects
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_store_is_a_map_with_a_memory(steps in prop::collection::vec(step(), 1..40), limit in 1..5_usize) {
        let store = Store::new(MapBase::default(), NoLog, 1);
        let mut model = Model::default();
        let mut then = vec![(store.revision(), model.seen.clone())];
        for step in steps {
            model.take(&store, step);
            let now = store.revision();
            prop_assert_eq!(&pages(&store, None, now, usize::MAX), &model.seen, "{:?}", step);
            for at in 0..8 {
                let found = store.get(&key(at)).map(|o| o.meta.resource_version);
                prop_assert_eq!(found, model.seen.get(&key(at)).copied());
            }
            then.retain(|(at, _)| *at != now);
            then.push((now, model.seen.clone()));
        }
        for (at, seen) in &then {
            prop_assert_eq!(&pages(&store, None, *at, limit), seen, "at {}", at);
            let b: BTreeMap<_, _> =
                seen.iter().filter(|(k, _)| &*k.namespace == "b").map(|(k, r)| (k.clone(), *r)).collect();
            prop_assert_eq!(&pages(&store, Some("b"), *at, limit), &b);
            let events = events(&store, *at);
            prop_assert!(events.is_sorted_by(|a, b| a.revision < b.revision), "each once, in order");
            let keys = |objects: BTreeMap<Key, u64>| objects.into_keys().collect::<Vec<_>>();
            prop_assert_eq!(keys(replay(seen.clone(), &events)), keys(model.seen.clone()));
        }
    }
}

#[test]
fn concurrent_writers_lose_no_update() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 200;
    let store = Store::new(MapBase::default(), NoLog, 1);
    let key = key(0);
    let counter = |count: u64, revision: u64| {
        Object::encode(&json!({
            "kind": "Thing", "apiVersion": "test/v1", "count": count,
            "metadata": {"name": "p", "namespace": "a", "resourceVersion": revision.to_string()},
        }))
    };
    store.commit(&key, Expect::Absent, Entry::Put(&mut |revision| counter(0, revision))).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    loop {
                        let current = store.get(&key).unwrap();
                        let count = current.value()["count"].as_u64().unwrap();
                        let expect = Expect::Revision(current.meta.resource_version);
                        let mut put = |revision| counter(count + 1, revision);
                        if store.commit(&key, expect, Entry::Put(&mut put)).is_ok() {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(store.get(&key).unwrap().value()["count"], WRITERS * EACH);
    assert_eq!(store.revision(), 2 + WRITERS * EACH, "each change took one revision");
}

#[test]
fn what_was_restored_owns_as_before() {
    let store = Store::new(MapBase::default(), NoLog, 1);
    let key = key(0);
    let owned = Object::encode(&json!({
        "kind": "Thing", "apiVersion": "test/v1",
        "metadata": {"name": "p", "resourceVersion": "5", "ownerReferences": [{"uid": "u"}]},
    }));
    store.restore(5, key.clone(), Some(owned));
    assert_eq!(store.dependents("u"), std::slice::from_ref(&key));
    store.restore(6, key, None);
    assert_eq!(store.dependents("u"), []);
}
