//! How a node's kubelet fares, and what that shows in its Node and its pods.
//!
//! The words are those of the kubelet (`pkg/kubelet/nodestatus`) and of the node lifecycle
//! controller (`pkg/controller/nodelifecycle`), as of Kubernetes 1.36.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::heartbeat::{last_status, rfc3339};
use crate::register::NodeHealth;

/// The taint of a node whose kubelet says that it is not ready.
const NOT_READY_TAINT: &str = "node.kubernetes.io/not-ready";

/// The taint of a node whose kubelet is silent.
const UNREACHABLE_TAINT: &str = "node.kubernetes.io/unreachable";

/// A kubelet's conditions while nothing is short, in its order: type, reason, message.
const PRESSURES: [(&str, &str, &str); 3] = [
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
];

/// The fate of a node that was not always ready. Times are in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fare {
    /// How it fares now.
    pub(crate) health: NodeHealth,
    /// Since when.
    pub(crate) since: i64,
    /// When its kubelet was last lost or found again; when it came, if it never was.
    pub(crate) contact: i64,
    /// When a silent kubelet last posted its status; for others, from when on they post it at
    /// their period.
    pub(crate) beat: i64,
}

impl Fare {
    /// That of a node which came at `created` and was ready always.
    pub(crate) fn healthy(created: i64) -> Self {
        Self { health: NodeHealth::Ready, since: created, contact: created, beat: created }
    }

    /// What follows when the node fares otherwise from `now` on.
    pub(crate) fn becomes(self, health: NodeHealth, now: i64) -> Self {
        let silent = health == NodeHealth::Unreachable;
        Self {
            health,
            since: now,
            contact: if silent || self.is_silent() { now } else { self.contact },
            beat: if silent { self.last_beat(now) } else { now },
        }
    }

    /// Whether nothing is heard of the kubelet.
    pub(crate) fn is_silent(self) -> bool {
        self.health == NodeHealth::Unreachable
    }

    /// When the kubelet last posted its status.
    pub(crate) fn last_beat(self, now: i64) -> i64 {
        if self.is_silent() { self.beat } else { last_status(self.beat, now) }
    }

    /// The status of condition `Ready`, its reason and message.
    fn ready(self) -> (&'static str, &'static str, &'static str) {
        match self.health {
            NodeHealth::Ready => ("True", "KubeletReady", "kubelet is posting ready status"),
            NodeHealth::NotReady => ("False", "KubeletNotReady", "container runtime is down"),
            NodeHealth::Unreachable => UNKNOWN,
        }
    }

    /// The conditions of the Node: type, status, reason, message, and when the status changed.
    fn conditions(self) -> impl Iterator<Item = Condition> {
        let pressures = PRESSURES.map(|(kind, reason, message)| {
            let fine = ("False", reason, message);
            (kind, if self.is_silent() { UNKNOWN } else { fine }, self.contact)
        });
        pressures.into_iter().chain([("Ready", self.ready(), self.since)])
    }

    /// The conditions as a Node of the cluster's own has them.
    pub(crate) fn condition_list(self, now: i64) -> Value {
        let beat = rfc3339(self.last_beat(now));
        let condition = |(kind, (status, reason, message), since): Condition| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": beat, "lastTransitionTime": rfc3339(since),
            })
        };
        self.conditions().map(condition).collect()
    }

    /// The taints that the node lifecycle controller gives the node.
    pub(crate) fn taints(self) -> Vec<Value> {
        let key = match self.health {
            NodeHealth::Ready => return Vec::new(),
            NodeHealth::NotReady => NOT_READY_TAINT,
            NodeHealth::Unreachable => UNREACHABLE_TAINT,
        };
        let added = rfc3339(self.since);
        let taint = |effect| json!({"effect": effect, "key": key, "timeAdded": added});
        vec![taint("NoSchedule"), taint("NoExecute")]
    }

    /// `stored`, a Node that clients have written to, as kubelet and controller change it when
    /// this is the node's fate; `None` when it is so already, or is no Node.
    pub fn show_in_node(self, stored: &Value) -> Option<Value> {
        let mut node = stored.clone();
        let status = object(node.as_object_mut()?, "status")?;
        let conditions = status.entry("conditions").or_insert_with(|| json!([]));
        let conditions = conditions.as_array_mut()?;
        for (kind, (status, reason, message), since) in self.conditions() {
            let known = conditions.iter().position(|condition| condition["type"] == kind);
            let at = known.unwrap_or_else(|| {
                conditions.push(json!({"type": kind}));
                conditions.len() - 1
            });
            let condition = &mut conditions[at];
            if condition["status"] != status {
                condition["lastTransitionTime"] = rfc3339(since).into();
            }
            condition["status"] = status.into();
            condition["reason"] = reason.into();
            condition["message"] = message.into();
            condition["lastHeartbeatTime"] = rfc3339(self.last_beat(self.since)).into();
        }
        let spec = object(node.as_object_mut()?, "spec")?;
        let taints = spec.entry("taints").or_insert_with(|| json!([])).as_array_mut()?;
        taints.retain(|taint| taint["key"] != NOT_READY_TAINT && taint["key"] != UNREACHABLE_TAINT);
        taints.extend(self.taints());
        if taints.is_empty() {
            spec.remove("taints");
        }
        (node != *stored).then_some(node)
    }

    /// `stored`, a pod on the node that lives in the store, as the node controller changes it
    /// when the kubelet is lost, and the kubelet when it is back; `None` when it is so already.
    pub fn show_in_pod(self, stored: &Value) -> Option<Value> {
        let mut pod = stored.clone();
        let conditions = pod["status"]["conditions"].as_array_mut()?;
        let whole =
            conditions.iter().any(|c| c["type"] == "ContainersReady" && c["status"] == "True");
        let ready = conditions.iter_mut().find(|condition| condition["type"] == "Ready")?;
        let wanted = if whole && !self.is_silent() { "True" } else { "False" };
        if ready["status"] == wanted {
            return None;
        }
        ready["status"] = wanted.into();
        ready["lastTransitionTime"] = rfc3339(self.contact).into();
        Some(pod)
    }
}

