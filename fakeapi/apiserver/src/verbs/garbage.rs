//! What goes with an object that goes: its dependents, by `metadata.ownerReferences`.
//!
//! A real cluster has a controller for this, which sees a deletion some time later. Here the
//! request that deletes does it, so nothing runs in the background, and the finalizers `orphan`
//! and `foregroundDeletion` are always taken away again. The store knows which written objects
//! name which owner, so an object without dependents costs one look-up. Objects of a store's
//! base are never collected: the base itself knows when they go.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};

use super::commit::{self, Stored};
use super::namespace;
use super::strategy::{self, meta, metadata};
use super::update::ATTEMPTS;
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{CommitError, Key, Object};

/// Holds an object until its dependents do not name it any more.
pub(super) const ORPHAN: &str = "orphan";
/// Holds an object until the dependents that block its deletion are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// Objects are gone: everything that follows from it happens now.
pub(super) fn after(asked: &Asked<'_>, key: &Key, last: &Arc<Object>) -> Result<(), Status> {
    Sweep::new(asked).gone(key, last).run()
}

/// `owner` was deleted with `Foreground`: deletes what depends on it, and then lets it go.
pub(super) fn foreground(asked: &Asked<'_>, key: &Key, owner: &Object) -> Result<(), Status> {
    let mut sweep = Sweep::new(asked);
    let mut owners = vec![(key.clone(), uid(owner))];
    let mut next = 0;
    while let Some((_, uid)) = owners.get(next).cloned() {
        for dependent in asked.call.storage.dependents(&uid) {
            if let Some(uid) = sweep.delete_for(&dependent, &uid)? {
                owners.push((dependent, uid));
            }
        }
        next += 1;
    }
    owners.iter().rev().try_for_each(|(key, _)| sweep.let_go(key, FOREGROUND))?;
    sweep.run()
}

/// `owner` was deleted with `Orphan`: nothing depends on it any more, and it goes.
pub(super) fn orphan(asked: &Asked<'_>, key: &Key, owner: &Object) -> Result<(), Status> {
    let uid = uid(owner);
    for dependent in asked.call.storage.dependents(&uid) {
        change(asked, &dependent, |value| forget(value, |reference| reference["uid"] != *uid))?;
    }
    let mut sweep = Sweep::new(asked);
    sweep.let_go(key, ORPHAN)?;
    sweep.run()
}

fn uid(object: &Object) -> String {
    meta(&object.value(), "uid").to_owned()
}

