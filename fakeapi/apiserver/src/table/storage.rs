//! Volumes, claims, classes and CSI.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, UNSET, number, row};
use super::network::name_with_default;

/// Where a class stood before it had a field; it still wins.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// Access modes in the order in which they are shown.
const ACCESS_MODES: [(&str, &str); 4] = [
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
];

const DEFAULT_VOLUME_MODE: &str = "Filesystem";

pub(super) fn persistent_volume(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![
        object.name(),
        capacity(object.at(&["spec", "capacity"])),
        access_modes(object.at(&["spec", "accessModes"])),
        object.text_or(&["spec", "persistentVolumeReclaimPolicy"], "Retain"),
        phase(object),
        claim(object.at(&["spec", "claimRef"])),
        class(object),
        object.optional_text_or(&["spec", "volumeAttributesClassName"], UNSET),
        object.text(&["status", "reason"]),
        object.age(now),
        object.optional_text_or(&["spec", "volumeMode"], DEFAULT_VOLUME_MODE),
    ]
}

/// What a claim got is shown once it names a volume.
pub(super) fn persistent_volume_claim(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let volume = object.text(&["spec", "volumeName"]);
    let (size, modes) = if volume.is_empty() {
        (String::new(), String::new())
    } else {
        let status = object.at(&["status"]);
        (capacity(status.at(&["capacity"])), access_modes(status.at(&["accessModes"])))
    };
    row![
        object.name(),
        phase(object),
        volume,
        size,
        modes,
        class(object),
        object.optional_text_or(&["spec", "volumeAttributesClassName"], UNSET),
        object.age(now),
        object.optional_text_or(&["spec", "volumeMode"], DEFAULT_VOLUME_MODE),
    ]
}

fn capacity(resources: Fields<'_>) -> String {
    resources.quantity(&["storage"]).unwrap_or_else(|| "0".to_owned())
}

fn access_modes(modes: Fields<'_>) -> String {
    let modes = modes.texts(&[]);
    let shown = ACCESS_MODES.into_iter().filter(|(mode, _)| modes.contains(mode));
    shown.map(|(_, short)| short).collect::<Vec<_>>().join(",")
}

fn phase(object: Fields<'_>) -> &str {
    if object.deleting() { "Terminating" } else { object.text_or(&["status", "phase"], "Pending") }
}

fn claim(reference: Fields<'_>) -> String {
    if !reference.has(&[]) {
        return String::new();
    }
    format!("{}/{}", reference.text(&["namespace"]), reference.text(&["name"]))
}

fn class(object: Fields<'_>) -> &str {
    let field = object.text(&["spec", "storageClassName"]);
    object.optional_text_or(&["metadata", "annotations", CLASS_ANNOTATION], field)
}

pub(super) fn storage_class(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let default = DEFAULT_CLASS.into_iter().any(|key| object.annotation(key) == "true");
    row![
        name_with_default(object, default),
        object.text(&["provisioner"]),
        object.optional_text_or(&["reclaimPolicy"], "Delete"),
        object.optional_text_or(&["volumeBindingMode"], "Immediate"),
        object.flag(&["allowVolumeExpansion"]),
        object.age(now),
    ]
}

pub(super) fn volume_attributes_class(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), object.text(&["driverName"]), object.age(now)]
}

pub(super) fn volume_attachment(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![
        object.name(),
        object.text(&["spec", "attacher"]),
        object.text(&["spec", "source", "persistentVolumeName"]),
        object.text(&["spec", "nodeName"]),
        object.flag(&["status", "attached"]),
        object.age(now),
    ]
}

pub(super) fn csi_node(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), number(object.count(&["spec", "drivers"])), object.age(now)]
}

pub(super) fn csi_driver(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let spec = object.at(&["spec"]);
    row![
        object.name(),
        spec.flag_or(&["attachRequired"], true),
        spec.flag(&["podInfoOnMount"]),
        spec.flag(&["storageCapacity"]),
        token_requests(spec),
        spec.flag(&["requiresRepublish"]),
        lifecycle_modes(spec),
        object.age(now),
    ]
}

fn token_requests(spec: Fields<'_>) -> String {
    if !spec.has(&["tokenRequests"]) {
        return UNSET.to_owned();
    }
    let audiences = spec.items(&["tokenRequests"]).map(|request| request.text(&["audience"]));
    audiences.collect::<Vec<_>>().join(",")
}

fn lifecycle_modes(spec: Fields<'_>) -> String {
    match spec.texts(&["volumeLifecycleModes"]).as_slice() {
        [] => "Persistent".to_owned(),
        modes => modes.join(","),
    }
}
