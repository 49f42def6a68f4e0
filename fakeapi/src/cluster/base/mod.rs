//! What a cluster holds below what its clients wrote: the baseline, and its nodes.

mod change;
mod controllers;
mod dns;
mod facts;
mod health;
mod kubeadm;
mod members;
mod network;
mod read;
mod renew;
mod rollout;
mod state;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use apiserver::storage::{Key, Object};
use jiff::Timestamp;
use uuid::Uuid;

pub use self::change::NotActivated;
pub use self::controllers::Count;
pub use self::members::{EtcdState, Noted};
pub use self::network::Network;
pub(crate) use self::read::SYSTEM;
pub use self::rollout::Workload;
pub use self::state::BaseState;
use super::baseline::Baseline;
use super::identity::CertificateAuthority;
use super::nodes::NodeTable;
use crate::addr::ClusterAddr;
use crate::register::{ClusterName, NodeSpec};

/// What a cluster is from its registration to its end, shared by whoever speaks for it.
#[derive(Debug)]
pub struct ClusterFacts {
    /// Its name in the management cluster.
    pub name: ClusterName,
    /// Where it is served.
    pub addr: ClusterAddr,
    /// What signs its API server's certificate and its users'.
    pub ca: CertificateAuthority,
    /// What signs its etcd members' certificates.
    pub etcd_ca: CertificateAuthority,
    /// What makes its uids and generated names differ from other clusters': random.
    pub seed: Uuid,
    /// When it was registered.
    pub created: Timestamp,
}

/// What one cluster holds below what its clients wrote.
///
/// Without nodes it is a few words. Objects are rendered when they are read; their uids, ages and
/// revisions come out the same each time.
///
/// What a change does follows from the base, what is asked, the revision and the time alone: a
/// journal may keep the whole [`BaseState`], or the calls since one, and gets the same cluster.
#[derive(Debug)]
pub struct ClusterBase {
    facts: Arc<ClusterFacts>,
    baseline: Arc<Baseline>,
    /// The version at activation, which the baseline shows for ever: an upgrade writes.
    first_version: Arc<str>,
    /// The newest version among control planes.
    version: Arc<str>,
    activation: Option<Activation>,
    nodes: NodeTable,
    /// The etcd member that leads.
    leader: Option<Leader>,
    /// What is unlike etcd's beginning, once something is.
    etcd: Option<Box<EtcdState>>,
    /// The coredns pods; none without nodes.
    dns: Vec<DnsPod>,
    /// The images that clients have chosen.
    images: rollout::Images,
}

/// When the first control plane came, and what changed since in what came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Activation {
    /// The revision of the first object that came.
    first: u64,
    /// In seconds since 1970.
    at: i64,
    /// The revision of the `DaemonSet` kube-proxy, whose status counts the nodes; 0 as it came.
    daemonset: u64,
    /// The revision of the first object that speaks of the coredns pods, the others' follow; 0 as
    /// they came.
    dns: u64,
}

/// The etcd member that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leader {
    node: Arc<str>,
    /// In seconds since 1970.
    since: i64,
}

/// A coredns pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DnsPod {
    node: Arc<str>,
    /// The revision at which it came, from which its name is made.
    origin: u64,
    /// The revision of its last change.
    revision: u64,
    /// In seconds since 1970.
    since: i64,
}

/// How many coredns pods there are.
const DNS_PODS: usize = 2;

impl ClusterBase {
    /// A cluster with no control plane yet, which holds what a bare API server holds.
    ///
    /// Its store's clock must begin at [`Self::initial_revision`].
    pub fn new(facts: Arc<ClusterFacts>, baseline: Arc<Baseline>, version: &str) -> Self {
        let version: Arc<str> = version.into();
        Self {
            facts,
            baseline,
            first_version: version.clone(),
            version,
            activation: None,
            nodes: NodeTable::default(),
            leader: None,
            etcd: None,
            dns: Vec::new(),
            images: rollout::Images::default(),
        }
    }

    /// The revision of a store over a new cluster.
    pub fn initial_revision(&self) -> u64 {
        self.baseline.bare_revision()
    }

    /// What the cluster is.
    pub fn facts(&self) -> &Arc<ClusterFacts> {
        &self.facts
    }

    /// Whether its first control plane has come.
    pub fn active(&self) -> bool {
        self.activation.is_some()
    }

    /// The version of its API server: the newest among its control planes'.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Its nodes.
    pub fn nodes(&self) -> &NodeTable {
        &self.nodes
    }

    /// Its nodes as they were registered, in order of their names.
    pub fn node_specs(&self) -> impl Iterator<Item = NodeSpec> {
        self.nodes.iter().map(|(name, node)| node.spec(name))
    }

    /// The object under `key` as it is at `now`.
    pub fn get_at(&self, key: &Key, now: Timestamp) -> Option<Object> {
        self.render(key, now.as_second(), None)
    }
}
