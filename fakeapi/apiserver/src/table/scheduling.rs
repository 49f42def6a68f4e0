//! Groups of pods that are scheduled together.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, NONE, row};

pub(super) fn pod_group(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let gang = object.has(&["spec", "schedulingPolicy", "gang"]);
    row![
        object.name(),
        if gang { "Gang" } else { "Basic" },
        workload(object),
        status(object),
        object.age(now),
    ]
}

fn workload(group: Fields<'_>) -> &str {
    let reference = group.at(&["spec", "podGroupTemplateRef"]);
    if reference.has(&[]) { reference.text(&["workload", "workloadName"]) } else { NONE }
}

/// A disruption outranks scheduling; of several conditions of a type the last one counts.
fn status(group: Fields<'_>) -> &str {
    let last = |kind| {
        let conditions = group.items(&["status", "conditions"]);
        conditions.rev().find(|condition| condition.text(&["type"]) == kind)
    };
    match (last("DisruptionTarget"), last("PodGroupScheduled")) {
        (Some(disruption), _) => disruption.text(&["reason"]),
        (None, Some(scheduled)) if scheduled.text(&["status"]) == "True" => "Scheduled",
        (None, Some(_)) => "Unschedulable",
        (None, None) => "Pending",
    }
}
