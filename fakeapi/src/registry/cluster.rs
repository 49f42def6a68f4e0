//! One registered cluster: who it is, what it holds, who is connected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apiserver::storage::{MemoryStore, Storage};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::behaviour::Behaviour;
use super::log::ClusterLog;
use super::record::StandIns;
use crate::addr::ClusterAddr;
use crate::cluster::base::{ClusterBase, ClusterFacts};
use crate::journal::ClusterId;
use crate::register::{ClusterName, ClusterSummary, Fault};
use crate::serve::ConnectionCount;

/// A cluster's store: its objects over what all clusters begin with.
pub type ClusterStore = MemoryStore<ClusterBase, ClusterLog>;

/// One registered cluster.
pub struct Cluster {
    pub(super) id: ClusterId,
    pub(super) store: Arc<ClusterStore>,
    /// The version it was registered with, for the journal.
    pub(super) version: String,
    pub(super) identity: RwLock<Identity>,
    pub(super) fault: RwLock<Fault>,
    pub(super) connections: ConnectionCount,
    /// What rules of behaviour have made of it.
    pub(super) behaviour: Behaviour,
    /// Cancelled when the cluster is unregistered: its watches end.
    pub(super) gone: CancellationToken,
    pub(super) endings: Arc<super::follow::Endings>,
    pub(super) shared: Arc<super::Shared>,
}

/// Who a cluster is at present: its facts change when its real authorities come.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) facts: Arc<ClusterFacts>,
    pub(super) stand_ins: StandIns,
    pub(super) labels: Arc<BTreeMap<String, String>>,
    /// Differs for every identity that was ever served in this process.
    pub(super) generation: u64,
}

/// Gives every identity its number.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// A number that no identity has had.
pub(super) fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::Relaxed)
}

impl Identity {
    /// A new identity, unlike all before it.
    pub(super) fn new(facts: ClusterFacts, stand_ins: StandIns) -> Self {
        let (facts, labels) = (Arc::new(facts), Arc::default());
        Self { facts, stand_ins, labels, generation: next_generation() }
    }

    /// With these labels.
    pub(super) fn with_labels(self, labels: Arc<BTreeMap<String, String>>) -> Self {
        Self { labels, ..self }
    }
}

impl Cluster {
    /// What the cluster is.
    pub fn facts(&self) -> Arc<ClusterFacts> {
        self.identity.read().facts.clone()
    }

    /// Where it is served.
    pub fn address(&self) -> ClusterAddr {
        self.identity.read().facts.addr
    }

    /// Its name.
    pub fn name(&self) -> ClusterName {
        self.identity.read().facts.name.clone()
    }

    /// Its labels.
    pub fn labels(&self) -> Arc<BTreeMap<String, String>> {
        self.identity.read().labels.clone()
    }

    /// Its objects, for clients: what they write is followed by kubelets and controllers.
    pub fn storage(self: &Arc<Self>) -> Arc<dyn Storage> {
        Arc::new(super::follow::Followed(self.clone()))
    }

    /// The cluster as lists show it.
    pub fn summary(&self) -> ClusterSummary {
        let facts = self.facts();
        let (active, nodes, version) = self
            .store
            .with_base(|base| (base.active(), base.nodes().len(), base.version().to_string()));
        ClusterSummary {
            namespace: facts.name.namespace.clone(),
            name: facts.name.name.clone(),
            address: facts.addr.0,
            active,
            nodes,
            version,
            created: facts.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            labels: (*self.labels()).clone(),
        }
    }
}
