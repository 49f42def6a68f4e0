//! The clusters that fakeapi serves, as the reconciler sees them: in this process, or behind the
//! control port of another one.

mod local;
mod remote;

use std::net::SocketAddr;

use futures::future::BoxFuture;

pub use local::Local;
pub use remote::Remote;

use crate::register::{ClusterName, ClusterSummary, NodeSpec, RegisterRequest};

/// Why something asked of [`Clusters`] was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClustersError {
    /// The cluster is not registered.
    #[error("the cluster is not registered")]
    UnknownCluster,
    /// The cluster has no such node.
    #[error("the cluster has no such node")]
    UnknownNode,
    /// A worker came before the first control-plane node.
    #[error("the cluster has no control-plane node yet")]
    NotActivated,
    /// The address asked for cannot be given: it is outside of the pools, or another cluster's.
    #[error("the address cannot be given")]
    Address(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// fakeapi is not there, or does not answer.
    #[error("fakeapi cannot be asked")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something else.
    #[error("fakeapi did not do it")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The clusters that fakeapi serves.
pub trait Clusters: Send + Sync + 'static {
    /// Registers a cluster; one that is registered answers its address again.
    fn register<'a>(
        &'a self,
        name: &'a ClusterName,
        request: RegisterRequest,
    ) -> BoxFuture<'a, Result<SocketAddr, ClustersError>>;

    /// Takes a cluster away.
    fn unregister<'a>(&'a self, name: &'a ClusterName) -> BoxFuture<'a, Result<(), ClustersError>>;

    /// Adds a node or updates it.
    fn put_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: NodeSpec,
    ) -> BoxFuture<'a, Result<(), ClustersError>>;

    /// Removes a node.
    fn remove_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
    ) -> BoxFuture<'a, Result<(), ClustersError>>;

    /// One cluster; `None` when it is not registered.
    fn cluster<'a>(
        &'a self,
        name: &'a ClusterName,
    ) -> BoxFuture<'a, Result<Option<ClusterSummary>, ClustersError>>;

    /// All clusters.
    fn clusters(&self) -> BoxFuture<'_, Result<Vec<ClusterSummary>, ClustersError>>;

    /// The nodes of a cluster.
    fn nodes<'a>(
        &'a self,
        name: &'a ClusterName,
    ) -> BoxFuture<'a, Result<Vec<NodeSpec>, ClustersError>>;

    /// Whether the clusters can be lost while the reconciler runs: whether they are another
    /// process's.
    fn may_be_lost(&self) -> bool;
}
