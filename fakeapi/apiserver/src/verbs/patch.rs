//! Patch: part of an object anew, by one of three rules.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::create::{Incoming, check_fields, warn};
use super::options::dry_run;
use super::strategy::meta;
use super::update::{ATTEMPTS, Part, change};
use crate::body::Body;
use crate::patch::{Merged, PatchError, json_patch, merge_patch, strategic};
use crate::server::Asked;
use crate::status::Status;
use crate::storage::Object;
use crate::{codec, conversion, render, yaml};

/// RFC 6902.
const JSON_PATCH: &str = "application/json-patch+json";
/// RFC 7396.
const MERGE_PATCH: &str = "application/merge-patch+json";
/// Kubernetes' own, which knows which lists are maps.
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

/// A patch, read.
enum Patch {
    Json(Bytes),
    Merge(Value),
    Strategic(Value),
}

impl Patch {
    fn read(asked: &Asked<'_>) -> Result<Self, Status> {
        match codec::media_type(&asked.headers) {
            JSON_PATCH => Ok(Self::Json(asked.body.clone())),
            MERGE_PATCH => Ok(Self::Merge(object(&asked.body)?)),
            STRATEGIC_PATCH => Ok(Self::Strategic(object(&asked.body)?)),
            _ => Err(Status::unsupported_media_type(&[JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH])),
        }
    }

    fn apply(&self, asked: &Asked<'_>, object: &mut Value) -> Result<(), Status> {
        let (resource, types) = (asked.resource, asked.server.types());
        let applied = match self {
            Self::Json(patch) => json_patch(object, patch),
            Self::Merge(patch) => merge_patch(object, patch),
            Self::Strategic(patch) => {
                let root = types
                    .root(&resource.group, &resource.version, &resource.kind)
                    .ok_or_else(|| Status::unsupported_media_type(&[JSON_PATCH, MERGE_PATCH]))?;
                strategic(object, patch, types, Merged::Object(root))
            }
        };
        applied.map_err(|error| refused(&error))
    }

    /// Whether the patch names the revision that it is for, so that trying again is wrong.
    fn conditional(&self) -> bool {
        match self {
            Self::Json(_) => false,
            Self::Merge(patch) | Self::Strategic(patch) => {
                !meta(patch, "resourceVersion").is_empty()
            }
        }
    }
}

fn object(body: &Bytes) -> Result<Value, Status> {
    let value = crate::json::strict(body).map(|(value, _)| value).or_else(|error| {
        // Patches are often written by hand, in YAML.
        yaml::to_json(body)
            .map_err(|_| Status::bad_request(format!("error decoding patch: {error}")))
    })?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Status::bad_request("error decoding patch: the patch is not an object"))
}

fn refused(error: &PatchError) -> Status {
    match error {
        PatchError::Malformed(message) => Status::bad_request(message.as_str()),
        PatchError::TooManyOperations { .. } => Status::too_large(error.to_string()),
        PatchError::Unfit(message) => Status::unprocessable_patch(message),
        PatchError::Contradictory(message) => Status::internal(message),
    }
}

pub(super) fn patch(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    patch_part(asked, Part::Main)
}

/// Patches an object or a part of it.
pub(super) fn patch_part(asked: &Asked<'_>, part: Part) -> Result<Response<Body>, Status> {
    let dry = dry_run(asked)?;
    let patch = Patch::read(asked)?;
    for _ in 0..ATTEMPTS {
        let current = asked
            .call
            .storage
            .get(&asked.key())
            .ok_or_else(|| asked.not_found(&asked.request.name))?;
        let Patched { value, told } = patched(asked, &current, &patch)?;
        if let Some(object) = change(asked, &current, value, part, dry)? {
            return Ok(answer(asked, &object, &told));
        }
    }
    Err(Status::modified(&asked.resource.group, &asked.resource.plural, &asked.request.name))
}

struct Patched {
    value: Value,
    told: Vec<String>,
}

/// The object as the patch makes it, in the version in which it is kept.
fn patched(asked: &Asked<'_>, current: &Arc<Object>, patch: &Patch) -> Result<Patched, Status> {
    let mut value = conversion::served(current, asked.resource).value();
    let revision = meta(&value, "resourceVersion").to_owned();
    patch.apply(asked, &mut value)?;
    if !value.is_object() {
        return Err(Status::unprocessable_patch("the patched document is not an object"));
    }
    check_identity(asked, &value)?;
    if !patch.conditional() && meta(&value, "resourceVersion") == revision {
        // The revision that was read is no condition of the client's.
        super::strategy::metadata(&mut value).remove("resourceVersion");
    }
    let mut incoming = Incoming { value, warnings: Vec::new() };
    check_fields(asked, &mut incoming)?;
    let value = restored(incoming.value, &revision, asked);
    Ok(Patched { value: conversion::kept(value, asked.resource), told: incoming.warnings })
}

/// Kinds that cannot be written without a revision get the one that was read: the patch was
/// made for it.
fn restored(mut value: Value, revision: &str, asked: &Asked<'_>) -> Value {
    if meta(&value, "resourceVersion").is_empty()
        && !super::strategy::unconditional_update(asked.resource)
    {
        super::strategy::metadata(&mut value).insert("resourceVersion".into(), revision.into());
    }
    value
}

/// A patch cannot make another object of an object.
fn check_identity(asked: &Asked<'_>, value: &Value) -> Result<(), Status> {
    let (resource, request) = (asked.resource, &asked.request);
    let name = meta(value, "name");
    if name != request.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            request.name
        )));
    }
    if resource.namespaced && meta(value, "namespace") != request.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let (version, kind) = (resource.api_version(), &resource.kind);
    if value["apiVersion"] != version.as_str() || value["kind"] != kind.as_str() {
        let found = format!("{}, Kind={}", value["apiVersion"], value["kind"]);
        return Err(Status::bad_request(format!(
            "the patched object is of another kind: {found}, not {version}, Kind={kind}"
        )));
    }
    Ok(())
}

fn answer(asked: &Asked<'_>, object: &Arc<Object>, warnings: &[String]) -> Response<Body> {
    let object = conversion::served(object, asked.resource);
    let mut response = render::object(asked.form, asked.resource, &object, StatusCode::OK);
    warn(&mut response, warnings);
    response
}
