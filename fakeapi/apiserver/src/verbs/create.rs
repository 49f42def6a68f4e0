//! Create.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::options::{FieldValidation, dry_run, field_validation};
use super::strategy::{self, meta, metadata};
use super::{cluster_ip, commit, defaults, namespace, node_port};
use crate::body::Body;
use crate::catalog::Resource;
use crate::render;
use crate::server::Asked;
use crate::status::{Cause, Status};
use crate::storage::{CommitError, Key, Object};
use crate::{codec, conversion, names};

/// A body as an object of the resource's kind, with what strict callers are told.
pub(super) struct Incoming {
    pub(super) value: Value,
    /// Texts for `Warning` headers.
    pub(super) warnings: Vec<String>,
}

pub(super) fn create(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    if !asked.request.name.is_empty() {
        return Err(Status::method_not_allowed());
    }
    let dry = dry_run(asked)?;
    let Incoming { value, warnings } = incoming(asked)?;
    let value = conversion::kept(value, asked.resource);
    let object = store_new(asked, value, dry)?;
    let object = conversion::served(&object, asked.resource);
    let mut response = render::object(asked.form, asked.resource, &object, StatusCode::CREATED);
    warn(&mut response, &warnings);
    Ok(response)
}

/// Prepares a new object and stores it.
pub(super) fn store_new(
    asked: &Asked<'_>,
    mut value: Value,
    dry: bool,
) -> Result<Arc<Object>, Status> {
    let resource = asked.resource;
    namespace::check_open(asked, meta(&value, "name"))?;
    let generated = prepare(asked, &mut value)?;
    let causes = strategy::metadata_faults(resource, &value);
    if !causes.is_empty() {
        let name = meta(&value, "name");
        return Err(Status::invalid(&resource.group, &resource.kind, name, &causes));
    }
    if cluster_ip::is_service(asked) {
        cluster_ip::assign(asked, &mut value)?;
        node_port::assign(asked, None, &mut value)?;
    }
    let storage = &*asked.call.storage;
    if dry {
        let key = asked.key_of(meta(&value, "name"));
        let taken = storage.get(&key).is_some();
        return if taken {
            Err(exists(resource, &key.name))
        } else {
            Ok(Object::encode(&value).into())
        };
    }
    for attempt in 0.. {
        let key = asked.key_of(meta(&value, "name"));
        match commit::insert(storage, &key, &mut value) {
            Ok(stored) => {
                follow(asked, &key)?;
                return Ok(stored);
            }
            Err(CommitError::Exists) if generated && attempt < GENERATE_ATTEMPTS => {
                let base = meta(&value, "generateName").to_owned();
                metadata(&mut value).insert("name".into(), names::generate_name(&base).into());
                // What else is made of the name is made again.
                strategy::initial_spec(resource, &mut value);
            }
            Err(CommitError::Exists) => return Err(exists(resource, &key.name)),
            Err(error) => return Err(refused(asked, &key.name, &error)),
        }
    }
    unreachable!("the loop ends at GENERATE_ATTEMPTS")
}

/// What follows from a new object.
fn follow(asked: &Asked<'_>, key: &Key) -> Result<(), Status> {
    if asked.resource.plural == "namespaces" && asked.resource.group.is_empty() {
        return namespace::furnish(asked, &key.name);
    }
    namespace::created_in(asked)
}

/// How often a taken generated name is made anew, as the real server does.
const GENERATE_ATTEMPTS: u32 = 8;

fn exists(resource: &Resource, name: &str) -> Status {
    Status::already_exists(&resource.group, &resource.plural, name)
}

/// What a store's refusal means to the client.
pub(super) fn refused(asked: &Asked<'_>, name: &str, error: &CommitError) -> Status {
    let resource = asked.resource;
    match error {
        CommitError::Exists => exists(resource, name),
        CommitError::Missing => asked.not_found(name),
        CommitError::Changed { .. } => Status::modified(&resource.group, &resource.plural, name),
        CommitError::Log(cause) => {
            tracing::error!(%cause, "a change could not be written to the log");
            Status::internal(error)
        }
    }
}

