//! What it means to register a cluster: the words in which FKAS's endpoints, the command line
//! and the reconcilers ask for it.
//!
//! [`Registrar`] is the one door to the clusters: every way in calls it, and it does the steps in
//! order (address, identity, journal, kernel) and undoes them in reverse when one fails.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::addr::ClusterAddr;
use crate::behaviour::Behaviours;

/// A cluster's name in the management cluster.
///
/// FKAS never checked these, so any text goes, also "/" and nothing at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClusterName {
    /// The namespace of the Cluster object.
    pub namespace: String,
    /// The name of the Cluster object.
    pub name: String,
}

impl ClusterName {
    /// A name from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// There is no "/" between a namespace and a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cluster is named NAMESPACE/NAME")]
pub struct NotAClusterName;

impl FromStr for ClusterName {
    type Err = NotAClusterName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text.split_once('/').ok_or(NotAClusterName)?;
        Ok(Self::new(namespace, name))
    }
}

/// A certificate authority as PEM texts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaPem {
    /// One certificate.
    pub certificate: String,
    /// Its private key: PKCS#1, SEC1 or PKCS#8.
    pub key: String,
}

impl fmt::Debug for CaPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaPem").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// What is wanted of a new cluster. Everything but the name may be left to fakeapi.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterRequest {
    /// The address, when one is asked for.
    pub address: Option<SocketAddr>,
    /// The cluster's CA: when absent, that of Secret `<name>-ca` where a management cluster is
    /// known, else one that fakeapi makes.
    pub ca: Option<CaPem>,
    /// The etcd CA, likewise from Secret `<name>-etcd`.
    pub etcd_ca: Option<CaPem>,
    /// The Kubernetes version the cluster shows until a node says otherwise.
    pub version: Option<String>,
    /// Its labels, by which rules of behaviour select it. A registered cluster's change to these;
    /// absent leaves them.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A registered cluster, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSummary {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Where it is served, `ip:port`.
    pub address: SocketAddr,
    /// Whether its first control-plane node is there.
    pub active: bool,
    /// How many nodes it has.
    pub nodes: usize,
    /// The version of its API server.
    pub version: String,
    /// When it was registered, RFC 3339.
    pub created: String,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What a node is, as `/updateNode` says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    /// The node's name.
    pub name: String,
    /// `spec.providerID`; absent leaves what the node has.
    pub provider_id: Option<String>,
    /// The label `metal3.io/uuid`; absent or empty for none.
    pub uuid: Option<String>,
    /// Labels; [`CONTROL_PLANE_LABEL`] among them makes it a control-plane node.
    pub labels: BTreeMap<String, String>,
    /// The kubelet's version, `v1.36.3`; absent for the cluster's.
    pub version: Option<String>,
}

/// The Machine label that makes a node a control-plane node, whatever its value.
pub const CONTROL_PLANE_LABEL: &str = "cluster.x-k8s.io/control-plane";

impl NodeSpec {
    /// Whether this is a control-plane node.
    pub fn control_plane(&self) -> bool {
        self.labels.contains_key(CONTROL_PLANE_LABEL)
    }
}

/// How a node's kubelet fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeHealth {
    /// It reports that the node is ready.
    #[default]
    Ready,
    /// It reports that the node is not ready.
    NotReady,
    /// It reports nothing any more: the node's conditions are Unknown, and it is tainted
    /// `node.kubernetes.io/unreachable`.
    Unreachable,
}

/// How the etcd member on a control-plane node fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberHealth {
    /// It serves.
    #[default]
    Healthy,
    /// Its process is gone: it is in the member list, and answers nobody.
    Lost,
    /// It is a learner, which has no vote yet.
    Learner,
    /// It raises the alarm NOSPACE.
    NoSpace,
    /// It raises the alarm CORRUPT.
    Corrupt,
}

/// What the kernel does with a cluster's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Everything is dropped.
    Blackhole,
    /// This share of packets is dropped.
    Drop {
        /// In thousandths, 0 to 1000.
        per_mille: u16,
    },
}

/// What the edges saw for one cluster's address; nothing where no edge is.
///
/// In port mode clusters share an address, and so its figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Frames addressed to it, whatever became of them.
    pub packets: u64,
    /// Their bytes, Ethernet header included.
    pub bytes: u64,
    /// How many of the frames its fault dropped.
    pub dropped: u64,
}

