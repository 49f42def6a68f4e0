//! Update: the whole object anew, and what all partial changes end in.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::Value;

use super::commit::{self, Stored};
use super::create::{self, Incoming, incoming, refused, warn};
use super::options::dry_run;
use super::strategy::{self, meta, metadata};
use super::{cluster_ip, garbage, node_port};
use crate::body::Body;
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{CommitError, Object};
use crate::{conversion, render};

/// Which part of an object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
    /// A namespace's finalizers alone.
    Finalizers,
}

/// How often a write that named no revision is tried again when another came between.
pub(super) const ATTEMPTS: u32 = 5;

pub(super) fn update(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    replace(asked, Part::Main)
}

/// Answers a PUT of an object or a part of it.
pub(super) fn replace(asked: &Asked<'_>, part: Part) -> Result<Response<Body>, Status> {
    let dry = dry_run(asked)?;
    let Incoming { value, warnings } = incoming(asked)?;
    let name = meta(&value, "name");
    if name.is_empty() {
        return Err(Status::bad_request("name must be provided"));
    }
    if name != asked.request.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            asked.request.name
        )));
    }
    let value = conversion::kept(value, asked.resource);
    let (object, code) = put(asked, &value, part, dry)?;
    let object = conversion::served(&object, asked.resource);
    let mut response = render::object(asked.form, asked.resource, &object, code);
    warn(&mut response, &warnings);
    Ok(response)
}

fn put(
    asked: &Asked<'_>,
    value: &Value,
    part: Part,
    dry: bool,
) -> Result<(Arc<Object>, StatusCode), Status> {
    for _ in 0..ATTEMPTS {
        let Some(current) = asked.call.storage.get(&asked.key()) else {
            let creates = part == Part::Main
                && strategy::created_by_update(asked.resource)
                && matches!(meta(value, "resourceVersion"), "" | "0");
            if !creates {
                return Err(asked.not_found(&asked.request.name));
            }
            let object = create::store_new(asked, value.clone(), dry)?;
            return Ok((object, StatusCode::CREATED));
        };
        if let Some(done) = change(asked, &current, value.clone(), part, dry)? {
            return Ok((done, StatusCode::OK));
        }
    }
    Err(Status::modified(&asked.resource.group, &asked.resource.plural, &asked.request.name))
}

/// Makes `new` what is stored in place of `current`.
///
/// `None` when another write came between and `new` named no revision: read again, try again.
pub(super) fn change(
    asked: &Asked<'_>,
    current: &Arc<Object>,
    mut new: Value,
    part: Part,
    dry: bool,
) -> Result<Option<Arc<Object>>, Status> {
    let old = current.value();
    let conditional = check_preconditions(asked, &old, &new)?;
    settle(asked, &old, &mut new, part);
    if part == Part::Main && cluster_ip::is_service(asked) {
        node_port::assign(asked, Some(&old), &mut new)?;
    }
    let causes: Vec<_> = strategy::metadata_faults(asked.resource, &new)
        .into_iter()
        .chain(strategy::immutable_faults(asked.resource, &old, &new))
        .chain(cluster_ip::is_service(asked).then(|| cluster_ip::fault(&old, &new)).flatten())
        .collect();
    if !causes.is_empty() {
        let (group, kind) = (&asked.resource.group, &asked.resource.kind);
        return Err(Status::invalid(group, kind, &asked.request.name, &causes));
    }
    if new == old {
        return Ok(Some(current.clone()));
    }
    if dry {
        return Ok(Some(Arc::new(Object::encode(&new))));
    }
    let key = asked.key();
    match commit::replace(&*asked.call.storage, &key, current, &mut new) {
        Ok(stored) => {
            if let Stored::Gone(last) = &stored {
                garbage::after(asked, &key, last)?;
            }
            Ok(Some(stored.object().clone()))
        }
        Err(CommitError::Changed { .. } | CommitError::Missing) if !conditional => Ok(None),
        Err(error) => Err(refused(asked, &asked.request.name, &error)),
    }
}

