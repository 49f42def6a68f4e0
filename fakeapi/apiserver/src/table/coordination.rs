//! Leases and those who apply for them.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, row};

pub(super) fn lease(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), object.text(&["spec", "holderIdentity"]), object.age(now)]
}

pub(super) fn lease_candidate(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let spec = object.at(&["spec"]);
    row![
        object.name(),
        spec.text(&["leaseName"]),
        spec.text(&["binaryVersion"]),
        spec.text(&["emulationVersion"]),
        object.age(now),
    ]
}
