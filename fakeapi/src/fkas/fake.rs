//! A [`Registrar`] in memory, for tests of the control port and the command line.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::addr::ClusterAddr;
use crate::register::{
    CaPem, ClusterName, ClusterSummary, Fault, MemberHealth, NodeHealth, NodeSpec, RegisterError,
    RegisterRequest, Registrar, Traffic,
};

/// A CA that is well formed.
pub(crate) fn test_ca() -> CaPem {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    CaPem { certificate: certificate.pem(), key: key.serialize_pem() }
}

/// One cluster of a [`FakeRegistrar`].
#[derive(Clone, Debug)]
pub(crate) struct FakeCluster {
    pub(crate) address: ClusterAddr,
    pub(crate) request: RegisterRequest,
    pub(crate) nodes: BTreeMap<String, NodeSpec>,
    pub(crate) fault: Fault,
}

/// Clusters in memory.
#[derive(Debug, Default)]
pub(crate) struct FakeRegistrar {
    pub(crate) clusters: Mutex<BTreeMap<ClusterName, FakeCluster>>,
    /// How long every change takes but that of a worker.
    pub(crate) delay: Duration,
    /// How many clusters fit, 0 for any number.
    pub(crate) capacity: usize,
    /// How many changes have begun.
    pub(crate) begun: AtomicUsize,
    /// While set, control planes boot: they are taken, but the cluster has none yet.
    pub(crate) boots: AtomicBool,
    /// The next change fails with this.
    pub(crate) next_failure: Mutex<Option<RegisterError>>,
}

impl FakeRegistrar {
    /// A copy of one cluster.
    pub(crate) fn get(&self, name: &str) -> Option<FakeCluster> {
        self.clusters.lock().get(&name.parse().unwrap()).cloned()
    }

    async fn change(&self, delay: Duration) -> Result<(), RegisterError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(delay).await;
        self.next_failure.lock().take().map_or(Ok(()), Err)
    }

    fn with<T>(
        &self,
        name: &ClusterName,
        act: impl FnOnce(&mut FakeCluster) -> T,
    ) -> Result<T, RegisterError> {
        let mut clusters = self.clusters.lock();
        let cluster = clusters.get_mut(name);
        cluster.map(act).ok_or_else(|| RegisterError::UnknownCluster(name.clone()))
    }

    fn known_node(&self, name: &ClusterName, node: &str) -> Result<(), RegisterError> {
        let known = self.with(name, |cluster| cluster.nodes.contains_key(node))?;
        known.then_some(()).ok_or_else(|| RegisterError::UnknownNode {
            cluster: name.clone(),
            node: node.to_owned(),
        })
    }
}

fn summary(name: &ClusterName, cluster: &FakeCluster) -> ClusterSummary {
    ClusterSummary {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        address: cluster.address.0,
        active: cluster.nodes.values().any(NodeSpec::control_plane),
        nodes: cluster.nodes.len(),
        version: cluster.request.version.clone().unwrap_or("v1.36.3".into()),
        created: "2026-11-21T09:00:00Z".into(),
        labels: cluster.request.labels.clone().unwrap_or_default(),
    }
}

