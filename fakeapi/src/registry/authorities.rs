//! Where a cluster's authorities come from: the request, the management cluster, or here.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::cluster::{Cluster, Identity};
use super::record::StandIns;
use super::{Registry, failed};
use crate::cluster::base::{ClusterBase, ClusterFacts};
use crate::cluster::identity::{
    CertificateAuthority, ETCD_CA_NAME, IdentityError, KUBERNETES_CA_NAME,
};
use crate::register::{CaPem, ClusterName, RegisterError, RegisterRequest};
use crate::serve::BoxError;

/// What a management cluster has of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no such Secret yet.
    Missing,
    /// A certificate alone: that of an external etcd, whose members nobody asks for. There never
    /// will be a key (Cluster API's external etcd docs).
    Keyless,
    /// The authority.
    Pair(CaPem),
}

/// A management cluster that knows clusters' authorities.
pub trait AuthoritySource: Send + Sync + 'static {
    /// The authority in Secret `<name>-<purpose>`, `purpose` being `ca` or `etcd`; only of `etcd`
    /// there may be a certificate alone.
    fn authority<'a>(
        &'a self,
        name: &'a ClusterName,
        purpose: &'static str,
    ) -> BoxFuture<'a, Result<Found, BoxError>>;
}

/// The authorities of a new cluster.
pub(super) struct Chosen {
    pub(super) ca: CertificateAuthority,
    pub(super) etcd_ca: CertificateAuthority,
    pub(super) stand_ins: StandIns,
}

impl Registry {
    pub(super) async fn choose_authorities(
        &self,
        name: &ClusterName,
        request: &RegisterRequest,
    ) -> Result<Chosen, RegisterError> {
        let (ca, ca_stands_in) =
            self.choose(name, request.ca.as_ref(), "ca", KUBERNETES_CA_NAME).await?;
        let (etcd_ca, etcd_stands_in) =
            self.choose(name, request.etcd_ca.as_ref(), "etcd", ETCD_CA_NAME).await?;
        let stand_ins = StandIns { ca: ca_stands_in, etcd: etcd_stands_in };
        Ok(Chosen { ca, etcd_ca, stand_ins })
    }

    /// One authority, and whether it only stands in.
    async fn choose(
        &self,
        name: &ClusterName,
        given: Option<&CaPem>,
        purpose: &'static str,
        common_name: &str,
    ) -> Result<(CertificateAuthority, bool), RegisterError> {
        if let Some(pem) = given {
            return Ok((read(name, purpose, pem)?, false));
        }
        let stands_in = match self.ask(name, purpose).await? {
            Found::Pair(pem) => return Ok((read(name, purpose, &pem)?, false)),
            Found::Missing => self.authorities.is_some(),
            // Our own is there for good: no other will come.
            Found::Keyless => false,
        };
        let made = CertificateAuthority::generate(common_name, Timestamp::now())
            .map_err(|error| unusable(name, purpose, error))?;
        Ok((made, stands_in))
    }

    async fn ask(&self, name: &ClusterName, purpose: &'static str) -> Result<Found, RegisterError> {
        let Some(source) = &self.authorities else { return Ok(Found::Missing) };
        source.authority(name, purpose).await.map_err(|source| RegisterError::Secret {
            cluster: name.clone(),
            secret: format!("{}-{purpose}", name.name),
            source,
        })
    }

    /// Before a control plane comes, a cluster whose authorities stand in must get its real ones.
    pub(super) async fn settle_authorities(
        &self,
        cluster: &Arc<Cluster>,
    ) -> Result<(), RegisterError> {
        let Identity { facts: old, stand_ins, labels, .. } = cluster.identity.read().clone();
        if self.authorities.is_none() || !stand_ins.any() {
            return Ok(());
        }
        let name = &old.name;
        // What a registration named stays: only what stands in gives way.
        let ca = if stand_ins.ca { self.real(name, "ca").await? } else { None };
        let ca = ca.unwrap_or_else(|| old.ca.clone());
        let etcd_ca = if stand_ins.etcd { self.real(name, "etcd").await? } else { None };
        let etcd_ca = etcd_ca.unwrap_or_else(|| old.etcd_ca.clone());
        let facts = ClusterFacts {
            name: name.clone(),
            addr: old.addr,
            ca,
            etcd_ca,
            seed: old.seed,
            created: old.created,
        };
        let identity = Identity::new(facts, StandIns::default()).with_labels(labels);
        cluster
            .become_known_as(identity, |identity, revision| cluster.record(identity, revision))
            .map_err(failed("the registration could not be written to the journal"))?;
        cluster.sync().await
    }

    /// The authority that must be in the management cluster by now; `None` when it has no key
    /// there, so that ours stays.
    async fn real(
        &self,
        name: &ClusterName,
        purpose: &'static str,
    ) -> Result<Option<CertificateAuthority>, RegisterError> {
        match self.ask(name, purpose).await? {
            Found::Pair(pem) => Ok(Some(read(name, purpose, &pem)?)),
            Found::Keyless => Ok(None),
            Found::Missing => Err(RegisterError::Secret {
                cluster: name.clone(),
                secret: format!("{}-{purpose}", name.name),
                source: "there is no such Secret yet".into(),
            }),
        }
    }
}

impl Cluster {
    /// Changes who the cluster is, without changing what it holds, once `write` has written it
    /// down at the store's revision. A snapshot has it written and changed, or neither.
    pub(super) fn become_known_as<E>(
        &self,
        identity: Identity,
        write: impl FnOnce(&Identity, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.store.change_base(|base, first| {
            write(&identity, first - 1)?;
            let baseline = self.shared.baseline.clone();
            *base = ClusterBase::from_state(identity.facts.clone(), baseline, base.state());
            *self.identity.write() = identity;
            Ok(Vec::new())
        })
    }
}

fn read(
    name: &ClusterName,
    purpose: &'static str,
    pem: &CaPem,
) -> Result<CertificateAuthority, RegisterError> {
    CertificateAuthority::from_pem(pem).map_err(|error| unusable(name, purpose, error))
}

fn unusable(name: &ClusterName, purpose: &'static str, error: IdentityError) -> RegisterError {
    let which = if purpose == "ca" { "cluster" } else { "etcd" };
    RegisterError::Authority { cluster: name.clone(), which, source: Box::new(error) }
}
