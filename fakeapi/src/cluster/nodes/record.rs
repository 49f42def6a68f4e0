//! What is kept of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::health::Fare;
use super::names::PodKind;
use crate::register::{CONTROL_PLANE_LABEL, NodeSpec};

/// The label by which CAPM3 finds a node.
pub const UUID_LABEL: &str = "metal3.io/uuid";

/// The label and the taint of a control-plane node.
pub const ROLE_LABEL: &str = "node-role.kubernetes.io/control-plane";

/// One node. Its name is its key in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    pub(crate) provider_id: Option<Box<str>>,
    pub(crate) uuid: Option<Box<str>>,
    /// The labels it was given, as a JSON object: one allocation instead of two a label.
    pub(crate) labels: Box<str>,
    pub(crate) version: Arc<str>,
    /// When it came, in seconds since 1970.
    pub(crate) created: i64,
    /// The revision at which it came; its lease's is the next.
    pub(crate) origin: u64,
    /// The revision of its last change.
    pub(crate) revision: u64,
    /// The revision of its kube-proxy pod; those of static pods follow, in order.
    pub(crate) pods: u64,
    /// Its number in the node network, unique in the cluster.
    pub(crate) ordinal: u32,
    /// The suffix of its kube-proxy pod, unique in the cluster.
    pub(crate) proxy: u32,
}

const _: () = assert!(size_of::<NodeRecord>() <= 112, "nodes come in millions");

/// A node as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeState {
    /// What it was registered as.
    pub spec: NodeSpec,
    /// When, in seconds since 1970.
    pub created: i64,
    /// The revision at which it came.
    pub origin: u64,
    /// The revision of its last change.
    pub revision: u64,
    /// The revision of its first pod.
    pub pods: u64,
    /// The revision of its etcd pod, 0 on workers.
    pub etcd: u64,
    /// Its number in the node network.
    pub ordinal: u32,
    /// The suffix of its kube-proxy pod.
    pub proxy: u32,
    /// How it fares, if it was not always ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fare: Option<Fare>,
    /// Its pods that were made anew.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renewed: BTreeMap<PodKind, Renewed>,
}

/// When a pod of a node was made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The revision at which it came.
    pub(crate) origin: u64,
    /// In seconds since 1970.
    pub(crate) since: i64,
}

/// What an update changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Anything that shows in the Node.
    pub(crate) node: bool,
    /// The version, which shows in the pods too.
    pub(crate) version: bool,
    /// It was a worker and is a control plane.
    pub(crate) promoted: bool,
}

impl NodeRecord {
    /// The labels it was given.
    pub(crate) fn given_labels(&self) -> BTreeMap<String, String> {
        serde_json::from_str(&self.labels).expect("a map of strings was encoded")
    }

    /// The node as it was registered, with what updates changed since.
    pub(crate) fn spec(&self, name: &str) -> NodeSpec {
        NodeSpec {
            name: name.to_owned(),
            provider_id: self.provider_id.as_deref().map(str::to_owned),
            uuid: self.uuid.as_deref().map(str::to_owned),
            labels: self.given_labels(),
            version: Some(self.version.to_string()),
        }
    }

    /// Every label the Node shows, sorted: those given, and over them those of the kubelet, of
    /// kubeadm and of metal3.
    pub(crate) fn labels(&self, name: &str, control_plane: bool) -> BTreeMap<String, String> {
        let mut labels = self.given_labels();
        let mut set = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
        set("beta.kubernetes.io/arch", "amd64");
        set("beta.kubernetes.io/os", "linux");
        set("kubernetes.io/arch", "amd64");
        set("kubernetes.io/hostname", name);
        set("kubernetes.io/os", "linux");
        if control_plane {
            set(ROLE_LABEL, "");
            set("node.kubernetes.io/exclude-from-external-load-balancers", "");
        }
        if let Some(uuid) = &self.uuid {
            set(UUID_LABEL, uuid);
        }
        labels
    }

    /// Takes over what `spec` says: it adds and overwrites, and takes nothing away.
    pub(crate) fn update(&mut self, spec: &NodeSpec) -> Changed {
        let mut labels = self.given_labels();
        let promoted = spec.control_plane() && !labels.contains_key(CONTROL_PLANE_LABEL);
        labels.extend(spec.labels.clone());
        let labels = encode_labels(&labels);
        let version = spec.version.as_deref().filter(|v| *v != &*self.version);
        let mut changed = Changed {
            node: labels != self.labels || version.is_some(),
            version: version.is_some(),
            promoted,
        };
        self.labels = labels;
        if let Some(version) = version {
            self.version = version.into();
        }
        let provider = spec.provider_id.as_deref();
        changed.node |= replace(&mut self.provider_id, provider);
        changed.node |= replace(&mut self.uuid, given(spec.uuid.as_deref()));
        changed
    }
}

/// Puts `new` in the place of `old` if there is one and it differs.
fn replace(old: &mut Option<Box<str>>, new: Option<&str>) -> bool {
    match new {
        Some(new) if old.as_deref() != Some(new) => {
            *old = Some(new.into());
            true
        }
        _ => false,
    }
}

/// FKAS' callers send "" for a uuid they do not know.
pub(crate) fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Labels as one text.
pub(crate) fn encode_labels(labels: &BTreeMap<String, String>) -> Box<str> {
    serde_json::to_string(labels).expect("a map of strings encodes").into()
}
