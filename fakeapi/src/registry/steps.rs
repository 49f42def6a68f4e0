//! The steps of a registration, and of its end.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use apiserver::storage::MemoryStore;
use jiff::Timestamp;
use parking_lot::RwLock;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::behaviour::Behaviour;
use super::cluster::{Cluster, Identity};
use super::log::ClusterLog;
use super::record::{Registration, encode};
use super::{Arrivals, Registry, failed};
use crate::addr::ClusterAddr;
use crate::behaviour::limits::LABELS;
use crate::cluster::base::{ClusterBase, ClusterFacts};
use crate::cluster::baseline::DEFAULT_VERSION;
use crate::cluster::identity::CertificateAuthority;
use crate::ipam::Wanted;
use crate::journal::{ClusterId, Record};
use crate::register::{CaPem, ClusterName, Fault, RegisterError, RegisterRequest};
use crate::serve::ConnectionCount;

/// There are no more ports than this, to try them all.
const MAX_PORTS: u128 = 1 << 16;

/// Refuses labels that no object could have.
pub(super) fn check(request: &RegisterRequest) -> Result<(), RegisterError> {
    let Some(labels) = &request.labels else { return Ok(()) };
    let invalid = |message| Err(RegisterError::Invalid { field: "labels", message });
    if labels.len() > LABELS {
        return invalid(format!("there may be {LABELS} at the most"));
    }
    for (key, value) in labels {
        let mut faults = apiserver::names::qualified_name(key);
        faults.extend(apiserver::names::label_value(value));
        if let Some(fault) = faults.first() {
            return invalid(format!("{key:?}={value:?}: {fault}"));
        }
    }
    Ok(())
}

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
    // Compared as certificates: the same one has many texts.
    let differs = |wanted: Option<&CaPem>, is: &CertificateAuthority| {
        let read = |wanted: &CaPem| CertificateDer::from_pem_slice(wanted.certificate.as_bytes());
        wanted.is_some_and(|wanted| !read(wanted).is_ok_and(|wanted| wanted == is.certificate()))
    };
    if differs(request.ca.as_ref(), &facts.ca) {
        return invalid("ca", "the cluster is registered with another CA".into());
    }
    if differs(request.etcd_ca.as_ref(), &facts.etcd_ca) {
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
        let address = self.take_open_address(name, &request).await?;
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
        let labels = Arc::new(request.labels.unwrap_or_default());
        let identity = Identity::new(facts, chosen.stand_ins).with_labels(labels);
        let cluster = self.make(id, identity, version);
        match self.settle(&cluster).await {
            Ok(()) => Ok(address),
            Err(error) => {
                self.close(address).await;
                // What the journal may have keeps its address, for the next start.
                if self.clusters.with_id(id).is_none() {
                    self.give_back(address).await;
                }
                Err(error)
            }
        }
    }

    /// Gives a registered cluster other labels; returns when the disk has them.
    pub(super) async fn relabel(
        &self,
        cluster: &Arc<Cluster>,
        labels: BTreeMap<String, String>,
    ) -> Result<(), RegisterError> {
        let is = cluster.identity.read().clone();
        if *is.labels == labels {
            return Ok(());
        }
        let identity = Identity { labels: Arc::new(labels), ..is };
        cluster
            .become_known_as(identity, |identity, revision| cluster.record(identity, revision))
            .map_err(failed("the registration could not be written to the journal"))?;
        self.judge(cluster);
        cluster.sync().await
    }

    /// A cluster with nothing written yet.
    pub(super) fn make(&self, id: ClusterId, identity: Identity, version: &str) -> Arc<Cluster> {
        let base = ClusterBase::new(identity.facts.clone(), self.shared.baseline.clone(), version);
        let revision = base.initial_revision();
        let log = ClusterLog::new(self.journal.clone(), id);
        Arc::new(Cluster {
            id,
            store: Arc::new(MemoryStore::new(base, log, revision)),
            version: version.to_owned(),
            identity: RwLock::new(identity),
            fault: RwLock::new(Fault::None),
            connections: ConnectionCount::default(),
            behaviour: Behaviour::default(),
            gone: CancellationToken::new(),
            endings: self.endings.clone(),
            shared: self.shared.clone(),
        })
    }

    /// Writes the registration down and lets the cluster be found.
    async fn settle(&self, cluster: &Arc<Cluster>) -> Result<(), RegisterError> {
        self.clusters.announce(cluster);
        if let Err(error) = cluster.append_registration() {
            self.clusters.forget(cluster);
            return Err(error);
        }
        // When this fails, the disk may have the record or not: the cluster stays announced.
        cluster.sync().await?;
        // Before anyone sees it, and again when a change of rules has not seen it.
        self.judge(cluster);
        self.clusters.publish(cluster);
        self.judge(cluster);
        Ok(())
    }

    /// Takes an address and lets its connections arrive, before anything is written down: what
    /// cannot be served is in no journal, for the next start to find.
    ///
    /// A port that another program listens on is passed over where no port was asked for. It goes
    /// to the end of those that are free, so that each of them is tried once at the most.
    async fn take_open_address(
        &self,
        name: &ClusterName,
        request: &RegisterRequest,
    ) -> Result<ClusterAddr, RegisterError> {
        let any_port = request.address.is_none_or(|wanted| wanted.port() == 0);
        let mut left = self.ipam.free().min(MAX_PORTS);
        loop {
            let address = self.take_address(name, request).await?;
            let Err(error) = self.open(address).await else { return Ok(address) };
            self.give_back(address).await;
            left = left.saturating_sub(1);
            if left == 0 || !any_port || !Arrivals::is_in_use(&error) {
                return Err(error);
            }
            tracing::warn!(cluster = %name, %address, "another program listens there: passed over");
        }
    }

    /// Lets connections to an address arrive.
    async fn open(&self, address: ClusterAddr) -> Result<(), RegisterError> {
        match self.arrivals.get() {
            Some(arrivals) => arrivals.open(address).await,
            None => Ok(()),
        }
    }

    /// Lets no more connections to an address arrive that has no cluster.
    async fn close(&self, address: ClusterAddr) {
        if let Some(arrivals) = self.arrivals.get()
            && let Err(error) = arrivals.close(address).await
        {
            // Given again, it is open already: opening is idempotent.
            tracing::warn!(%address, %error, "the address could not be closed");
        }
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

    pub(super) fn release(&self, address: ClusterAddr) {
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
        self.clear_fault(cluster);
        cluster.behaviour.end();
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
    pub(super) fn append_registration(&self) -> Result<(), RegisterError> {
        let identity = self.identity.read().clone();
        let revision = apiserver::storage::Storage::revision(&*self.store);
        self.record(&identity, revision)
            .map_err(failed("the registration could not be written to the journal"))
    }

    /// Writes down an identity of the cluster.
    pub(super) fn record(&self, identity: &Identity, revision: u64) -> io::Result<()> {
        let registration = Registration::of(identity, &self.version);
        self.store.log().write(&Record::Cluster { revision, body: &encode(&registration) })
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