fn references(value: &Value) -> impl Iterator<Item = &Value> {
    value["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

/// Keeps only the references that `keep` wants; tells whether any went.
fn forget(value: &mut Value, keep: impl Fn(&Value) -> bool) -> bool {
    let metadata = metadata(value);
    let Some(Value::Array(list)) = metadata.get_mut("ownerReferences") else {
        return false;
    };
    let before = list.len();
    list.retain(keep);
    let fewer = list.len() < before;
    if list.is_empty() {
        metadata.remove("ownerReferences");
    }
    fewer
}

fn has_finalizer(value: &Value, finalizer: &str) -> bool {
    value["metadata"]["finalizers"].as_array().is_some_and(|list| list.contains(&finalizer.into()))
}

/// Marks an object as deleted, as every deletion does; `grace` is what the caller grants, in
/// seconds. One that is marked already may only be granted less than before.
pub(super) fn mark(value: &mut Value, grace: Option<i64>) {
    let now = Timestamp::now();
    if value["metadata"].get("deletionTimestamp").is_some() {
        shorten(metadata(value), grace);
        return;
    }
    let grace = if is_pod(value) { pod_grace(value, grace) } else { 0 };
    let metadata = metadata(value);
    let end = now.saturating_add(grace.seconds()).unwrap_or(now);
    metadata.insert("deletionTimestamp".into(), strategy::time(end).into());
    metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64) {
        metadata.insert("generation".into(), (generation + 1).into());
    }
}

/// Grants what is marked already less grace than before: `BeforeDelete` of the real server.
fn shorten(metadata: &mut Map<String, Value>, grace: Option<i64>) {
    let granted = metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    let Some(grace) = grace.map(at_least_a_second).filter(|grace| *grace < granted) else {
        return;
    };
    let end = metadata["deletionTimestamp"].as_str().and_then(|end| end.parse::<Timestamp>().ok());
    // What is stored may be a client's as well.
    let less = granted.saturating_sub(grace).min(i64::from(i32::MAX));
    if let Some(end) = end.and_then(|end| end.checked_sub(less.seconds()).ok()) {
        metadata.insert("deletionTimestamp".into(), strategy::time(end).into());
    }
    metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
}

fn is_pod(value: &Value) -> bool {
    value["kind"] == "Pod" && value["apiVersion"] == "v1"
}

/// How long a kubelet has to stop a pod: what is wanted, or what the pod says; nothing when no
/// kubelet runs it. `CheckGracefulDelete` of the real server.
fn pod_grace(pod: &Value, wanted: Option<i64>) -> i64 {
    let spec = &pod["spec"];
    let on_a_node = spec["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if !on_a_node || ended {
        return 0;
    }
    let own = || spec["terminationGracePeriodSeconds"].as_i64().unwrap_or_default();
    at_least_a_second(wanted.unwrap_or_else(own))
}

/// A negative grace means one second. None is longer than 68 years: a time of day has an end, which
/// a number of a client's need not know.
fn at_least_a_second(grace: i64) -> i64 {
    if grace < 0 { 1 } else { grace.min(i64::from(i32::MAX)) }
}

/// Changes an object until no other write comes between. `None`: it is not there any more, or
/// `edit` told that there is nothing to change.
fn change(
    asked: &Asked<'_>,
    key: &Key,
    mut edit: impl FnMut(&mut Value) -> bool,
) -> Result<Option<Stored>, Status> {
    let storage = &*asked.call.storage;
    for _ in 0..ATTEMPTS {
        let Some(current) = storage.get(key) else {
            return Ok(None);
        };
        let mut value = current.value();
        if !edit(&mut value) {
            return Ok(None);
        }
        match commit::replace(storage, key, &current, &mut value) {
            Ok(stored) => return Ok(Some(stored)),
            Err(CommitError::Missing) => return Ok(None),
            Err(CommitError::Changed { .. }) => {}
            Err(error) => return Err(Status::internal(error)),
        }
    }
    Err(Status::modified(key.resource.group(), key.resource.resource(), &key.name))
}

/// Deletions and what follows from them, without recursion: chains of owners may be long.
struct Sweep<'a> {
    asked: &'a Asked<'a>,
    gone: VecDeque<(Key, Arc<Object>)>,
    namespaces: BTreeSet<Box<str>>,
}

impl<'a> Sweep<'a> {
    fn new(asked: &'a Asked<'a>) -> Self {
        Self { asked, gone: VecDeque::new(), namespaces: BTreeSet::new() }
    }

    fn gone(mut self, key: &Key, last: &Arc<Object>) -> Self {
        self.gone.push_back((key.clone(), last.clone()));
        self
    }

    fn run(mut self) -> Result<(), Status> {
        while let Some((key, last)) = self.gone.pop_front() {
            let value = last.value();
            let uid = meta(&value, "uid");
            for dependent in self.asked.call.storage.dependents(uid) {
                self.release(&dependent, uid)?;
            }
            for reference in references(&value) {
                if let Some(owner) = self.owner(&key, reference) {
                    self.let_go_when_unblocked(&owner, reference)?;
                }
            }
            if !key.namespace.is_empty() {
                self.namespaces.insert(key.namespace);
            }
        }
        let asked = self.asked;
        self.namespaces.iter().try_for_each(|name| namespace::finish(asked, name))
    }

    fn take(&mut self, key: &Key, stored: Option<Stored>) -> Option<Arc<Object>> {
        match stored? {
            Stored::Gone(last) => {
                self.gone.push_back((key.clone(), last));
                None
            }
            Stored::Kept(object) => Some(object),
        }
    }

    /// The owner with this uid is gone: who has no other owner goes too.
    fn release(&mut self, key: &Key, owner: &str) -> Result<(), Status> {
        let asked = self.asked;
        let stored = change(asked, key, |value| {
            if !references(value).any(|reference| reference["uid"] == owner) {
                return false;
            }
            let others = references(value)
                .any(|other| other["uid"] != owner && self.owner(key, other).is_some());
            if others {
                return forget(value, |reference| reference["uid"] != owner);
            }
            let before = value.clone();
            mark(value, None);
            *value != before
        })?;
        self.take(key, stored);
        Ok(())
    }

