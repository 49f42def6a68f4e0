//! The clusters behind the control port of another process, as FKAS's sidecar has them.

use std::net::{IpAddr, SocketAddr};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;

use super::{Clusters, ClustersError};
use crate::client::{Client, ClientError};
use crate::register::{ClusterName, ClusterSummary, NodeSpec, RegisterRequest};

/// FKAS's words for a node of a cluster that is not registered. They come with code 500, so that
/// the text is all there is to tell by.
const NO_CLUSTER: &str = "Workload Cluster does not exist";

/// FKAS's words for a worker that comes before the first control-plane node.
const NOT_ACTIVATED: &str = "Workload Cluster has not been activated";

/// The clusters behind a control port.
#[derive(Clone, Debug)]
pub struct Remote {
    client: Client,
}

impl Remote {
    /// The clusters behind a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl From<ClientError> for ClustersError {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Unreachable { .. }
            | ClientError::Late { .. }
            | ClientError::Answer { .. } => Self::Unreachable(Box::new(error)),
            ClientError::Refused { message, .. } if message == NO_CLUSTER => Self::UnknownCluster,
            ClientError::Refused { message, .. } if message == NOT_ACTIVATED => Self::NotActivated,
            _ => Self::Failed(Box::new(error)),
        }
    }
}

fn status(error: &ClientError) -> Option<StatusCode> {
    match error {
        ClientError::Refused { status, .. } => Some(*status),
        _ => None,
    }
}

/// `None` when there is no such thing.
fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClustersError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if status(&error) == Some(StatusCode::NOT_FOUND) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Clusters for Remote {
    fn register<'a>(
        &'a self,
        name: &'a ClusterName,
        request: RegisterRequest,
    ) -> BoxFuture<'a, Result<SocketAddr, ClustersError>> {
        async move {
            let registered = match self.client.register(name, &request).await {
                // The control port says so of an address that was asked for, and of nothing else.
                Err(error) if status(&error) == Some(StatusCode::CONFLICT) => {
                    return Err(ClustersError::Address(Box::new(error)));
                }
                other => other?,
            };
            let host: IpAddr =
                registered.host.parse().map_err(|error| ClustersError::Failed(Box::new(error)))?;
            Ok(SocketAddr::new(host, registered.port))
        }
        .boxed()
    }

    fn unregister<'a>(&'a self, name: &'a ClusterName) -> BoxFuture<'a, Result<(), ClustersError>> {
        async move {
            found(self.client.unregister(name).await)?.ok_or(ClustersError::UnknownCluster)
        }
        .boxed()
    }

    fn put_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: NodeSpec,
    ) -> BoxFuture<'a, Result<(), ClustersError>> {
        async move { Ok(self.client.put_node(name, &node).await?) }.boxed()
    }

    fn remove_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
    ) -> BoxFuture<'a, Result<(), ClustersError>> {
        async move {
            let removed = found(self.client.remove_node(name, node).await)?;
            removed.ok_or(ClustersError::UnknownNode)
        }
        .boxed()
    }

    fn cluster<'a>(
        &'a self,
        name: &'a ClusterName,
    ) -> BoxFuture<'a, Result<Option<ClusterSummary>, ClustersError>> {
        async move { found(self.client.cluster(name).await) }.boxed()
    }

    fn clusters(&self) -> BoxFuture<'_, Result<Vec<ClusterSummary>, ClustersError>> {
        async move { Ok(self.client.clusters().await?) }.boxed()
    }

    fn nodes<'a>(
        &'a self,
        name: &'a ClusterName,
    ) -> BoxFuture<'a, Result<Vec<NodeSpec>, ClustersError>> {
        async move { found(self.client.nodes(name).await)?.ok_or(ClustersError::UnknownCluster) }
            .boxed()
    }

    fn may_be_lost(&self) -> bool {
        true
    }
}
