//! Certificate requests and trust bundles.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::duration::human_duration;
use super::fields::{Fields, NONE, row};
use super::labels::format_labels;

pub(super) fn signing_request(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let requested = object.at(&["spec", "expirationSeconds"]).0.as_i64();
    let requested = requested.map(|seconds| human_duration(SignedDuration::from_secs(seconds)));
    row![
        object.name(),
        object.age(now),
        object.text_or(&["spec", "signerName"], NONE),
        object.text(&["spec", "username"]),
        requested.unwrap_or_else(|| NONE.to_owned()),
        signing_status(object),
    ]
}

/// The decision, then what became of it. A condition counts by being there, whatever its status.
fn signing_status(request: Fields<'_>) -> String {
    let has = |kind| request.condition(&["status", "conditions"], kind).is_some();
    let decision = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = match request.text(&["status", "certificate"]) {
        "" => "",
        _ => ",Issued",
    };
    format!("{decision}{failed}{issued}")
}

pub(super) fn trust_bundle(object: Fields<'_>, _now: Timestamp) -> Vec<Value> {
    row![object.name(), object.text_or(&["spec", "signerName"], NONE)]
}

pub(super) fn pod_certificate_request(object: Fields<'_>, _now: Timestamp) -> Vec<Value> {
    let spec = object.at(&["spec"]);
    let conditions = object.items(&["status", "conditions"]).rev();
    let state = conditions
        .map(|condition| condition.text(&["type"]))
        .find(|kind| matches!(*kind, "Issued" | "Denied" | "Failed"));
    row![
        object.name(),
        spec.text(&["podName"]),
        spec.text(&["serviceAccountName"]),
        spec.text(&["nodeName"]),
        spec.text(&["signerName"]),
        state.unwrap_or("Pending"),
        format_labels(spec.at(&["unverifiedUserAnnotations"])),
    ]
}
