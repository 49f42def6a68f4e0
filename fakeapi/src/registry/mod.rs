//! Which clusters there are, and the one way to change that.
//!
//! Registering takes its steps in order (identity, address, arrivals, journal) and undoes them in
//! reverse when one fails. Steps for one name are taken one after the other, those for different
//! names side by side.

mod arrivals;
mod authorities;
mod behaviour;
mod boot;
mod cluster;
mod clusters;
mod fault;
mod follow;
mod health;
mod kubelet;
mod log;
mod members;
mod nodes;
mod record;
mod restore;
mod steps;
mod tenant;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use apiserver::ApiServer;
use foldhash::fast::FixedState;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard, RwLock};

pub use arrivals::Arrivals;
pub use authorities::{AuthoritySource, Found};
pub use cluster::{Cluster, ClusterStore};
pub use restore::RestoreError;

use crate::addr::ClusterAddr;
use crate::behaviour::limits::DEADLINES;
use crate::behaviour::{Behaviours, Book, Entries, Schedule};
use crate::cluster::baseline::Baseline;
use crate::cluster::identity::{ServingKey, client_certificate};
use crate::cluster::kubeconfig::{ADMIN_GROUP, ADMIN_USER, admin_kubeconfig, authority_secrets};
use crate::ipam::Ipam;
use crate::journal::Journal;
use crate::netlink::{NetlinkError, Plane};
use crate::register::{
    ClusterName, ClusterSummary, Fault, MemberHealth, NodeHealth, NodeSpec, RegisterError,
    RegisterRequest, Registrar, Traffic,
};

/// How many registrations with the same hash of their name may wait for one another.
const TURNS: usize = 1024;

/// What all clusters share.
pub struct Shared {
    /// The API machinery.
    pub api: Arc<ApiServer>,
    /// What every cluster begins with.
    pub baseline: Arc<Baseline>,
    /// The key of every serving certificate.
    pub serving_key: ServingKey,
    /// Whether everybody may do everything, as with FKAS.
    pub anonymous_admin: bool,
}

/// What a registry is made of.
pub struct Parts {
    /// What all clusters share.
    pub shared: Arc<Shared>,
    /// Who gives addresses.
    pub ipam: Ipam,
    /// Where changes are written down; a run that keeps nothing has none.
    pub journal: Option<Arc<Journal>>,
    /// Where authorities come from that a registration does not name.
    pub authorities: Option<Arc<dyn AuthoritySource>>,
    /// The rules of behaviour.
    pub behaviours: Book,
}

/// The clusters there are.
pub struct Registry {
    shared: Arc<Shared>,
    clusters: clusters::Clusters,
    ipam: Ipam,
    journal: Option<Arc<Journal>>,
    authorities: Option<Arc<dyn AuthoritySource>>,
    behaviours: Book,
    /// What rules and booting nodes do later.
    schedule: Arc<Schedule<behaviour::Job>>,
    /// There from when the addresses are ready until they are taken away at the end.
    plane: RwLock<Option<Plane>>,
    /// Set once, when the server runs.
    arrivals: OnceLock<Arrivals>,
    /// The pods that are being stopped.
    endings: Arc<follow::Endings>,
    turns: Vec<Mutex<()>>,
}

impl Registry {
    /// A registry without clusters.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { shared, ipam, journal, authorities, behaviours } = parts;
        Arc::new(Self {
            shared,
            clusters: clusters::Clusters::default(),
            ipam,
            journal,
            authorities,
            behaviours,
            schedule: Arc::new(Schedule::new(DEADLINES)),
            plane: RwLock::new(None),
            arrivals: OnceLock::new(),
            endings: Arc::default(),
            turns: (0..TURNS).map(|_| Mutex::new(())).collect(),
        })
    }

    /// How often what was asked of all clusters' API servers.
    pub fn request_counts(&self) -> &apiserver::RequestCounts {
        self.shared.api.counts()
    }

    /// The rules of behaviour, for figures.
    pub fn behaviour_entries(&self) -> Entries {
        self.behaviours.entries()
    }

    /// How many clusters there are.
    pub fn len(&self) -> usize {
        self.clusters.len()
    }

    /// Whether there is no cluster.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The addresses of all clusters.
    pub fn addresses(&self) -> Vec<ClusterAddr> {
        self.clusters.addresses()
    }

    /// The allocator, for figures.
    pub fn ipam(&self) -> &Ipam {
        &self.ipam
    }

    /// Names the plane that makes addresses arrive at this machine.
    pub async fn set_plane(&self, plane: Plane) {
        *self.plane.write().await = Some(plane);
    }

    /// Takes addresses and routes away, or leaves them when `keep` says so.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn close_plane(&self, keep: bool) -> Result<(), NetlinkError> {
        match self.plane.write().await.take() {
            Some(plane) => plane.close(keep).await,
            None => Ok(()),
        }
    }

    /// Names what brings connections to the server.
    ///
    /// # Panics
    /// When it was named before.
    pub fn set_arrivals(&self, arrivals: Arrivals) {
        assert!(self.arrivals.set(arrivals).is_ok(), "the arrivals are named once");
    }

    async fn turn(&self, name: &ClusterName) -> MutexGuard<'_, ()> {
        let hash = FixedState::default().hash_one(name);
        self.turns[usize::try_from(hash).unwrap_or_default() % TURNS].lock().await
    }

    fn known(&self, name: &ClusterName) -> Result<Arc<Cluster>, RegisterError> {
        self.clusters.named(name).ok_or_else(|| RegisterError::UnknownCluster(name.clone()))
    }
}