    /// Deletes a dependent of an owner that waits for it; tells its uid when it has dependents of
    /// its own that must go before it.
    fn delete_for(&mut self, key: &Key, owner: &str) -> Result<Option<String>, Status> {
        let asked = self.asked;
        let stored = change(asked, key, |value| {
            let others = references(value)
                .any(|other| other["uid"] != owner && self.owner(key, other).is_some());
            if others {
                return forget(value, |reference| reference["uid"] != owner);
            }
            let before = value.clone();
            if !asked.call.storage.dependents(meta(value, "uid")).is_empty() {
                add_finalizer(value, FOREGROUND);
            }
            mark(value, None);
            *value != before
        })?;
        let kept = self.take(key, stored).map(|object| object.value());
        Ok(kept.filter(|v| has_finalizer(v, FOREGROUND)).map(|v| meta(&v, "uid").to_owned()))
    }

    /// Takes a finalizer of ours away, if nothing blocks.
    fn let_go(&mut self, key: &Key, finalizer: &str) -> Result<(), Status> {
        let asked = self.asked;
        let stored = change(asked, key, |value| {
            if finalizer == FOREGROUND && is_blocked(asked, value) {
                return false;
            }
            remove_finalizer(value, finalizer)
        })?;
        self.take(key, stored);
        Ok(())
    }

    fn let_go_when_unblocked(&mut self, owner: &Key, reference: &Value) -> Result<(), Status> {
        let waits = self.asked.call.storage.get(owner).is_some_and(|object| {
            let value = object.value();
            value["metadata"].get("deletionTimestamp").is_some()
                && meta(&value, "uid") == reference["uid"]
                && has_finalizer(&value, FOREGROUND)
        });
        if waits { self.let_go(owner, FOREGROUND) } else { Ok(()) }
    }

    /// The key of the owner that a reference names, when it is there.
    fn owner(&self, of: &Key, reference: &Value) -> Option<Key> {
        let text = |key: &str| reference[key].as_str().unwrap_or_default();
        let version = text("apiVersion");
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let resource = self.asked.server.catalog().kind(group, text("kind"))?;
        let namespace = if resource.namespaced { &*of.namespace } else { "" };
        let key = Key::new(resource.id, namespace, text("name"));
        let owner = self.asked.call.storage.get(&key)?;
        (uid(&owner) == text("uid")).then_some(key)
    }
}

/// Whether a dependent of `owner` is there whose owner must not go before it.
fn is_blocked(asked: &Asked<'_>, owner: &Value) -> bool {
    let (storage, uid) = (&asked.call.storage, meta(owner, "uid"));
    storage.dependents(uid).iter().filter_map(|key| storage.get(key)).any(|dependent| {
        references(&dependent.value())
            .any(|r| r["uid"] == uid && r["blockOwnerDeletion"].as_bool().unwrap_or(false))
    })
}

pub(super) fn add_finalizer(value: &mut Value, finalizer: &str) {
    let list = metadata(value).entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|f| f == finalizer)
    {
        list.push(finalizer.into());
    }
}

/// Takes a finalizer away; tells whether it was there.
pub(super) fn remove_finalizer(value: &mut Value, finalizer: &str) -> bool {
    let metadata = metadata(value);
    let Some(Value::Array(list)) = metadata.get_mut("finalizers") else {
        return false;
    };
    let before = list.len();
    list.retain(|f| f != finalizer);
    let fewer = list.len() < before;
    if list.is_empty() {
        metadata.remove("finalizers");
    }
    fewer
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn running(own: i64) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {},
            "spec": {"nodeName": "n", "terminationGracePeriodSeconds": own},
            "status": {"phase": "Running"},
        })
    }

    #[test]
    fn a_grace_beyond_all_time_is_shortened() {
        for (own, wanted) in [(30, Some(i64::MAX)), (i64::MAX, None)] {
            let mut pod = running(own);
            mark(&mut pod, wanted);
            assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], i32::MAX);
            let end: Timestamp =
                pod["metadata"]["deletionTimestamp"].as_str().unwrap().parse().unwrap();
            assert!(end > Timestamp::now(), "{end}");
        }
        // As it may be stored by a client.
        let mut pod = running(30);
        mark(&mut pod, None);
        pod["metadata"]["deletionGracePeriodSeconds"] = i64::MAX.into();
        mark(&mut pod, Some(i64::MIN));
        assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 1);
    }
}