/// Fills in what the server gives to a new object; tells whether it made the name.
fn prepare(asked: &Asked<'_>, value: &mut Value) -> Result<bool, Status> {
    let resource = asked.resource;
    strategy::initial_status(resource, value);
    let metadata = metadata(value);
    let base = metadata.get("generateName").and_then(Value::as_str).unwrap_or_default();
    let generated = !base.is_empty() && metadata.get("name").is_none_or(|name| name == "");
    if generated {
        let name = names::generate_name(base);
        metadata.insert("name".into(), name.into());
    }
    if metadata.get("resourceVersion").is_some_and(|rv| !rv.is_null() && rv != "" && rv != "0") {
        return Err(Status::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"]
    {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), strategy::now().into());
    if strategy::has_generation(resource) {
        metadata.insert("generation".into(), 1.into());
    } else {
        metadata.remove("generation");
    }
    strategy::initial_spec(resource, value);
    if (&*resource.group, &*resource.plural)
        == ("certificates.k8s.io", "certificatesigningrequests")
    {
        name_requester(asked, value);
    }
    Ok(generated)
}

/// A signing request says who made it, and nobody can say they are another.
fn name_requester(asked: &Asked<'_>, request: &mut Value) {
    let user = asked.user;
    let Some(spec) = request["spec"].as_object_mut() else {
        return;
    };
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    spec.insert("username".into(), user.name.as_str().into());
    spec.insert("groups".into(), json!(user.groups));
    if !user.uid.is_empty() {
        spec.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".into(), json!(user.extra));
    }
}

/// Decodes the request's body and checks that it is of the resource's kind and place.
pub(super) fn incoming(asked: &Asked<'_>) -> Result<Incoming, Status> {
    let decoded = codec::decode(&asked.headers, &asked.body, &asked.resource.kind)?;
    let mut incoming = Incoming { value: decoded.value, warnings: decoded.duplicates };
    check_kind(asked.resource, &mut incoming.value)?;
    check_fields(asked, &mut incoming)?;
    check_place(asked, &mut incoming.value)?;
    Ok(incoming)
}

/// `apiVersion` and `kind` must be the resource's; absent ones are filled in.
fn check_kind(resource: &Resource, value: &mut Value) -> Result<(), Status> {
    let version = resource.api_version();
    let sent = value["apiVersion"].as_str().unwrap_or_default();
    if !sent.is_empty() && sent != version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({sent}) does not match the expected API version ({version})"
        )));
    }
    let kind = value["kind"].as_str().unwrap_or_default();
    if !kind.is_empty() && kind != resource.kind {
        return Err(Status::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: converting ({kind}) to ({}): \
             unknown conversion",
            resource.version, resource.kind, resource.kind
        )));
    }
    value["apiVersion"] = version.into();
    value["kind"] = resource.kind.as_str().into();
    Ok(())
}

/// Fields the kind does not have are dropped, and told as `fieldValidation` wants it; fields of
/// the wrong type are refused.
pub(super) fn check_fields(asked: &Asked<'_>, incoming: &mut Incoming) -> Result<(), Status> {
    let resource = asked.resource;
    let how = field_validation(asked)?;
    if let Some(root) =
        asked.server.types().root(&resource.group, &resource.version, &resource.kind)
    {
        let cannot = |why: &str| {
            Status::bad_request(format!(
                "{} in version \"{}\" cannot be handled as a {}: {why}",
                resource.kind, resource.version, resource.kind
            ))
        };
        crate::types::check(&incoming.value, root).map_err(|error| cannot(&error.to_string()))?;
        let unknown = crate::types::prune(&mut incoming.value, root);
        incoming.warnings.extend(unknown);
        if how == FieldValidation::Strict && !incoming.warnings.is_empty() {
            let all = incoming.warnings.join(", ");
            return Err(cannot(&format!("strict decoding error: {all}")));
        }
        crate::types::normalize(&mut incoming.value, root);
    }
    if let Some(metadata) = incoming.value["metadata"].as_object_mut() {
        // Field ownership is not tracked: clients send back what they read, which says nothing.
        metadata.remove("managedFields");
    }
    strategy::fold_string_data(resource, &mut incoming.value);
    defaults::apply(resource, &mut incoming.value);
    if how == FieldValidation::Ignore {
        incoming.warnings.clear();
    }
    Ok(())
}

/// The object's namespace must be the path's.
fn check_place(asked: &Asked<'_>, value: &mut Value) -> Result<(), Status> {
    if value.get("metadata").is_some_and(|metadata| !metadata.is_object()) {
        let cause = Cause::required("metadata", "");
        return Err(Status::invalid(&asked.resource.group, &asked.resource.kind, "", &[cause]));
    }
    let namespace = meta(value, "namespace").to_owned();
    if !asked.resource.namespaced {
        if namespace.is_empty() {
            return Ok(());
        }
        metadata(value).remove("namespace");
        return Ok(());
    }
    let path = &asked.request.namespace;
    if !namespace.is_empty() && namespace != *path {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata(value).insert("namespace".into(), json!(path));
    Ok(())
}

/// Tells warnings in the headers that kubectl shows.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        let line = format!("299 - \"{text}\"");
        // Only control characters cannot be sent, and JSON has none of them in its texts.
        if let Ok(value) = http::HeaderValue::from_bytes(line.as_bytes()) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}
