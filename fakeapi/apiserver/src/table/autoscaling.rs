//! Horizontal pod autoscalers and the scale of a workload.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, UNKNOWN, row};

/// How many metrics are shown before the rest is only counted.
const SHOWN: usize = 2;

/// The share of the requested CPU an autoscaler without metrics aims at.
const DEFAULT_CPU_PERCENT: i64 = 80;

pub(super) fn horizontal_pod_autoscaler(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let target = object.at(&["spec", "scaleTargetRef"]);
    row![
        object.name(),
        format!("{}/{}", target.text(&["kind"]), target.text(&["name"])),
        metrics(object),
        object.int_or(&["spec", "minReplicas"], 1).to_string(),
        object.int(&["spec", "maxReplicas"]),
        object.int(&["status", "currentReplicas"]),
        object.age(now),
    ]
}

pub(super) fn scale(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let replicas = |side| object.int(&[side, "replicas"]);
    row![object.name(), replicas("spec"), replicas("status"), object.age(now)]
}

fn metrics(object: Fields<'_>) -> String {
    let specs: Vec<_> = object.items(&["spec", "metrics"]).collect();
    if specs.is_empty() {
        return cpu_only(object);
    }
    let currents: Vec<_> = object.items(&["status", "currentMetrics"]).collect();
    let shown: Vec<_> = specs
        .iter()
        .enumerate()
        .take(SHOWN)
        .map(|(index, spec)| metric(*spec, currents.get(index).copied()))
        .collect();
    match specs.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} + {more} more...", shown.join(", ")),
    }
}

/// The one metric that version 1 of the API knows, and the default of version 2.
fn cpu_only(object: Fields<'_>) -> String {
    if object.text(&["apiVersion"]) == "autoscaling/v1" {
        return cpu_of_version_1(object);
    }
    let current = object.items(&["status", "currentMetrics"]).next();
    let current = current.map(|it| it.at(&["resource", "current", "averageUtilization"]));
    format!("cpu: {}/{DEFAULT_CPU_PERCENT}%", percent(current, UNKNOWN))
}

fn cpu_of_version_1(object: Fields<'_>) -> String {
    let target = object.int_or(&["spec", "targetCPUUtilizationPercentage"], DEFAULT_CPU_PERCENT);
    let current = object.at(&["status", "currentCPUUtilizationPercentage"]);
    format!("cpu: {}/{target}%", percent(Some(current), UNKNOWN))
}

fn percent(place: Option<Fields<'_>>, absent: &str) -> String {
    match place.and_then(|place| place.0.as_i64()) {
        Some(percent) => format!("{percent}%"),
        None => absent.to_owned(),
    }
}

fn metric(spec: Fields<'_>, current: Option<Fields<'_>>) -> String {
    let kind = spec.text(&["type"]);
    let key = match kind {
        "External" => "external",
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let target = spec.at(&[key, "target"]);
    let current = current.filter(|it| it.has(&[key])).map(|it| it.at(&[key, "current"]));
    match kind {
        "External" | "Object" => total_or_average(target, current),
        "Pods" => {
            format!("{}/{}", amount(current, "averageValue"), quantity(target, "averageValue"))
        }
        _ => resource(spec.text(&[key, "name"]), target, current),
    }
}

/// A value of the whole, or one per pod where the target is such.
fn total_or_average(target: Fields<'_>, current: Option<Fields<'_>>) -> String {
    if target.has(&["averageValue"]) {
        let current = current.and_then(|it| it.quantity(&["averageValue"]));
        let current = current.unwrap_or_else(|| UNKNOWN.to_owned());
        format!("{current}/{} (avg)", quantity(target, "averageValue"))
    } else {
        format!("{}/{}", amount(current, "value"), quantity(target, "value"))
    }
}

fn resource(name: &str, target: Fields<'_>, current: Option<Fields<'_>>) -> String {
    if target.has(&["averageValue"]) {
        let current = amount(current, "averageValue");
        return format!("{name}: {current}/{}", quantity(target, "averageValue"));
    }
    let current = percent(current.map(|it| it.at(&["averageUtilization"])), UNKNOWN);
    let target = percent(Some(target.at(&["averageUtilization"])), "<auto>");
    format!("{name}: {current}/{target}")
}

/// The amount of a metric that may not have been measured yet.
fn amount(current: Option<Fields<'_>>, key: &str) -> String {
    current.map_or_else(|| UNKNOWN.to_owned(), |it| quantity(it, key))
}

/// A quantity that a measured metric lacks prints as the reference prints its null pointer.
fn quantity(place: Fields<'_>, key: &str) -> String {
    place.quantity(&[key]).unwrap_or_else(|| "<nil>".to_owned())
}
