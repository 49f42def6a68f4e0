//! Nodes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, NONE, UNKNOWN, row};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub(super) fn cells(node: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let info = node.at(&["status", "nodeInfo"]);
    row![
        node.name(),
        status(node),
        roles(node),
        node.age(now),
        info.text(&["kubeletVersion"]),
        address(node, "InternalIP"),
        address(node, "ExternalIP"),
        info.text_or(&["osImage"], UNKNOWN),
        kernel(info),
        info.text_or(&["containerRuntimeVersion"], UNKNOWN),
    ]
}

/// The kernel's version with the architecture behind it, where that is known.
fn kernel(info: Fields<'_>) -> String {
    let version = info.text_or(&["kernelVersion"], UNKNOWN);
    match info.text(&["architecture"]) {
        "" => version.to_owned(),
        architecture => format!("{version} ({architecture})"),
    }
}

/// Readiness, then whether scheduling is off. Of several `Ready` conditions the last one counts.
fn status(node: Fields<'_>) -> String {
    let conditions = node.items(&["status", "conditions"]);
    let ready = conditions.rev().find(|condition| condition.text(&["type"]) == "Ready");
    let ready = match ready.map(|condition| condition.text(&["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if node.flag(&["spec", "unschedulable"]) {
        format!("{ready},SchedulingDisabled")
    } else {
        ready.to_owned()
    }
}

/// Roles come from both the prefix label (role in the key) and the older one (role in the value).
fn roles(node: Fields<'_>) -> String {
    let labels = node.entries(&["metadata", "labels"]);
    let roles: BTreeSet<_> = labels
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None if key == ROLE_LABEL => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() {
        return NONE.to_owned();
    }
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn address<'a>(node: Fields<'a>, kind: &str) -> &'a str {
    let address = node.condition(&["status", "addresses"], kind);
    address.map_or(NONE, |address| address.text(&["address"]))
}