/// Compares the revision and uid that a write names with what is stored; tells whether it named
/// a revision.
fn check_preconditions(asked: &Asked<'_>, old: &Value, new: &Value) -> Result<bool, Status> {
    let (group, plural) = (&*asked.resource.group, &*asked.resource.plural);
    let name = &asked.request.name;
    let uid = meta(new, "uid");
    if !uid.is_empty() && uid != meta(old, "uid") {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object \
             meta: {}",
            storage_key(asked),
            meta(old, "uid")
        );
        return Err(Status::conflict(group, plural, name, &why));
    }
    let revision = meta(new, "resourceVersion");
    if revision.is_empty() || revision == "0" {
        if strategy::unconditional_update(asked.resource) {
            return Ok(false);
        }
        let cause = crate::status::Cause::invalid(
            "metadata.resourceVersion",
            &Value::from(0),
            "must be specified for an update",
        );
        return Err(Status::invalid(group, plural, name, &[cause]));
    }
    if revision != meta(old, "resourceVersion") {
        return Err(Status::modified(group, plural, name));
    }
    Ok(true)
}

/// The object's place in etcd, which the real server tells with some refusals.
fn storage_key(asked: &Asked<'_>) -> String {
    let key = asked.key();
    let group = if key.resource.group().contains('.') { key.resource.group() } else { "" };
    ["registry", group, key.resource.resource(), &key.namespace, &key.name]
        .iter()
        .filter(|part| !part.is_empty())
        .fold(String::new(), |path, part| path + "/" + part)
}

/// Restores in `new` what a write of this part cannot change.
fn settle(asked: &Asked<'_>, old: &Value, new: &mut Value, part: Part) {
    let resource = asked.resource;
    match part {
        Part::Main => {
            if cluster_ip::is_service(asked) {
                cluster_ip::keep(old, new);
            }
            if strategy::has_status(resource) {
                restore(new, old, "status");
            }
            if resource.plural == "namespaces" && resource.group.is_empty() {
                restore(new, old, "spec");
                strategy::initial_spec(resource, new);
            }
        }
        Part::Status => {
            let status = new["status"].take();
            let sent = std::mem::replace(new, old.clone());
            new["status"] = status;
            strategy::status_metadata(resource, sent, new);
        }
        Part::Finalizers => {
            let finalizers = new["spec"]["finalizers"].take();
            *new = old.clone();
            new["spec"]["finalizers"] = finalizers;
        }
    }
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "selfLink",
        "generateName",
    ] {
        restore(&mut new["metadata"], &old["metadata"], field);
    }
    drop_empty(metadata(new));
    if strategy::has_generation(resource) && spec_changed(old, new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
        new["metadata"]["generation"] = (generation + 1).into();
    }
}

/// Gives `new` the field that `old` has, or takes it away.
fn restore(new: &mut Value, old: &Value, field: &str) {
    let Some(map) = new.as_object_mut() else {
        return;
    };
    match old.get(field) {
        Some(value) => map.insert(field.into(), value.clone()),
        None => map.remove(field),
    };
}

/// Empty maps and lists of metadata are not kept: typed servers leave them out.
fn drop_empty(metadata: &mut serde_json::Map<String, Value>) {
    metadata.retain(|key, value| {
        let empty = value.is_null()
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty);
        !(empty
            && matches!(key.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences"))
    });
}

/// Whether anything but metadata and status differs.
fn spec_changed(old: &Value, new: &Value) -> bool {
    let fields = |value: &Value| {
        let mut map = value.as_object().cloned().unwrap_or_default();
        map.remove("metadata");
        map.remove("status");
        map
    };
    fields(old) != fields(new)
}

/// Whether an object that is being deleted has nothing left that holds it.
pub(super) fn is_finished(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let held_by_spec = object["kind"] == "Namespace" && !none(&object["spec"]["finalizers"]);
    metadata.get("deletionTimestamp").is_some()
        && none(&metadata["finalizers"])
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() == 0
        && !held_by_spec
}
