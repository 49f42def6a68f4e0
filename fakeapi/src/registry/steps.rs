//! The steps of a registration, and of its end.

use std::net::IpAddr;
use std::sync::Arc;

use apiserver::storage::MemoryStore;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cluster::{Cluster, Identity, next_generation};
use super::log::ClusterLog;
use super::record::{Registration, encode};
use super::{Registry, failed};
use crate::addr::ClusterAddr;
use crate::cluster::base::{ClusterBase, ClusterFacts};
use crate::cluster::baseline::DEFAULT_VERSION;
use crate::ipam::Wanted;
use crate::journal::{ClusterId, Record};
use crate::register::{ClusterName, Fault, RegisterError, RegisterRequest};
use crate::serve::ConnectionCount;

/// Answers a registration of a name that is registered: its address, unless something else is
/// wanted than what is.
pub(super) fn registered(
    cluster: &Cluster,
    request: &RegisterRequest,
) -> Result<ClusterAddr, RegisterError> {
    let facts = cluster.facts();
    let invalid = |field, message: String| Err(RegisterError::Invalid { field, message });
    if let Some(wanted) = request.address
        && ClusterAddr::from(wanted) != facts.addr
    {
        return invalid("address", format!("the cluster is registered at {}", facts.addr));
    }
    let differs = |wanted: &Option<crate::register::CaPem>, is: crate::register::CaPem| {
        wanted.as_ref().is_some_and(|wanted| wanted.certificate.trim() != is.certificate.trim())
    };
    if differs(&request.ca, facts.ca.to_pem()) {
        return invalid("ca", "the cluster is registered with another CA".into());
    }
    if differs(&request.etcd_ca, facts.etcd_ca.to_pem()) {
        return invalid("etcdCa", "the cluster is registered with another etcd CA".into());
    }
    Ok(facts.addr)
}

impl Registry {
    /// Registers a cluster whose name is free.
    pub(super) async fn begin(
        &self,
        name: &ClusterName,
        request: RegisterRequest,
    ) -> Result<ClusterAddr, RegisterError> {
        let chosen = self.choose_authorities(name, &request).await?;
        let address = self.take_address(name, &request).await?;
        let facts = ClusterFacts {
            name: name.clone(),
            addr: address,
            ca: chosen.ca,
            etcd_ca: chosen.etcd_ca,
            seed: Uuid::new_v4(),
            created: Timestamp::now(),
        };
        let version = request.version.as_deref().unwrap_or(DEFAULT_VERSION);
        let id = self.journal.as_ref().map_or_else(unjournalled, |journal| journal.allocate());
        let cluster = self.make(id, facts, version, chosen.provisional);
        match self.settle(&cluster).await {
            Ok(()) => Ok(address),
            Err(error) => {
                // What the journal may have keeps its address, for the next start.
                if self.clusters.with_id(id).is_none() {
                    self.give_back(address).await;
                }
                Err(error)
            }
        }
    }

    /// A cluster with nothing written yet.
    pub(super) fn make(
        &self,
        id: ClusterId,
        facts: ClusterFacts,
        version: &str,
        provisional: bool,
    ) -> Arc<Cluster> {
        let facts = Arc::new(facts);
        let base = ClusterBase::new(facts.clone(), self.shared.baseline.clone(), version);
        let revision = base.initial_revision();
        let log = ClusterLog::new(self.journal.clone(), id);
        let identity = Identity { facts, provisional, generation: next_generation() };
        Arc::new(Cluster {
            id,
            store: Arc::new(MemoryStore::new(base, log, revision)),
            version: version.to_owned(),
            identity: RwLock::new(identity),
            fault: RwLock::new(Fault::None),
            connections: ConnectionCount::default(),
            gone: CancellationToken::new(),
            shared: self.shared.clone(),
        })
    }

