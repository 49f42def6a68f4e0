//! Delete, of one object and of many.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::Value;

use super::commit::{self, Stored};
use super::create::refused;
use super::delete_options::{DeleteOptions, Policy};
use super::options::ListOptions;
use super::strategy::{meta, metadata};
use super::update::{ATTEMPTS, is_finished};
use super::{garbage, namespace};
use crate::body::Body;
use crate::catalog::Resource;
use crate::conversion;
use crate::render::{self, ListHead};
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{CommitError, Key, Object, PageRequest, Scope};

pub(super) fn delete(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    let options = DeleteOptions::read(asked)?;
    let outcome = delete_named(asked, &asked.key(), &options)?;
    Ok(answer(asked, &outcome))
}

/// Removes a pod as an eviction asks for it.
pub(super) fn evict(asked: &Asked<'_>, options: Value) -> Result<(), Status> {
    let options = DeleteOptions::of(options)?;
    delete_named(asked, &asked.key(), &options).map(drop)
}

pub(super) fn delete_collection(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    let options = DeleteOptions::read(asked)?;
    let wanted = ListOptions::read(asked, false)?;
    let scope = Scope {
        resource: asked.resource.id,
        namespace: asked.resource.namespaced.then_some(&*asked.request.namespace),
    };
    let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
    let page = asked.call.storage.list(&page).map_err(Status::internal)?;
    let mut gone = Vec::new();
    for object in page.objects.iter().filter(|object| wanted.wants(object)) {
        let name = meta(&object.value(), "name").to_owned();
        match delete_named(asked, &asked.key_of(&name), &options) {
            Ok(Outcome::Gone(object) | Outcome::Marked(object)) => gone.push(object),
            Err(status) if status.code == StatusCode::NOT_FOUND => {}
            Err(status) => return Err(status),
        }
    }
    let head = ListHead { revision: asked.call.storage.revision(), ..ListHead::default() };
    let gone = conversion::served_all(gone, asked.resource);
    Ok(render::list(asked.form, asked.resource, &head, gone.iter().map(AsRef::as_ref)))
}

/// What became of an object that was to be deleted.
enum Outcome {
    /// It is gone; this was its last state.
    Gone(Arc<Object>),
    /// It is marked and waits for its finalizers, or for its kubelet.
    Marked(Arc<Object>),
}

fn delete_named(asked: &Asked<'_>, key: &Key, options: &DeleteOptions) -> Result<Outcome, Status> {
    let dry = options.is_dry()?;
    for _ in 0..ATTEMPTS {
        let current = asked.call.storage.get(key).ok_or_else(|| asked.not_found(&key.name))?;
        let value = current.value();
        options.check(asked, key, &value)?;
        if is_namespace(key) {
            guard_namespace(&key.name)?;
            if dry {
                return Ok(Outcome::Marked(current));
            }
            if let Some(marked) = namespace::terminate(asked, &current)? {
                return Ok(Outcome::Marked(marked));
            }
            continue;
        }
        if let Some(outcome) = remove(asked, key, &current, &value, (options, dry))? {
            return Ok(outcome);
        }
    }
    Err(Status::modified(&asked.resource.group, &asked.resource.plural, &key.name))
}

fn is_namespace(key: &Key) -> bool {
    key.resource.resource() == "namespaces" && key.resource.group().is_empty()
}

/// The namespaces that a cluster cannot lose.
fn guard_namespace(name: &str) -> Result<(), Status> {
    if matches!(name, "default" | "kube-system" | "kube-public") {
        let why = "this namespace may not be deleted";
        return Err(Status::forbidden("", "namespaces", name, why));
    }
    Ok(())
}

/// Removes an object, or marks it when finalizers hold it. `None`: it changed, try again.
fn remove(
    asked: &Asked<'_>,
    key: &Key,
    current: &Arc<Object>,
    old: &Value,
    (options, dry): (&DeleteOptions, bool),
) -> Result<Option<Outcome>, Status> {
    let policy = options.policy(asked.resource, old);
    let mut value = old.clone();
    policy.set_finalizer(&mut value);
    garbage::mark(&mut value, options.grace);
    let gone = is_finished(&value);
    if gone && !is_graceful(asked.resource) {
        // Only what waits, or is deleted gracefully, is ever seen with the marks of a deletion.
        value = old.clone();
    }
    if dry {
        metadata(&mut value);
        let object = Arc::new(Object::encode(&value));
        return Ok(Some(if gone { Outcome::Gone(object) } else { Outcome::Marked(object) }));
    }
    let storage = &*asked.call.storage;
    let stored = if gone {
        commit::remove(storage, key, current, &mut value).map(Stored::Gone)
    } else if value == *old {
        Ok(Stored::Kept(current.clone()))
    } else {
        commit::replace(storage, key, current, &mut value)
    };
    match stored {
        Ok(Stored::Gone(last)) => {
            garbage::after(asked, key, &last)?;
            Ok(Some(Outcome::Gone(last)))
        }
        Ok(Stored::Kept(object)) => {
            match policy {
                Policy::Background => {}
                Policy::Foreground => garbage::foreground(asked, key, &object)?,
                Policy::Orphan => garbage::orphan(asked, key, &object)?,
            }
            Ok(Some(Outcome::Marked(object)))
        }
        Err(CommitError::Changed { .. }) => Ok(None),
        Err(error) => Err(refused(asked, &key.name, &error)),
    }
}

/// Kinds whose deletion is a process, of which others see the beginning.
fn is_graceful(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.plural == "pods"
}

/// Kinds whose deletion is answered with the object.
fn returns_object(resource: &Resource) -> bool {
    match &*resource.group {
        "" => matches!(
            &*resource.plural,
            "persistentvolumeclaims"
                | "persistentvolumes"
                | "pods"
                | "podtemplates"
                | "resourcequotas"
                | "serviceaccounts"
                | "services"
        ),
        "resource.k8s.io" => true,
        "storage.k8s.io" => resource.plural != "csistoragecapacities",
        _ => false,
    }
}

fn answer(asked: &Asked<'_>, outcome: &Outcome) -> Response<Body> {
    let resource = asked.resource;
    match outcome {
        Outcome::Gone(object) if !returns_object(resource) => {
            let value = object.value();
            let (name, uid) = (meta(&value, "name"), meta(&value, "uid"));
            let status = Status::deleted(&resource.group, &resource.plural, name, uid);
            render::status(asked.form.whole(), &status)
        }
        Outcome::Gone(object) | Outcome::Marked(object) => {
            let object = conversion::served(object, resource);
            render::object(asked.form, resource, &object, StatusCode::OK)
        }
    }
}