/// An error of another part, as [`RegisterError`] hands it on.
fn failed<E>(what: &'static str) -> impl FnOnce(E) -> RegisterError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| RegisterError::Failed(what, Box::new(error))
}

impl Registrar for Registry {
    fn register<'a>(
        &'a self,
        name: &'a ClusterName,
        request: RegisterRequest,
    ) -> BoxFuture<'a, Result<ClusterAddr, RegisterError>> {
        async move {
            let _turn = self.turn(name).await;
            steps::check(&request)?;
            match self.clusters.named(name) {
                Some(cluster) => {
                    let at = steps::registered(&cluster, &request)?;
                    if let Some(labels) = request.labels {
                        self.relabel(&cluster, labels).await?;
                    }
                    Ok(at)
                }
                None => self.begin(name, request).await,
            }
        }
        .boxed()
    }

    fn unregister<'a>(&'a self, name: &'a ClusterName) -> BoxFuture<'a, Result<(), RegisterError>> {
        async move {
            let _turn = self.turn(name).await;
            self.end(&self.known(name)?).await
        }
        .boxed()
    }

    fn put_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: NodeSpec,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        async move {
            let _turn = self.turn(name).await;
            let cluster = self.known(name)?;
            nodes::check(&node)?;
            if node.control_plane() {
                self.settle_authorities(&cluster).await?;
            }
            if self.begin_boot(&cluster, &node).await? {
                return Ok(());
            }
            let name = node.name.clone();
            cluster.put_node(node).await?;
            self.node_came(&cluster, &name);
            Ok(())
        }
        .boxed()
    }

    fn remove_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        async move {
            let _turn = self.turn(name).await;
            self.known(name)?.remove_node(node).await
        }
        .boxed()
    }

    fn set_node_health<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
        health: NodeHealth,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        async move {
            let _turn = self.turn(name).await;
            self.known(name)?.set_node_health(node, health).await
        }
        .boxed()
    }

    fn set_member_health<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
        health: MemberHealth,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        async move {
            let _turn = self.turn(name).await;
            self.known(name)?.set_member_health(node, health).await
        }
        .boxed()
    }

    fn move_leader<'a>(
        &'a self,
        name: &'a ClusterName,
        node: Option<&'a str>,
    ) -> BoxFuture<'a, Result<String, RegisterError>> {
        async move {
            let _turn = self.turn(name).await;
            self.known(name)?.move_leader(node).await
        }
        .boxed()
    }

    fn cluster(&self, name: &ClusterName) -> Option<ClusterSummary> {
        self.clusters.named(name).map(|cluster| cluster.summary())
    }

    fn clusters(&self, after: Option<&ClusterName>, limit: usize) -> Vec<ClusterSummary> {
        self.clusters.page(after, limit).iter().map(|cluster| cluster.summary()).collect()
    }

    fn nodes(&self, name: &ClusterName) -> Result<Vec<NodeSpec>, RegisterError> {
        let cluster = self.known(name)?;
        Ok(cluster.all_nodes())
    }

    fn unwell(&self, name: &ClusterName) -> Result<BTreeMap<String, NodeHealth>, RegisterError> {
        let cluster = self.known(name)?;
        let owned = |(name, health): (&str, NodeHealth)| (name.to_owned(), health);
        Ok(cluster.store.with_base(|base| base.unwell().map(owned).collect()))
    }

    fn kubeconfig(&self, name: &ClusterName) -> Result<String, RegisterError> {
        let facts = self.known(name)?.facts();
        let now = Timestamp::now();
        let client = client_certificate(&facts.ca, ADMIN_USER, &[ADMIN_GROUP], now)
            .map_err(failed("the administrator's certificate could not be signed"))?;
        Ok(admin_kubeconfig(name, facts.addr, &facts.ca, &client))
    }

    fn secrets(&self, name: &ClusterName) -> Result<String, RegisterError> {
        let facts = self.known(name)?.facts();
        Ok(authority_secrets(name, &facts.ca, &facts.etcd_ca))
    }

    fn set_fault<'a>(
        &'a self,
        name: &'a ClusterName,
        fault: Fault,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        async move {
            let _turn = self.turn(name).await;
            self.give_fault(&*self.known(name)?, fault).await
        }
        .boxed()
    }

    fn fault(&self, name: &ClusterName) -> Result<Fault, RegisterError> {
        Ok(*self.known(name)?.fault.read())
    }

    fn behaviours(&self) -> Option<&dyn Behaviours> {
        Some(self)
    }

    fn traffic(&self, name: &ClusterName) -> Result<Traffic, RegisterError> {
        let address = self.known(name)?.address();
        self.arrivals.get().map_or(Ok(Traffic::default()), |arrivals| arrivals.traffic(address))
    }
}
