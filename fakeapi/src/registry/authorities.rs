//! Where a cluster's authorities come from: the request, the management cluster, or here.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::cluster::{Cluster, Identity, next_generation};
use super::{Registry, failed};
use crate::cluster::base::{ClusterBase, ClusterFacts};
use crate::cluster::baseline::Baseline;
use crate::cluster::identity::{
    CertificateAuthority, ETCD_CA_NAME, IdentityError, KUBERNETES_CA_NAME,
};
use crate::register::{CaPem, ClusterName, RegisterError, RegisterRequest};
use crate::serve::BoxError;

/// A management cluster that knows clusters' authorities.
pub trait AuthoritySource: Send + Sync + 'static {
    /// The authority in Secret `<name>-<purpose>`, `purpose` being `ca` or `etcd`; `None` when
    /// there is no such Secret yet.
    fn authority<'a>(
        &'a self,
        name: &'a ClusterName,
        purpose: &'static str,
    ) -> BoxFuture<'a, Result<Option<CaPem>, BoxError>>;
}

/// The authorities of a new cluster.
pub(super) struct Chosen {
    pub(super) ca: CertificateAuthority,
    pub(super) etcd_ca: CertificateAuthority,
    /// Whether one stands in until the management cluster has the real ones.
    pub(super) provisional: bool,
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
        Ok(Chosen { ca, etcd_ca, provisional: ca_stands_in || etcd_stands_in })
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
        if let Some(pem) = self.ask(name, purpose).await? {
            return Ok((read(name, purpose, &pem)?, false));
        }
        let made = CertificateAuthority::generate(common_name, Timestamp::now())
            .map_err(|error| unusable(name, purpose, error))?;
        Ok((made, self.authorities.is_some()))
    }

    async fn ask(
        &self,
        name: &ClusterName,
        purpose: &'static str,
    ) -> Result<Option<CaPem>, RegisterError> {
        let Some(source) = &self.authorities else { return Ok(None) };
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
        if self.authorities.is_none() || !cluster.identity.read().provisional {
            return Ok(());
        }
        let name = cluster.name();
        let mut real = Vec::new();
        for purpose in ["ca", "etcd"] {
            let pem = self.ask(&name, purpose).await?.ok_or_else(|| RegisterError::Secret {
                cluster: name.clone(),
                secret: format!("{}-{purpose}", name.name),
                source: "there is no such Secret yet".into(),
            })?;
            real.push(read(&name, purpose, &pem)?);
        }
        let (Some(etcd_ca), Some(ca)) = (real.pop(), real.pop()) else { return Ok(()) };
        let old = cluster.facts();
        let facts = Arc::new(ClusterFacts {
            name,
            addr: old.addr,
            ca,
            etcd_ca,
            seed: old.seed,
            created: old.created,
        });
        cluster.become_known_as(&facts, self.shared.baseline.clone(), false, true)?;
        cluster.sync().await
    }
}

impl Cluster {
    /// Changes who the cluster is, without changing what it holds; when `write` says so, it is
    /// written down first.
    pub(super) fn become_known_as(
        &self,
        facts: &Arc<ClusterFacts>,
        baseline: Arc<Baseline>,
        provisional: bool,
        write: bool,
    ) -> Result<(), RegisterError> {
        let next = Identity { facts: facts.clone(), provisional, generation: next_generation() };
        // Held from the record to the change: a snapshot between them would lose both.
        let mut identity = self.identity.write();
        if write {
            self.append_registration(&next)?;
        }
        self.store
            .change_base(|base, _| {
                *base = ClusterBase::from_state(facts.clone(), baseline, base.state());
                Ok::<_, std::convert::Infallible>(Vec::new())
            })
            .map_err(failed("the cluster's identity could not be changed"))?;
        *identity = next;
        Ok(())
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
