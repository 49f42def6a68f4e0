//! The life of namespaces: nothing is created in one that is not there or is going, and one that
//! is deleted takes along what it holds.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::commit::{self, Stored};
use super::garbage;
use super::strategy::{self, metadata};
use super::update::ATTEMPTS;
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{CommitError, Key, Object, PageRequest, ResourceId, Scope};

fn key(name: &str) -> Key {
    Key::new(ResourceId::of("", "namespaces"), "", name)
}

/// Whether an object is marked as deleted. Parses only what may be.
fn is_going(object: &Object) -> bool {
    const FIELD: &[u8] = b"\"deletionTimestamp\"";
    object.metadata().windows(FIELD.len()).any(|window| window == FIELD)
        && object.value()["metadata"].get("deletionTimestamp").is_some()
}

/// Refuses a create in a namespace that is missing or terminating.
pub(super) fn check_open(asked: &Asked<'_>, name: &str) -> Result<(), Status> {
    if !asked.resource.namespaced {
        return Ok(());
    }
    let namespace = &asked.request.namespace;
    let Some(found) = asked.call.storage.get(&key(namespace)) else {
        return Err(Status::not_found("", "namespaces", namespace));
    };
    if !is_going(&found) {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let (group, plural) = (&asked.resource.group, &asked.resource.plural);
    Err(Status::forbidden(group, plural, name, &why).with_causes(json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {namespace} is being terminated"),
        "field": "metadata.namespace",
    }])))
}

/// An object was created: if its namespace was deleted meanwhile, the object goes with it.
pub(super) fn created_in(asked: &Asked<'_>) -> Result<(), Status> {
    let name = &asked.request.namespace;
    if asked.resource.namespaced
        && asked.call.storage.get(&key(name)).is_some_and(|found| is_going(&found))
    {
        empty(asked, name)?;
        finish(asked, name)?;
    }
    Ok(())
}

/// Puts into a new namespace what the controllers of a cluster would put there.
pub(super) fn furnish(asked: &Asked<'_>, name: &str) -> Result<(), Status> {
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1"});
    add(asked, "serviceaccounts", (name, "default"), account)?;
    let config_maps = ResourceId::of("", "configmaps");
    let root = Key::new(config_maps, "default", ROOT_CERTIFICATE);
    if let Some(root) = asked.call.storage.get(&root) {
        let root = root.value();
        let mut copy = json!({"kind": "ConfigMap", "apiVersion": "v1", "data": root["data"]});
        if let Some(annotations) = root["metadata"].get("annotations") {
            copy["metadata"] = json!({"annotations": annotations});
        }
        add(asked, "configmaps", (name, ROOT_CERTIFICATE), copy)?;
    }
    Ok(())
}

/// The ConfigMap with which pods trust their API server.
const ROOT_CERTIFICATE: &str = "kube-root-ca.crt";

fn add(
    asked: &Asked<'_>,
    plural: &str,
    (namespace, name): (&str, &str),
    mut value: Value,
) -> Result<(), Status> {
    let fields = [
        ("name", name.to_owned()),
        ("namespace", namespace.to_owned()),
        ("uid", Uuid::new_v4().to_string()),
        ("creationTimestamp", strategy::now()),
    ];
    metadata(&mut value).extend(fields.map(|(field, value)| (field.to_owned(), value.into())));
    let key = Key::new(ResourceId::of("", plural), namespace, name);
    match commit::insert(&*asked.call.storage, &key, &mut value) {
        Ok(_) | Err(CommitError::Exists) => Ok(()),
        Err(error) => Err(Status::internal(error)),
    }
}

/// Marks a namespace as going, empties it, and lets it go when it is empty. `None`: it changed
/// meanwhile, try again.
pub(super) fn terminate(
    asked: &Asked<'_>,
    namespace: &Arc<Object>,
) -> Result<Option<Arc<Object>>, Status> {
    let storage = &*asked.call.storage;
    let name = &*asked.request.name;
    let mut marked = namespace.clone();
    let mut value = namespace.value();
    if value["metadata"].get("deletionTimestamp").is_none() {
        garbage::mark(&mut value, None);
        value["status"]["phase"] = "Terminating".into();
        marked = match commit::replace(storage, &key(name), namespace, &mut value) {
            Ok(Stored::Gone(last)) => {
                garbage::after(asked, &key(name), &last)?;
                return Ok(Some(last));
            }
            Ok(Stored::Kept(object)) => object,
            Err(CommitError::Changed { .. }) => return Ok(None),
            Err(error) => return Err(super::create::refused(asked, name, &error)),
        };
    }
    empty(asked, name)?;
    finish(asked, name)?;
    Ok(Some(marked))
}

/// Deletes everything in a namespace; what has finalizers is marked and stays for now.
fn empty(asked: &Asked<'_>, namespace: &str) -> Result<(), Status> {
    let storage = &asked.call.storage;
    for resource in asked.server.catalog().stored().filter(|r| r.namespaced) {
        let scope = Scope { resource: resource.id, namespace: Some(namespace) };
        let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
        for object in storage.list(&page).map_err(Status::internal)?.objects {
            let name = strategy::meta(&object.value(), "name").to_owned();
            remove(asked, &Key::new(resource.id, namespace, &name))?;
        }
    }
    Ok(())
}

fn remove(asked: &Asked<'_>, key: &Key) -> Result<(), Status> {
    let storage = &*asked.call.storage;
    for _ in 0..ATTEMPTS {
        let Some(current) = storage.get(key) else {
            return Ok(());
        };
        let old = current.value();
        let mut value = old.clone();
        garbage::mark(&mut value, None);
        if value == old && !super::update::is_finished(&value) {
            return Ok(());
        }
        match commit::replace(storage, key, &current, &mut value) {
            Ok(Stored::Gone(last)) => return garbage::after(asked, key, &last),
            Ok(Stored::Kept(_)) | Err(CommitError::Missing) => return Ok(()),
            Err(CommitError::Changed { .. }) => {}
            Err(error) => return Err(Status::internal(error)),
        }
    }
    Err(Status::modified(key.resource.group(), key.resource.resource(), &key.name))
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
pub(super) fn finish(asked: &Asked<'_>, name: &str) -> Result<(), Status> {
    let storage = &*asked.call.storage;
    for _ in 0..ATTEMPTS {
        let Some(namespace) = storage.get(&key(name)).filter(|found| is_going(found)) else {
            return Ok(());
        };
        if holds(asked, name)? {
            return Ok(());
        }
        let mut value = namespace.value();
        if let Some(finalizers) = value["spec"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != "kubernetes");
        }
        match commit::replace(storage, &key(name), &namespace, &mut value) {
            Ok(Stored::Gone(last)) => return garbage::after(asked, &key(name), &last),
            Ok(Stored::Kept(_)) | Err(CommitError::Missing) => return Ok(()),
            Err(CommitError::Changed { .. }) => {}
            Err(error) => return Err(Status::internal(error)),
        }
    }
    Ok(())
}
