//! Jobs and cron jobs.

use jiff::Timestamp;
use serde_json::Value;

use super::duration::human_duration;
use super::fields::{Fields, NONE, between, number, row};
use super::labels::format_label_selector;
use super::workload::{container_images, container_names};

/// The ends of a job and, after a deletion in rank, its other states: each is the type of a
/// condition, and the first that is true is what the status cell says.
const JOB_ENDS: [&str; 2] = ["Complete", "Failed"];
const JOB_STATES: [&str; 3] = ["Suspended", "FailureTarget", "SuccessCriteriaMet"];

pub(super) fn job(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let containers = &["spec", "template", "spec", "containers"];
    row![
        object.name(),
        job_status(object),
        completions(object),
        job_duration(object, now),
        object.age(now),
        container_names(object, containers),
        container_images(object, containers),
        format_label_selector(object.at(&["spec", "selector"])),
    ]
}

fn job_status(job: Fields<'_>) -> &'static str {
    let holds = |kind: &str| {
        let condition = job.condition(&["status", "conditions"], kind);
        condition.is_some_and(|condition| condition.text(&["status"]) == "True")
    };
    if let Some(status) = JOB_ENDS.into_iter().find(|kind| holds(kind)) {
        status
    } else if job.deleting() {
        "Terminating"
    } else {
        JOB_STATES.into_iter().find(|kind| holds(kind)).unwrap_or("Running")
    }
}

/// A job that names neither completions nor parallelism runs one pod to completion.
fn completions(job: Fields<'_>) -> String {
    let succeeded = job.int(&["status", "succeeded"]);
    let parallelism = job.int_or(&["spec", "parallelism"], 1);
    if job.has(&["spec", "completions"]) {
        format!("{succeeded}/{}", job.int(&["spec", "completions"]))
    } else if parallelism > 1 {
        format!("{succeeded}/1 of {parallelism}")
    } else {
        format!("{succeeded}/1")
    }
}

fn job_duration(job: Fields<'_>, now: Timestamp) -> String {
    let Some(start) = job.time(&["status", "startTime"]) else {
        return String::new();
    };
    human_duration(between(start, job.time(&["status", "completionTime"]).unwrap_or(now)))
}

pub(super) fn cron_job(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let template = object.at(&["spec", "jobTemplate", "spec"]);
    let containers = &["template", "spec", "containers"];
    let last = if object.has(&["status", "lastScheduleTime"]) {
        object.since(&["status", "lastScheduleTime"], now)
    } else {
        NONE.to_owned()
    };
    row![
        object.name(),
        object.text(&["spec", "schedule"]),
        object.optional_text_or(&["spec", "timeZone"], NONE),
        if object.flag(&["spec", "suspend"]) { "True" } else { "False" },
        number(object.count(&["status", "active"])),
        last,
        object.age(now),
        container_names(template, containers),
        container_images(template, containers),
        format_label_selector(template.at(&["selector"])),
    ]
}