impl Registrar for FakeRegistrar {
    fn register<'a>(
        &'a self,
        name: &'a ClusterName,
        request: RegisterRequest,
    ) -> BoxFuture<'a, Result<ClusterAddr, RegisterError>> {
        Box::pin(async move {
            self.change(self.delay).await?;
            let mut clusters = self.clusters.lock();
            if let Some(known) = clusters.get_mut(name) {
                if request.labels.is_some() {
                    known.request.labels = request.labels;
                }
                return Ok(known.address);
            }
            if self.capacity > 0 && clusters.len() >= self.capacity {
                return Err(RegisterError::Address {
                    cluster: name.clone(),
                    source: "the pool is empty".into(),
                });
            }
            let next = 0x0a00_0001 + u32::try_from(clusters.len()).unwrap();
            let address =
                request.address.unwrap_or(SocketAddr::from((Ipv4Addr::from_bits(next), 6443)));
            let cluster = FakeCluster {
                address: ClusterAddr(address),
                request,
                nodes: BTreeMap::new(),
                fault: Fault::None,
            };
            clusters.insert(name.clone(), cluster);
            Ok(ClusterAddr(address))
        })
    }

    fn unregister<'a>(&'a self, name: &'a ClusterName) -> BoxFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move {
            self.change(self.delay).await?;
            let gone = self.clusters.lock().remove(name);
            gone.map(drop).ok_or_else(|| RegisterError::UnknownCluster(name.clone()))
        })
    }

    fn put_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: NodeSpec,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move {
            // Workers are quick, so that they overtake their control plane unless kept in order.
            let delay = if node.control_plane() { self.delay } else { Duration::ZERO };
            self.change(delay).await?;
            self.with(name, |cluster| {
                let booting = self.boots.load(Ordering::SeqCst);
                let active = !booting && cluster.nodes.values().any(NodeSpec::control_plane);
                if !node.control_plane() && !active {
                    return Err(RegisterError::NotActivated(name.clone()));
                }
                cluster.nodes.insert(node.name.clone(), node);
                Ok(())
            })?
        })
    }

    fn remove_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move {
            self.change(self.delay).await?;
            let gone = self.with(name, |cluster| cluster.nodes.remove(node))?;
            gone.map(drop).ok_or_else(|| RegisterError::UnknownNode {
                cluster: name.clone(),
                node: node.to_owned(),
            })
        })
    }

    fn set_node_health<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
        health: NodeHealth,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move {
            let _ = health;
            self.known_node(name, node)
        })
    }

    fn set_member_health<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
        health: MemberHealth,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move {
            let _ = health;
            self.known_node(name, node)
        })
    }

    fn move_leader<'a>(
        &'a self,
        name: &'a ClusterName,
        node: Option<&'a str>,
    ) -> BoxFuture<'a, Result<String, RegisterError>> {
        Box::pin(async move {
            let to = node.unwrap_or("next").to_owned();
            self.with(name, |_| to)
        })
    }

    fn cluster(&self, name: &ClusterName) -> Option<ClusterSummary> {
        self.with(name, |cluster| summary(name, cluster)).ok()
    }

    fn clusters(&self, after: Option<&ClusterName>, limit: usize) -> Vec<ClusterSummary> {
        let clusters = self.clusters.lock();
        clusters
            .iter()
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .take(limit)
            .map(|(name, cluster)| summary(name, cluster))
            .collect()
    }

    fn nodes(&self, name: &ClusterName) -> Result<Vec<NodeSpec>, RegisterError> {
        self.with(name, |cluster| cluster.nodes.values().cloned().collect())
    }

    fn unwell(&self, name: &ClusterName) -> Result<BTreeMap<String, NodeHealth>, RegisterError> {
        self.with(name, |_| BTreeMap::new())
    }

    fn kubeconfig(&self, name: &ClusterName) -> Result<String, RegisterError> {
        self.with(name, |cluster| format!("kind: Config\nserver: https://{}\n", cluster.address))
    }

    fn secrets(&self, name: &ClusterName) -> Result<String, RegisterError> {
        let secret = |suffix| format!("kind: Secret\nmetadata:\n  name: {}-{suffix}\n", name.name);
        self.with(name, |_| format!("{}---\n{}", secret("ca"), secret("etcd")))
    }

    fn set_fault<'a>(
        &'a self,
        name: &'a ClusterName,
        fault: Fault,
    ) -> BoxFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move { self.with(name, |cluster| cluster.fault = fault) })
    }

    fn traffic(&self, name: &ClusterName) -> Result<Traffic, RegisterError> {
        self.with(name, |_| Traffic { packets: 3, bytes: 180, dropped: 1 })
    }

    fn fault(&self, name: &ClusterName) -> Result<Fault, RegisterError> {
        self.with(name, |cluster| cluster.fault)
    }
}
