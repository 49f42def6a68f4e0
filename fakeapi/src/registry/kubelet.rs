//! What stands behind a cluster's pods: the etcd members, and the API server itself.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::sync::Arc;

use apiserver::catalog::Catalog;
use apiserver::kubelet::{Kubelet, PodConnection, PortRefused};
use apiserver::storage::Storage;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use lru::LruCache;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use crate::behaviour::EtcdVerdict;
use crate::cluster::baseline::ImageTags;
use crate::cluster::members::{MemberChange, Members};
use crate::cluster::nodes::PodKind;
use crate::etcd::{Backing, ChangeError, Door, Member, View};
use crate::serve::tls::{server_config, vouched_config};
use crate::serve::{BoxError, ConnectionCount, Tenant, Within};

const SYSTEM: &str = "kube-system";
const ETCD_CLIENT: u16 = 2379;
const ETCD_METRICS: u16 = 2381;
const API_SERVER: u16 = 6443;

/// TLS configurations of pods that a worker holds; one is about 1.3 KB and its certificate.
const CONFIGS: NonZeroUsize = NonZeroUsize::new(1_024).expect("it is not zero");

/// Whose configuration it is: the cluster's identity, the node and when it came, and the kind of
/// pod's port.
type ConfigKey = (u64, Arc<str>, u64, u16);

thread_local! {
    /// A worker is a thread: its cache is never contended.
    static CACHE: RefCell<LruCache<ConfigKey, Arc<ServerConfig>>> =
        RefCell::new(LruCache::new(CONFIGS));
}

/// The pods of a cluster, as one request reaches them.
pub(super) struct Pods {
    pub(super) cluster: Arc<Cluster>,
    /// Where connections go; a request that came through no server has none.
    pub(super) within: Option<Arc<Within>>,
}

impl Kubelet for Pods {
    fn connect(&self, namespace: &str, pod: &str, port: u16) -> Result<PodConnection, PortRefused> {
        if namespace != SYSTEM {
            return Err(PortRefused);
        }
        let within = self.within.as_ref().ok_or(PortRefused)?;
        let node = |kind: PodKind| pod.strip_prefix(kind.prefix());
        match (port, node(PodKind::Etcd), node(PodKind::ApiServer)) {
            (ETCD_CLIENT, Some(node), _) => self.member(within, node, Door::Client),
            (ETCD_METRICS, Some(node), _) => self.member(within, node, Door::Metrics),
            (API_SERVER, _, Some(node)) => self.api_server(within, node),
            _ => Err(PortRefused),
        }
    }
}

impl Pods {
    fn member(
        &self,
        within: &Arc<Within>,
        node: &str,
        door: Door,
    ) -> Result<PodConnection, PortRefused> {
        // A member that is lost or removed listens no more.
        let view = self.cluster.view();
        view.members.on(node).filter(|member| member.running).ok_or(PortRefused)?;
        let member = Arc::new(Member::new(self.cluster.clone(), node, door));
        let tls = match door {
            Door::Client => Some(self.config(node, ETCD_CLIENT, || {
                Ok(vouched_config(member.certificate()?, member.client_roots()))
            })?),
            Door::Metrics => None,
        };
        let near = within.connect(&member, tls).ok_or(PortRefused)?;
        Ok(Box::new(near))
    }

    /// The API server of a node is the cluster's own, as from outside.
    fn api_server(&self, within: &Arc<Within>, node: &str) -> Result<PodConnection, PortRefused> {
        let cluster = &self.cluster;
        let tls = self.config(node, API_SERVER, || Ok(server_config(cluster.certificate()?)))?;
        let near = within.connect(cluster, Some(tls)).ok_or(PortRefused)?;
        Ok(Box::new(near))
    }

    /// The TLS configuration of a port of a control plane's pod, made when it is not at hand.
    fn config(
        &self,
        node: &str,
        port: u16,
        make: impl FnOnce() -> Result<Arc<ServerConfig>, BoxError>,
    ) -> Result<Arc<ServerConfig>, PortRefused> {
        let origin = self.cluster.store.with_base(|base| {
            let (name, record) = base.nodes().get(node)?;
            base.etcd_member_id(node).map(|_| (name.clone(), record.origin))
        });
        let (name, origin) = origin.ok_or(PortRefused)?;
        let key = (self.cluster.generation(), name, origin, port);
        if let Some(config) = CACHE.with_borrow_mut(|cache| cache.get(&key).cloned()) {
            return Ok(config);
        }
        let config = make().map_err(|error| {
            let cluster = self.cluster.name();
            tracing::error!(%cluster, node, %error, "a pod has no serving certificate");
            PortRefused
        })?;
        CACHE.with_borrow_mut(|cache| cache.put(key, config.clone()));
        Ok(config)
    }
}

impl Backing for Cluster {
    fn view(&self) -> View {
        self.view()
    }

    fn change(&self, change: MemberChange) -> BoxFuture<'_, Result<Members, ChangeError>> {
        self.change_members(change).boxed()
    }

    fn storage(&self) -> Arc<dyn Storage> {
        // Only read, so nobody need follow.
        self.store.clone()
    }

    fn catalog(&self) -> &Catalog {
        self.shared.api.catalog()
    }

    fn etcd_version(&self, node: &str) -> String {
        let version = self.store.with_base(|base| {
            let node = base.nodes().get(node).map(|(_, record)| record.version.clone());
            node.unwrap_or_else(|| base.version().clone())
        });
        let tag = ImageTags::of(&version).etcd;
        // A tag tells the build of the image too: `3.6.8-0`.
        tag.split('-').next().unwrap_or(tag).to_owned()
    }

    fn member_certificate(&self, node: &str) -> Result<Arc<CertifiedKey>, BoxError> {
        let key = &self.shared.serving_key;
        let made = self.store.with_base(|base| base.etcd_identity(key, node, Timestamp::now()))?;
        made.ok_or_else(|| format!("{node} is no control plane").into())
    }

    fn etcd_roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        // An authority that cannot be a root vouches for nobody.
        if let Err(error) = roots.add(self.facts().etcd_ca.certificate()) {
            tracing::warn!(cluster = %self.name(), %error, "the etcd CA cannot vouch for clients");
        }
        Arc::new(roots)
    }

    fn identity_generation(&self) -> u64 {
        self.generation()
    }

    fn open_connections(&self) -> &ConnectionCount {
        &self.connections
    }

    fn verdict(&self) -> EtcdVerdict {
        let effects = self.behaviour.effects();
        effects.map(|effects| effects.on_etcd_call(Timestamp::now())).unwrap_or_default()
    }

    fn end(&self) -> &CancellationToken {
        &self.gone
    }
}
