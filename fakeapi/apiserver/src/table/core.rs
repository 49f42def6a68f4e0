//! The small kinds of the core group.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, number, row};

/// Kinds that show nothing but a name and an age.
pub(super) fn name_and_age(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), object.age(now)]
}

pub(super) fn namespace(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), object.text_or(&["status", "phase"], "Active"), object.age(now)]
}

pub(super) fn config_map(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let entries = object.count(&["data"]) + object.count(&["binaryData"]);
    row![object.name(), number(entries), object.age(now)]
}

pub(super) fn secret(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let entries = number(object.count(&["data"]));
    row![object.name(), object.text_or(&["type"], "Opaque"), entries, object.age(now)]
}

/// Used and hard amounts of each resource; those named `limits.…` have a column of their own.
pub(super) fn resource_quota(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let mut resources: Vec<_> = object.entries(&["status", "hard"]).map(|(name, _)| name).collect();
    resources.sort_unstable();
    let (limits, requests): (Vec<_>, Vec<_>) = resources
        .into_iter()
        .partition(|name| name.split_once('.').is_some_and(|(prefix, _)| prefix == "limits"));
    let amounts = |names: Vec<&str>| {
        let cells: Vec<_> = names.into_iter().map(|name| quota_amount(object, name)).collect();
        cells.join(", ")
    };
    row![object.name(), amounts(requests), amounts(limits), object.age(now)]
}

fn quota_amount(quota: Fields<'_>, resource: &str) -> String {
    let amount =
        |side| quota.quantity(&["status", side, resource]).unwrap_or_else(|| "0".to_owned());
    format!("{resource}: {}/{}", amount("used"), amount("hard"))
}

pub(super) fn component_status(object: Fields<'_>, _now: Timestamp) -> Vec<Value> {
    let Some(healthy) = object.condition(&["conditions"], "Healthy") else {
        return row![object.name(), "Unknown", "", ""];
    };
    let status = if healthy.text(&["status"]) == "True" { "Healthy" } else { "Unhealthy" };
    row![object.name(), status, healthy.text(&["message"]), healthy.text(&["error"])]
}