    /// Writes the registration down and lets clients in.
    async fn settle(&self, cluster: &Arc<Cluster>) -> Result<(), RegisterError> {
        self.clusters.announce(cluster);
        let written = cluster.append_registration(&cluster.identity.read());
        if let Err(error) = written {
            self.clusters.forget(cluster);
            return Err(error);
        }
        // When this fails, the disk may have the record or not: the cluster stays announced.
        cluster.sync().await?;
        self.clusters.publish(cluster);
        let arrivals = self.arrivals.get();
        let opened = match arrivals {
            Some(arrivals) => arrivals.open(cluster.address()).await,
            None => Ok(()),
        };
        if opened.is_err() {
            self.clusters.withdraw(cluster);
            match cluster.write_end().await {
                Ok(()) => self.clusters.forget(cluster),
                Err(error) => {
                    let cluster = cluster.name();
                    tracing::error!(%cluster, %error, "refused, but the next start will have it");
                }
            }
        }
        opened
    }

    async fn take_address(
        &self,
        name: &ClusterName,
        request: &RegisterRequest,
    ) -> Result<ClusterAddr, RegisterError> {
        let no_address = |source: Box<dyn std::error::Error + Send + Sync>| {
            RegisterError::Address { cluster: name.clone(), source }
        };
        let wanted = request.address.map(|address| match address.port() {
            0 => Wanted::Ip(address.ip()),
            _ => Wanted::Addr(address.into()),
        });
        let address = self.ipam.allocate(wanted).map_err(|error| no_address(Box::new(error)))?;
        if let Some(plane) = &*self.plane.read().await
            && let Err(error) = plane.add(&[address.ip()]).await
        {
            self.release(address);
            return Err(no_address(Box::new(error)));
        }
        Ok(address)
    }

    /// Takes an address back that a cluster has no more.
    async fn give_back(&self, address: ClusterAddr) {
        let ips: [IpAddr; 1] = [address.ip()];
        if let Some(plane) = &*self.plane.read().await
            && let Err(error) = plane.remove(&ips).await
        {
            // Given again, it is there already: adding is idempotent.
            tracing::warn!(%address, %error, "the address could not be removed");
        }
        self.release(address);
    }

    fn release(&self, address: ClusterAddr) {
        if let Err(error) = self.ipam.release(address) {
            tracing::error!(%address, %error, "the address was not taken");
        }
    }

    /// Takes a cluster away.
    pub(super) async fn end(&self, cluster: &Arc<Cluster>) -> Result<(), RegisterError> {
        let address = cluster.address();
        cluster.write_end().await?;
        self.clusters.withdraw(cluster);
        self.clusters.forget(cluster);
        cluster.gone.cancel();
        let closed = match self.arrivals.get() {
            Some(arrivals) => arrivals.close(address).await,
            None => Ok(()),
        };
        // Also when closing failed: the cluster is gone, and opening an open address is no error.
        self.give_back(address).await;
        closed
    }
}

/// Ids of clusters that are written down nowhere.
fn unjournalled() -> ClusterId {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    ClusterId(NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Cluster {
    /// Appends who the cluster is to the journal.
    pub(super) fn append_registration(&self, identity: &Identity) -> Result<(), RegisterError> {
        let registration = Registration::of(&identity.facts, &self.version, identity.provisional);
        let revision = apiserver::storage::Storage::revision(&*self.store);
        let record = Record::Cluster { revision, body: &encode(&registration) };
        self.store
            .log()
            .write(&record)
            .map_err(failed("the registration could not be written to the journal"))
    }

    async fn write_end(&self) -> Result<(), RegisterError> {
        self.store
            .log()
            .write(&Record::Gone)
            .map_err(failed("the end of the cluster could not be written to the journal"))?;
        self.sync().await
    }

    /// Returns when the disk has what was written about the cluster.
    pub(super) async fn sync(&self) -> Result<(), RegisterError> {
        self.store.log().sync().await.map_err(failed("the journal could not be synced"))
    }
}
