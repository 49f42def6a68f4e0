//! The templates of what a node brings.

use super::super::baseline::{BaselineError, documents};
use super::super::template::Template;
use super::names::PodKind;
use serde_json::{Value, json};

const NODE: &str = include_str!("node.yaml");
const PODS: &str = include_str!("pods.yaml");

/// Which document of the pods is that of etcd.
const ETCD: usize = 2;

/// The annotation by which FKAS says that a member is removed.
pub(crate) const MEMBER_REMOVED: &str =
    "etcd.inmemory.infrastructure.cluster.x-k8s.io/member-removed";

/// The annotation by which FKAS says since when a member leads; the newest one does.
pub(crate) const LEADER_FROM: &str = "etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from";

/// The templates of what a node brings.
#[derive(Debug)]
pub(crate) struct NodeTemplates {
    pub(crate) node: Template,
    /// The Node of one that was not always ready.
    pub(crate) fallen: Template,
    pub(crate) lease: Template,
    pub(crate) dns: Template,
    pub(crate) etcd_leader: Template,
    /// Of a member whose process does not run.
    pub(crate) etcd_lost: Template,
    /// Of a member that is removed from its cluster, which ends its process.
    pub(crate) etcd_removed: Template,
    pods: [Template; 5],
}

impl NodeTemplates {
    pub(crate) fn new() -> Result<Self, BaselineError> {
        let [node, lease] = objects("node.yaml", NODE)?;
        let mut fallen = node.clone();
        fallen["status"]["conditions"] = "«=conditions»".into();
        let documents = documents("pods.yaml", PODS)?;
        let etcd = documents.get(ETCD).ok_or(BaselineError::Missing("etcd pod"))?;
        let etcd_lost = Template::new(crash_looping(etcd.clone()))?;
        let mut removed = crash_looping(etcd.clone());
        removed["metadata"]["annotations"][MEMBER_REMOVED] = "".into();
        let etcd_removed = Template::new(removed)?;
        let [proxy, dns, etcd, etcd_leader, apiserver, manager, scheduler] = parsed(documents)?;
        Ok(Self {
            node: Template::new(node)?,
            fallen: Template::new(fallen)?,
            lease: Template::new(lease)?,
            dns,
            etcd_leader,
            etcd_lost,
            etcd_removed,
            pods: [proxy, etcd, apiserver, manager, scheduler],
        })
    }

    pub(crate) fn pod(&self, kind: PodKind) -> &Template {
        &self.pods[usize::try_from(kind.offset()).expect("there are five kinds")]
    }
}

/// The objects of a YAML stream that holds `N`.
fn objects<const N: usize>(
    document: &'static str,
    text: &str,
) -> Result<[Value; N], BaselineError> {
    let objects = documents(document, text)?;
    objects.try_into().map_err(|_| BaselineError::Missing("document of a node"))
}

fn parsed<const N: usize>(documents: Vec<Value>) -> Result<[Template; N], BaselineError> {
    let templates = documents.into_iter().map(Template::new).collect::<Result<Vec<_>, _>>()?;
    templates.try_into().map_err(|_| BaselineError::Missing("document of a node"))
}

/// The etcd pod as a kubelet reports it while its container ends as soon as it is started.
fn crash_looping(mut pod: Value) -> Value {
    let conditions = pod["status"]["conditions"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
            condition["status"] = "False".into();
            condition["reason"] = "ContainersNotReady".into();
            condition["message"] = "containers with unready status: [etcd]".into();
            condition["lastTransitionTime"] = "«member-down»".into();
        }
    }
    let status = &mut pod["status"]["containerStatuses"][0];
    let ended = json!({
        "containerID": status["containerID"], "exitCode": 1, "reason": "Error",
        "startedAt": "«member-down»", "finishedAt": "«member-down»",
    });
    status["ready"] = false.into();
    status["started"] = false.into();
    status["restartCount"] = 1.into();
    status["lastState"] = json!({"terminated": ended});
    status["state"] = json!({"waiting": {
        "reason": "CrashLoopBackOff",
        "message": "back-off 5m0s restarting failed container=etcd pod=«name»_kube-system(«uid»)",
    }});
    pod
}
