//! The clusters of this process.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{Clusters, ClustersError};
use crate::register::{
    ClusterName, ClusterSummary, NodeSpec, RegisterError, RegisterRequest, Registrar,
};

/// How many clusters are read at once.
const PAGE: usize = 1000;

/// The clusters of this process.
pub struct Local {
    registrar: Arc<dyn Registrar>,
}

impl Local {
    /// The clusters behind a registrar.
    pub fn new(registrar: Arc<dyn Registrar>) -> Self {
        Self { registrar }
    }

    fn all(&self) -> Vec<ClusterSummary> {
        let mut all: Vec<ClusterSummary> = Vec::new();
        loop {
            let last = all.last();
            let after = last.map(|last| ClusterName::new(&*last.namespace, &*last.name));
            let page = self.registrar.clusters(after.as_ref(), PAGE);
            let more = page.len() == PAGE;
            all.extend(page);
            if !more {
                return all;
            }
        }
    }
}

impl From<RegisterError> for ClustersError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::UnknownCluster(_) => Self::UnknownCluster,
            RegisterError::UnknownNode { .. } => Self::UnknownNode,
            RegisterError::NotActivated(_) => Self::NotActivated,
            error @ RegisterError::Address { .. } => Self::Address(Box::new(error)),
            error => Self::Failed(Box::new(error)),
        }
    }
}

impl Clusters for Local {
    fn register<'a>(
        &'a self,
        name: &'a ClusterName,
        request: RegisterRequest,
    ) -> BoxFuture<'a, Result<SocketAddr, ClustersError>> {
        async move { Ok(self.registrar.register(name, request).await?.0) }.boxed()
    }

    fn unregister<'a>(&'a self, name: &'a ClusterName) -> BoxFuture<'a, Result<(), ClustersError>> {
        async move { Ok(self.registrar.unregister(name).await?) }.boxed()
    }

    fn put_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: NodeSpec,
    ) -> BoxFuture<'a, Result<(), ClustersError>> {
        async move { Ok(self.registrar.put_node(name, node).await?) }.boxed()
    }

    fn remove_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
    ) -> BoxFuture<'a, Result<(), ClustersError>> {
        async move { Ok(self.registrar.remove_node(name, node).await?) }.boxed()
    }

    fn cluster<'a>(
        &'a self,
        name: &'a ClusterName,
    ) -> BoxFuture<'a, Result<Option<ClusterSummary>, ClustersError>> {
        ready(Ok(self.registrar.cluster(name))).boxed()
    }

    fn clusters(&self) -> BoxFuture<'_, Result<Vec<ClusterSummary>, ClustersError>> {
        ready(Ok(self.all())).boxed()
    }

    fn nodes<'a>(
        &'a self,
        name: &'a ClusterName,
    ) -> BoxFuture<'a, Result<Vec<NodeSpec>, ClustersError>> {
        ready(self.registrar.nodes(name).map_err(ClustersError::from)).boxed()
    }

    fn may_be_lost(&self) -> bool {
        false
    }
}
