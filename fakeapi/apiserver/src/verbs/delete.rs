//! Delete, of one object and of many.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::create::refused;
use super::namespace;
use super::options::{ListOptions, check_dry_run};
use super::strategy::{self, meta, metadata};
use super::update::{ATTEMPTS, is_finished};
use crate::body::Body;
use crate::codec;
use crate::conversion;
use crate::render::{self, ListHead};
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{CommitError, Entry, Expect, Key, Object, PageRequest, Scope};

/// `meta/v1` `DeleteOptions`, from the body or the query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeleteOptions {
    grace_period_seconds: Option<i64>,
    preconditions: Option<Preconditions>,
    propagation_policy: Option<String>,
    dry_run: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    fn read(asked: &Asked<'_>) -> Result<Self, Status> {
        let mut options = if asked.body.is_empty() {
            Self::default()
        } else {
            let decoded = codec::decode(&asked.headers, &asked.body, "DeleteOptions")?;
            Self::of(decoded.value)?
        };
        let query = &asked.query;
        if let Some(grace) = query.get("gracePeriodSeconds") {
            let seconds = grace.parse().map_err(|_| {
                Status::bad_request(format!("invalid gracePeriodSeconds \"{grace}\""))
            })?;
            options.grace_period_seconds.get_or_insert(seconds);
        }
        if let Some(policy) = query.get("propagationPolicy") {
            options.propagation_policy.get_or_insert(policy.to_owned());
        }
        if options.dry_run.is_empty() {
            options.dry_run = query.all("dryRun").map(str::to_owned).collect();
        }
        if let Some(policy) = &options.propagation_policy
            && !matches!(policy.as_str(), "Background" | "Foreground" | "Orphan")
        {
            let message = format!(
                "Unsupported value: \"{policy}\": supported values: \"Foreground\", \
                 \"Background\", \"Orphan\", \"nil\""
            );
            let field = "propagationPolicy".to_owned();
            let cause = crate::status::Cause { reason: "FieldValueNotSupported", message, field };
            return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &[cause]));
        }
        Ok(options)
    }

    /// Reads the options out of an object, such as the `deleteOptions` of an eviction.
    fn of(value: Value) -> Result<Self, Status> {
        let value = without_nulls(value);
        serde_json::from_value(value)
            .map_err(|error| Status::bad_request(format!("invalid DeleteOptions: {error}")))
    }
}

/// JSON null means "not set" in every Kubernetes type.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

pub(super) fn delete(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    let options = DeleteOptions::read(asked)?;
    let outcome = delete_named(asked, &asked.key(), &options)?;
    answer(asked, &outcome)
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
    let gone = conversion::served_all(gone, asked.resource)?;
    Ok(render::list(asked.form, asked.resource, &head, gone.iter().map(AsRef::as_ref)))
}

/// What became of an object that was to be deleted.
enum Outcome {
    /// It is gone; this was its last state.
    Gone(Arc<Object>),
    /// It is marked and waits for its finalizers.
    Marked(Arc<Object>),
}

fn delete_named(asked: &Asked<'_>, key: &Key, options: &DeleteOptions) -> Result<Outcome, Status> {
    let dry = check_dry_run(options.dry_run.iter().map(String::as_str))?;
    for _ in 0..ATTEMPTS {
        let current = asked.call.storage.get(key).ok_or_else(|| asked.not_found(&key.name))?;
        let value = current.value();
        check(asked, key, options, &value)?;
        if is_namespace(key) {
            guard_namespace(&key.name)?;
            if dry {
                return Ok(Outcome::Marked(current));
            }
            return namespace::terminate(asked, &current).map(Outcome::Marked);
        }
        if dry {
            return Ok(Outcome::Gone(current));
        }
        if let Some(outcome) = remove(asked, key, &current, value, options)? {
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

fn check(
    asked: &Asked<'_>,
    key: &Key,
    options: &DeleteOptions,
    value: &Value,
) -> Result<(), Status> {
    let Some(preconditions) = &options.preconditions else {
        return Ok(());
    };
    let differs = |what: &str, wanted: &Option<String>, field: &str| {
        let wanted = wanted.as_deref()?;
        let found = meta(value, field);
        (wanted != found).then(|| {
            format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            )
        })
    };
    let why = differs("UID", &preconditions.uid, "uid")
        .or_else(|| differs("ResourceVersion", &preconditions.resource_version, "resourceVersion"));
    why.map_or(Ok(()), |why| {
        Err(Status::conflict(&asked.resource.group, &asked.resource.plural, &key.name, &why))
    })
}

/// Removes an object, or marks it when finalizers hold it. `None`: it changed, try again.
fn remove(
    asked: &Asked<'_>,
    key: &Key,
    current: &Arc<Object>,
    mut value: Value,
    options: &DeleteOptions,
) -> Result<Option<Outcome>, Status> {
    let marked = value["metadata"].get("deletionTimestamp").is_some();
    add_finalizer(&mut value, options);
    metadata(&mut value).insert("deletionGracePeriodSeconds".into(), 0.into());
    if !marked {
        metadata(&mut value).insert("deletionTimestamp".into(), strategy::now().into());
    }
    let gone = is_finished(&value);
    if marked && !gone {
        return Ok(Some(Outcome::Marked(current.clone())));
    }
    let mut encode = |revision: u64| {
        metadata(&mut value).insert("resourceVersion".into(), revision.to_string().into());
        Object::encode(&value)
    };
    let entry = if gone { Entry::Remove(&mut encode) } else { Entry::Put(&mut encode) };
    let expect = Expect::Revision(current.meta.resource_version);
    match asked.call.storage.commit(key, expect, entry) {
        Ok(object) if gone => {
            namespace::object_gone(asked, key)?;
            Ok(Some(Outcome::Gone(object)))
        }
        Ok(object) => Ok(Some(Outcome::Marked(object))),
        Err(CommitError::Changed { .. }) => Ok(None),
        Err(error) => Err(refused(asked, &key.name, &error)),
    }
}

/// Deleting with `Orphan` or `Foreground` leaves the object to the garbage collector, which
/// takes the finalizer away when it is done with the dependents.
fn add_finalizer(value: &mut Value, options: &DeleteOptions) {
    let finalizer = match options.propagation_policy.as_deref() {
        Some("Orphan") => "orphan",
        Some("Foreground") => "foregroundDeletion",
        _ => return,
    };
    let finalizers = metadata(value).entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = finalizers.as_array_mut()
        && !list.iter().any(|f| f == finalizer)
    {
        list.push(finalizer.into());
    }
}

fn answer(asked: &Asked<'_>, outcome: &Outcome) -> Result<Response<Body>, Status> {
    let resource = asked.resource;
    match outcome {
        // Kinds that can be deleted gracefully answer with the object.
        Outcome::Gone(object) if resource.plural != "pods" || !resource.group.is_empty() => {
            let value = object.value();
            let (name, uid) = (meta(&value, "name"), meta(&value, "uid"));
            let status = Status::deleted(&resource.group, &resource.plural, name, uid);
            Ok(render::status(asked.form, &status))
        }
        Outcome::Gone(object) | Outcome::Marked(object) => {
            let object = conversion::served(object, resource)?;
            Ok(render::object(asked.form, resource, &object, StatusCode::OK))
        }
    }
}
