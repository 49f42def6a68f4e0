//! The clusters there are, by address and by name.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::FixedState;
use parking_lot::RwLock;

use super::cluster::Cluster;
use crate::addr::ClusterAddr;
use crate::journal::{ClusterId, JOURNAL_SHARDS};
use crate::register::ClusterName;

/// Into how many parts the addresses are divided, so that connections rarely meet at a lock.
const PARTS: usize = 64;

type ByAddress = std::collections::HashMap<ClusterAddr, Arc<Cluster>, FixedState>;

/// The clusters there are.
#[expect(clippy::struct_field_names, reason = "each field is a way to find one")]
pub(super) struct Clusters {
    by_address: Vec<RwLock<ByAddress>>,
    by_name: RwLock<BTreeMap<ClusterName, Arc<Cluster>>>,
    /// By the journal's shard and id: from before a registration is written until after its end.
    by_id: Vec<RwLock<BTreeMap<ClusterId, Arc<Cluster>>>>,
}

impl Default for Clusters {
    fn default() -> Self {
        Self {
            by_address: (0..PARTS).map(|_| RwLock::default()).collect(),
            by_name: RwLock::default(),
            by_id: (0..JOURNAL_SHARDS).map(|_| RwLock::default()).collect(),
        }
    }
}

impl Clusters {
    fn part(&self, at: ClusterAddr) -> &RwLock<ByAddress> {
        let hash = FixedState::default().hash_one(at);
        &self.by_address[usize::try_from(hash).unwrap_or_default() % PARTS]
    }

    pub(super) fn at(&self, at: ClusterAddr) -> Option<Arc<Cluster>> {
        self.part(at).read().get(&at).cloned()
    }

    pub(super) fn named(&self, name: &ClusterName) -> Option<Arc<Cluster>> {
        self.by_name.read().get(name).cloned()
    }

    pub(super) fn with_id(&self, id: ClusterId) -> Option<Arc<Cluster>> {
        self.by_id[id.shard() as usize].read().get(&id).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.read().len()
    }

    pub(super) fn page(&self, after: Option<&ClusterName>, limit: usize) -> Vec<Arc<Cluster>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.by_name.read();
        names
            .range::<ClusterName, _>((start, Bound::Unbounded))
            .take(limit)
            .map(|(_, cluster)| cluster.clone())
            .collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Cluster>> {
        self.by_name.read().values().cloned().collect()
    }

    pub(super) fn addresses(&self) -> Vec<ClusterAddr> {
        self.by_name.read().values().map(|cluster| cluster.address()).collect()
    }

    /// The clusters of one shard of the journal.
    pub(super) fn of_shard(&self, shard: u32) -> Vec<Arc<Cluster>> {
        self.by_id[shard as usize].read().values().cloned().collect()
    }

    /// Makes a cluster known to the journal alone.
    pub(super) fn announce(&self, cluster: &Arc<Cluster>) {
        self.by_id[cluster.id.shard() as usize].write().insert(cluster.id, cluster.clone());
    }

    /// Makes it known to clients and callers.
    pub(super) fn publish(&self, cluster: &Arc<Cluster>) {
        let facts = cluster.facts();
        self.part(facts.addr).write().insert(facts.addr, cluster.clone());
        self.by_name.write().insert(facts.name.clone(), cluster.clone());
    }

    /// Takes it from clients and callers.
    pub(super) fn withdraw(&self, cluster: &Cluster) {
        let facts = cluster.facts();
        self.part(facts.addr).write().remove(&facts.addr);
        self.by_name.write().remove(&facts.name);
    }

    /// Takes it from the journal.
    pub(super) fn forget(&self, cluster: &Cluster) {
        self.by_id[cluster.id.shard() as usize].write().remove(&cluster.id);
    }
}