/// Why something asked of a [`Registrar`] was not done.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// No cluster has this name.
    #[error("cluster {0} is not registered")]
    UnknownCluster(ClusterName),
    /// The cluster has no node of this name.
    #[error("cluster {cluster} has no node {node}")]
    UnknownNode {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: String,
    },
    /// A worker came before the first control-plane node.
    #[error("cluster {0} has no control-plane node yet")]
    NotActivated(ClusterName),
    /// No address could be had.
    #[error("no address for cluster {cluster}")]
    Address {
        /// The cluster.
        cluster: ClusterName,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A certificate authority was given that cannot be used.
    #[error("the {which} CA of cluster {cluster} cannot be used")]
    Authority {
        /// The cluster.
        cluster: ClusterName,
        /// "cluster" or "etcd".
        which: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The management cluster did not give a Secret.
    #[error("Secret {secret} of cluster {cluster} could not be read")]
    Secret {
        /// The cluster.
        cluster: ClusterName,
        /// The Secret's name.
        secret: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value is not what it must be.
    #[error("{field}: {message}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The kernel side or the journal failed.
    #[error("{0}")]
    Failed(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The one door to the clusters.
///
/// Every call is answered after its effect is durable. Calls may come from any number of callers
/// at once; those for one cluster take effect one after the other.
pub trait Registrar: Send + Sync + 'static {
    /// Registers a cluster. A name that is registered already answers its address again; a
    /// request that then names other CAs or another address is refused.
    fn register<'a>(
        &'a self,
        name: &'a ClusterName,
        request: RegisterRequest,
    ) -> BoxFuture<'a, Result<ClusterAddr, RegisterError>>;

    /// Takes a cluster away, with all it holds, and gives its address back.
    fn unregister<'a>(&'a self, name: &'a ClusterName) -> BoxFuture<'a, Result<(), RegisterError>>;

    /// Adds a node or updates the one that is there. The first control-plane node activates the
    /// cluster.
    fn put_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: NodeSpec,
    ) -> BoxFuture<'a, Result<(), RegisterError>>;

    /// Removes a node, its pods and its lease.
    fn remove_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
    ) -> BoxFuture<'a, Result<(), RegisterError>>;

    /// Lets a node's kubelet fare otherwise.
    fn set_node_health<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
        health: NodeHealth,
    ) -> BoxFuture<'a, Result<(), RegisterError>>;

    /// Lets the etcd member on a control-plane node fare otherwise. Its leadership goes to another
    /// member when it is lost.
    fn set_member_health<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
        health: MemberHealth,
    ) -> BoxFuture<'a, Result<(), RegisterError>>;

    /// Gives leadership of etcd to the member on a node, or to the next that can have it; tells
    /// the node. A single member goes on leading.
    fn move_leader<'a>(
        &'a self,
        name: &'a ClusterName,
        node: Option<&'a str>,
    ) -> BoxFuture<'a, Result<String, RegisterError>>;

    /// One cluster.
    fn cluster(&self, name: &ClusterName) -> Option<ClusterSummary>;

    /// The clusters in order of their names, after `after`, `limit` at the most.
    fn clusters(&self, after: Option<&ClusterName>, limit: usize) -> Vec<ClusterSummary>;

    /// The nodes of a cluster in order of their names.
    fn nodes(&self, name: &ClusterName) -> Result<Vec<NodeSpec>, RegisterError>;

    /// The nodes of a cluster that are not ready, and how they fare.
    fn unwell(&self, name: &ClusterName) -> Result<BTreeMap<String, NodeHealth>, RegisterError>;

    /// A kubeconfig (YAML) for the cluster's administrator.
    fn kubeconfig(&self, name: &ClusterName) -> Result<String, RegisterError>;

    /// The Secrets `<name>-ca` and `<name>-etcd`, ready to apply (YAML, two documents).
    fn secrets(&self, name: &ClusterName) -> Result<String, RegisterError>;

    /// Sets what the kernel does with the cluster's packets, until it is set otherwise.
    fn set_fault<'a>(
        &'a self,
        name: &'a ClusterName,
        fault: Fault,
    ) -> BoxFuture<'a, Result<(), RegisterError>>;

    /// What the kernel does with the cluster's packets now.
    fn fault(&self, name: &ClusterName) -> Result<Fault, RegisterError>;

    /// What the edges saw for the cluster's address since it was registered.
    fn traffic(&self, name: &ClusterName) -> Result<Traffic, RegisterError>;

    /// The door to the rules of behaviour, where there are any.
    fn behaviours(&self) -> Option<&dyn Behaviours> {
        None
    }
}
