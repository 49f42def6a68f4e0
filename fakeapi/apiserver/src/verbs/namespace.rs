//! The life of namespaces: nothing is created in one that is not there or is going, and one that
//! is deleted takes along what it holds.

use std::sync::Arc;

use serde_json::{Value, json};

use super::strategy::{self, metadata};
use super::update::is_finished;
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{
    CommitError, Entry, Expect, Key, Object, PageRequest, ResourceId, Scope, Storage,
};

fn key(name: &str) -> Key {
    Key::new(ResourceId::of("", "namespaces"), "", name)
}

/// Refuses a create in a namespace that is missing or terminating.
pub(super) fn check_open(asked: &Asked<'_>) -> Result<(), Status> {
    if !asked.resource.namespaced {
        return Ok(());
    }
    let name = &asked.request.namespace;
    let Some(namespace) = asked.call.storage.get(&key(name)) else {
        return Err(Status::not_found("", "namespaces", name));
    };
    if namespace.value()["status"]["phase"] != "Terminating" {
        return Ok(());
    }
    let why =
        format!("unable to create new content in namespace {name} because it is being terminated");
    let (group, plural) = (&asked.resource.group, &asked.resource.plural);
    Err(Status::forbidden(group, plural, "", &why).with_causes(json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {name} is being terminated"),
        "field": "metadata.namespace",
    }])))
}

/// Marks a namespace as going, empties it, and lets it go when it is empty.
pub(super) fn terminate(asked: &Asked<'_>, namespace: &Arc<Object>) -> Result<Arc<Object>, Status> {
    let storage = &asked.call.storage;
    let name = &*asked.request.name;
    let mut value = namespace.value();
    if value["metadata"].get("deletionTimestamp").is_none() {
        metadata(&mut value).insert("deletionTimestamp".into(), strategy::now().into());
        metadata(&mut value).insert("deletionGracePeriodSeconds".into(), 0.into());
        value["status"]["phase"] = "Terminating".into();
    }
    let marked = commit(storage, &key(name), namespace, value)
        .map_err(|error| super::create::refused(asked, name, &error))?;
    empty(asked, name)?;
    finish(asked, name)?;
    Ok(marked)
}

/// Deletes everything in a namespace; what has finalizers is marked and stays for now.
fn empty(asked: &Asked<'_>, namespace: &str) -> Result<(), Status> {
    let storage = &asked.call.storage;
    for resource in asked.server.catalog().stored().filter(|r| r.namespaced) {
        let scope = Scope { resource: resource.id, namespace: Some(namespace) };
        let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
        for object in storage.list(&page).map_err(Status::internal)?.objects {
            let value = object.value();
            let name = strategy::meta(&value, "name").to_owned();
            let key = Key::new(resource.id, namespace, &name);
            remove(storage, &key, &object, value)?;
        }
    }
    Ok(())
}

fn remove(
    storage: &Arc<dyn Storage>,
    key: &Key,
    object: &Arc<Object>,
    mut value: Value,
) -> Result<(), Status> {
    metadata(&mut value).entry("deletionTimestamp").or_insert_with(|| strategy::now().into());
    metadata(&mut value).insert("deletionGracePeriodSeconds".into(), 0.into());
    match commit(storage, key, object, value) {
        // Someone else changed or removed it just now; who changes it meets the namespace's end.
        Ok(_) | Err(CommitError::Missing | CommitError::Changed { .. }) => Ok(()),
        Err(error) => Err(Status::internal(error)),
    }
}

/// Stores `value`, or removes the object when nothing holds it any more.
fn commit(
    storage: &Arc<dyn Storage>,
    key: &Key,
    current: &Arc<Object>,
    mut value: Value,
) -> Result<Arc<Object>, CommitError> {
    let gone = is_finished(&value);
    let mut encode = |revision: u64| {
        metadata(&mut value).insert("resourceVersion".into(), revision.to_string().into());
        Object::encode(&value)
    };
    let entry = if gone { Entry::Remove(&mut encode) } else { Entry::Put(&mut encode) };
    storage.commit(key, Expect::Revision(current.meta.resource_version), entry)
}

/// An object is gone: if it was the last of a namespace that is going, the namespace goes too.
pub(super) fn object_gone(asked: &Asked<'_>, gone: &Key) -> Result<(), Status> {
    if gone.namespace.is_empty() { Ok(()) } else { finish(asked, &gone.namespace) }
}

/// Whether anything is in a namespace.
fn holds(asked: &Asked<'_>, namespace: &str) -> Result<bool, Status> {
    for resource in asked.server.catalog().stored().filter(|r| r.namespaced) {
        let scope = Scope { resource: resource.id, namespace: Some(namespace) };
        let page = PageRequest { scope, after: None, limit: 1, at: None };
        if !asked.call.storage.list(&page).map_err(Status::internal)?.objects.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lets a terminating namespace go when nothing is in it.
fn finish(asked: &Asked<'_>, name: &str) -> Result<(), Status> {
    let storage = &asked.call.storage;
    let Some(namespace) = storage.get(&key(name)) else {
        return Ok(());
    };
    let mut value = namespace.value();
    if value["metadata"].get("deletionTimestamp").is_none() || holds(asked, name)? {
        return Ok(());
    }
    if let Some(finalizers) = value["spec"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != "kubernetes");
    }
    match commit(storage, &key(name), &namespace, value) {
        Ok(_) | Err(CommitError::Missing | CommitError::Changed { .. }) => Ok(()),
        Err(error) => Err(Status::internal(error)),
    }
}