/// A condition: type, then status, reason and message, then since when.
type Condition = (&'static str, (&'static str, &'static str, &'static str), i64);

/// What the controller says of every condition of a kubelet that is silent.
const UNKNOWN: (&str, &str, &str) =
    ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");

/// The object under `key`, made if it is missing; `None` when something else is there.
fn object<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    map.entry(key).or_insert_with(|| json!({})).as_object_mut()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    const CAME: i64 = 1_795_000_000;

    fn status_of(node: &Value, kind: &str) -> (String, String, String) {
        let conditions = node["status"]["conditions"].as_array().unwrap();
        let condition = conditions.iter().find(|c| c["type"] == kind).unwrap();
        let text = |field: &str| condition[field].as_str().unwrap().to_owned();
        (text("status"), text("reason"), text("lastTransitionTime"))
    }

    fn owned(parts: (&str, &str, &str)) -> (String, String, String) {
        (parts.0.into(), parts.1.into(), parts.2.into())
    }

    #[test]
    fn a_silent_kubelets_last_word_stays_and_it_speaks_when_it_is_back() {
        let lost = Fare::healthy(CAME).becomes(NodeHealth::Unreachable, CAME + 700);
        assert_eq!(lost.last_beat(CAME + 5000), CAME + 600);
        let back = lost.becomes(NodeHealth::Ready, CAME + 6000);
        assert_eq!(back.last_beat(CAME + 6299), CAME + 6000);
        assert_eq!(back.last_beat(CAME + 6300), CAME + 6300);
        assert_eq!(back.contact, CAME + 6000);
        let ill = Fare::healthy(CAME).becomes(NodeHealth::NotReady, CAME + 700);
        assert_eq!((ill.contact, ill.last_beat(CAME + 999)), (CAME, CAME + 700));
    }

    #[test]
    fn a_stored_node_keeps_what_clients_wrote() {
        let mine = json!({"effect": "NoSchedule", "key": "mine"});
        let stored = json!({
            "spec": {"unschedulable": true, "taints": [mine]},
            "status": {"conditions": [
                {"type": "Mine", "status": "True"},
                {"type": "MemoryPressure", "status": "False", "lastTransitionTime": "x", "reason": "r"},
                {"type": "Ready", "status": "True", "lastTransitionTime": "x", "reason": "r"},
            ]},
        });
        let ill = Fare::healthy(CAME).becomes(NodeHealth::NotReady, CAME + 60);
        let shown = ill.show_in_node(&stored).unwrap();
        let added = "2026-11-18T11:07:40Z";
        assert_eq!(status_of(&shown, "Ready"), owned(("False", "KubeletNotReady", added)));
        let pressure = ("False", "KubeletHasSufficientMemory", "x");
        assert_eq!(status_of(&shown, "MemoryPressure"), owned(pressure));
        assert_eq!(ill.show_in_node(&shown), None, "nothing is left to do");
        let lost = ill.becomes(NodeHealth::Unreachable, CAME + 120);
        let shown = lost.show_in_node(&shown).unwrap();
        let added = "2026-11-18T11:08:40Z";
        for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            assert_eq!(status_of(&shown, kind), owned(("Unknown", "NodeStatusUnknown", added)));
        }
        let taint = |effect| json!({"effect": effect, "key": "node.kubernetes.io/unreachable", "timeAdded": added});
        assert_eq!(shown["spec"]["taints"], json!([mine, taint("NoSchedule"), taint("NoExecute")]));
        let back = lost.becomes(NodeHealth::Ready, CAME + 180).show_in_node(&shown).unwrap();
        assert_eq!(back["spec"], stored["spec"]);
        assert_eq!(back["status"]["conditions"][0], stored["status"]["conditions"][0]);
        assert_eq!(status_of(&back, "Ready").0, "True");
    }

    #[test]
    fn pods_are_not_ready_while_the_kubelet_is_silent() {
        let pod = json!({"status": {"conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "x"},
            {"type": "ContainersReady", "status": "True"},
        ]}});
        let lost = Fare::healthy(CAME).becomes(NodeHealth::Unreachable, CAME + 60);
        let shown = lost.show_in_pod(&pod).unwrap();
        assert_eq!(
            shown["status"]["conditions"][0],
            json!({"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-18T11:07:40Z"})
        );
        assert_eq!(lost.show_in_pod(&shown), None);
        let back = lost.becomes(NodeHealth::NotReady, CAME + 90).show_in_pod(&shown).unwrap();
        assert_eq!(back["status"]["conditions"][0]["status"], "True");
        assert_eq!(lost.show_in_pod(&json!({"status": {}})), None);
    }
}
