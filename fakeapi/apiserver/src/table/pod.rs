//! Pods. Their status cell is not a field: it is worked out of the phase and of each container's
//! state, the init containers first, since they explain why a pod has not started.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::duration::human_duration;
use super::fields::{Fields, NONE, between, row};

/// The status reason that the node lifecycle controller gives pods of an unreachable node.
const NODE_LOST: &str = "NodeLost";
const SCHEDULING_GATED: &str = "SchedulingGated";

pub(super) fn cells(pod: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    row![
        pod.name(),
        format!("{}/{}", summary.ready, total_containers(pod)),
        summary.reason,
        summary.restarts.cell(now),
        pod.age(now),
        ip(pod),
        pod.text_or(&["spec", "nodeName"], NONE),
        pod.text_or(&["status", "nominatedNodeName"], NONE),
        readiness_gates(pod),
    ]
}

/// A finished pod's row says so, for clients that hide such rows.
pub(super) fn conditions(pod: Fields<'_>) -> Vec<Value> {
    let (reason, message) = match pod.text(&["status", "phase"]) {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}

/// How often containers restarted, and when the last of those runs had ended.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: Fields<'_>) {
        self.count = self.count.saturating_add(status.int(&["restartCount"]));
        self.last = self.last.max(status.time(&["lastState", "terminated", "finishedAt"]));
    }

    fn cell(self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count != 0 => {
                format!("{} ({} ago)", self.count, human_duration(between(last, now)))
            }
            _ => self.count.to_string(),
        }
    }
}

struct Summary {
    reason: String,
    ready: usize,
    restarts: Restarts,
}

fn summarize(pod: Fields<'_>) -> Summary {
    let init = InitContainers::of(pod);
    let mut summary = Summary {
        reason: init.blocked_by.clone().unwrap_or_else(|| phase_reason(pod).to_owned()),
        ready: init.ready,
        restarts: init.restarts,
    };
    if init.blocked_by.is_none() || is_initialized(pod) {
        summary.restarts = init.sidecar_restarts;
        add_containers(pod, &mut summary);
    }
    if pod.deleting() {
        if pod.text(&["status", "reason"]) == NODE_LOST {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(pod.text(&["status", "phase"]), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

/// What the pod says of itself before its containers are asked.
fn phase_reason(pod: Fields<'_>) -> &str {
    let gated = pod.items(&["status", "conditions"]).any(|condition| {
        condition.text(&["type"]) == "PodScheduled"
            && condition.text(&["reason"]) == SCHEDULING_GATED
    });
    if gated {
        return SCHEDULING_GATED;
    }
    pod.text_or(&["status", "reason"], pod.text(&["status", "phase"]))
}

/// What the init containers tell, up to the first that keeps the pod from starting.
#[derive(Default)]
struct InitContainers {
    ready: usize,
    restarts: Restarts,
    sidecar_restarts: Restarts,
    blocked_by: Option<String>,
}

impl InitContainers {
    fn of(pod: Fields<'_>) -> Self {
        let mut all = Self::default();
        for (index, status) in pod.items(&["status", "initContainerStatuses"]).enumerate() {
            let sidecar = is_sidecar(pod, status.text(&["name"]));
            all.restarts.add(status);
            if sidecar {
                all.sidecar_restarts.add(status);
            }
            if has_exited_well(status) {
                continue;
            }
            if sidecar && status.flag(&["started"]) {
                all.ready += usize::from(status.flag(&["ready"]));
                continue;
            }
            let total = pod.count(&["spec", "initContainers"]);
            all.blocked_by = Some(init_reason(status, index, total));
            break;
        }
        all
    }
}

fn has_exited_well(status: Fields<'_>) -> bool {
    status.has(&["state", "terminated"]) && status.int(&["state", "terminated", "exitCode"]) == 0
}

fn init_reason(status: Fields<'_>, index: usize, total: usize) -> String {
    let waiting = status.text(&["state", "waiting", "reason"]);
    if status.has(&["state", "terminated"]) {
        format!("Init:{}", exit_reason(status.at(&["state", "terminated"])))
    } else if !waiting.is_empty() && waiting != "PodInitializing" {
        format!("Init:{waiting}")
    } else {
        format!("Init:{index}/{total}")
    }
}

/// Why a run ended: the given reason, else the signal, else the exit code.
fn exit_reason(terminated: Fields<'_>) -> String {
    match (terminated.text(&["reason"]), terminated.int(&["signal"])) {
        ("", 0) => format!("ExitCode:{}", terminated.int(&["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// The containers from the last to the first, so the first one's trouble is what shows.
fn add_containers(pod: Fields<'_>, summary: &mut Summary) {
    let mut running = false;
    let mut failure = None;
    for status in pod.items(&["status", "containerStatuses"]).rev() {
        summary.restarts.add(status);
        let waiting = status.text(&["state", "waiting", "reason"]);
        let terminated = status.at(&["state", "terminated"]);
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if terminated.has(&[]) {
            summary.reason = exit_reason(terminated);
            if terminated.int(&["exitCode"]) != 0 {
                failure = Some(summary.reason.clone());
            }
        } else if status.flag(&["ready"]) && status.has(&["state", "running"]) {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        summary.reason = completed_reason(pod, running, failure);
    }
}

/// One completed container does not complete a pod whose others still run or have failed.
fn completed_reason(pod: Fields<'_>, running: bool, failure: Option<String>) -> String {
    match failure {
        _ if running && is_ready(pod) => "Running".to_owned(),
        Some(failure) => failure,
        None if running => "NotReady".to_owned(),
        None => "Completed".to_owned(),
    }
}

fn is_ready(pod: Fields<'_>) -> bool {
    pod.items(&["status", "conditions"]).any(|condition| {
        condition.text(&["type"]) == "Ready" && condition.text(&["status"]) == "True"
    })
}

fn is_initialized(pod: Fields<'_>) -> bool {
    let condition = pod.condition(&["status", "conditions"], "Initialized");
    condition.is_some_and(|condition| condition.text(&["status"]) == "True")
}

/// Whether the init container of this name is one that keeps running beside the others.
fn is_sidecar(pod: Fields<'_>, name: &str) -> bool {
    pod.items(&["spec", "initContainers"])
        .any(|container| container.text(&["name"]) == name && restarts_always(container))
}

fn restarts_always(container: Fields<'_>) -> bool {
    container.text(&["restartPolicy"]) == "Always"
}

fn total_containers(pod: Fields<'_>) -> usize {
    let sidecars = pod.items(&["spec", "initContainers"]).filter(|it| restarts_always(*it)).count();
    pod.count(&["spec", "containers"]) + sidecars
}

/// The first address. `podIP` wins where the two fields differ, as old kubelets write only that.
fn ip(pod: Fields<'_>) -> &str {
    let first = pod.items(&["status", "podIPs"]).next().map_or("", |ip| ip.text(&["ip"]));
    match pod.text_or(&["status", "podIP"], first) {
        "" => NONE,
        ip => ip,
    }
}

/// How many of the gates' conditions are true.
fn readiness_gates(pod: Fields<'_>) -> String {
    let total = pod.count(&["spec", "readinessGates"]);
    if total == 0 {
        return NONE.to_owned();
    }
    let open = pod.items(&["spec", "readinessGates"]).filter(|gate| {
        let condition = pod.condition(&["status", "conditions"], gate.text(&["conditionType"]));
        condition.is_some_and(|condition| condition.text(&["status"]) == "True")
    });
    format!("{}/{total}", open.count())
}
