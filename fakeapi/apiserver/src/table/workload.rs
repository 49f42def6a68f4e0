//! Workloads that run pods from a template.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, NONE, row};
use super::labels::{format_label_selector, format_labels, requirements};

/// Where a template holds its containers.
const CONTAINERS: &[&str] = &["spec", "template", "spec", "containers"];

/// The number of replicas that an absent `spec.replicas` means.
const DEFAULT_REPLICAS: i64 = 1;

pub(super) fn deployment(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let selector = requirements(object.at(&["spec", "selector"]));
    row![
        object.name(),
        ready_of_desired(object),
        object.int(&["status", "updatedReplicas"]),
        object.int(&["status", "availableReplicas"]),
        object.age(now),
        container_names(object, CONTAINERS),
        container_images(object, CONTAINERS),
        selector.unwrap_or_else(|| "<invalid>".to_owned()),
    ]
}

pub(super) fn replica_set(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let selector = format_label_selector(object.at(&["spec", "selector"]));
    replicas(object, selector, now)
}

/// A replication controller without a selector selects its template's labels.
pub(super) fn replication_controller(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let selector = match object.count(&["spec", "selector"]) {
        0 => object.at(&["spec", "template", "metadata", "labels"]),
        _ => object.at(&["spec", "selector"]),
    };
    replicas(object, format_labels(selector), now)
}

fn replicas(object: Fields<'_>, selector: String, now: Timestamp) -> Vec<Value> {
    row![
        object.name(),
        object.int_or(&["spec", "replicas"], DEFAULT_REPLICAS),
        object.int(&["status", "replicas"]),
        object.int(&["status", "readyReplicas"]),
        object.age(now),
        container_names(object, CONTAINERS),
        container_images(object, CONTAINERS),
        selector,
    ]
}

pub(super) fn daemon_set(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![
        object.name(),
        object.int(&["status", "desiredNumberScheduled"]),
        object.int(&["status", "currentNumberScheduled"]),
        object.int(&["status", "numberReady"]),
        object.int(&["status", "updatedNumberScheduled"]),
        object.int(&["status", "numberAvailable"]),
        format_labels(object.at(&["spec", "template", "spec", "nodeSelector"])),
        object.age(now),
        container_names(object, CONTAINERS),
        container_images(object, CONTAINERS),
        format_label_selector(object.at(&["spec", "selector"])),
    ]
}

pub(super) fn stateful_set(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![
        object.name(),
        ready_of_desired(object),
        object.age(now),
        container_names(object, CONTAINERS),
        container_images(object, CONTAINERS),
    ]
}

pub(super) fn pod_template(object: Fields<'_>, _now: Timestamp) -> Vec<Value> {
    let containers = &["template", "spec", "containers"];
    row![
        object.name(),
        container_names(object, containers),
        container_images(object, containers),
        format_labels(object.at(&["template", "metadata", "labels"])),
    ]
}

pub(super) fn controller_revision(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), controller(object), object.int(&["revision"]), object.age(now)]
}

/// The owner that controls the object, as `kind.group/name`.
fn controller(object: Fields<'_>) -> String {
    let mut owners = object.items(&["metadata", "ownerReferences"]);
    let Some(owner) = owners.find(|owner| owner.flag(&["controller"])) else {
        return NONE.to_owned();
    };
    let (kind, name) = (owner.text(&["kind"]).to_lowercase(), owner.text(&["name"]));
    match owner.text(&["apiVersion"]).split_once('/') {
        Some((group, _)) if !group.is_empty() => format!("{kind}.{}/{name}", group.to_lowercase()),
        _ if kind.is_empty() => name.to_owned(),
        _ => format!("{kind}/{name}"),
    }
}

fn ready_of_desired(object: Fields<'_>) -> String {
    let desired = object.int_or(&["spec", "replicas"], DEFAULT_REPLICAS);
    format!("{}/{desired}", object.int(&["status", "readyReplicas"]))
}

pub(super) fn container_names(object: Fields<'_>, containers: &[&str]) -> String {
    join(object, containers, "name")
}

pub(super) fn container_images(object: Fields<'_>, containers: &[&str]) -> String {
    join(object, containers, "image")
}

fn join(object: Fields<'_>, containers: &[&str], key: &str) -> String {
    let texts: Vec<_> = object.items(containers).map(|container| container.text(&[key])).collect();
    texts.join(",")
}
