//! The clusters of this process.
//!
//! A change that was begun is finished, whoever asked for it: the caller may be dropped in the
//! middle, as work that comes too late and workers of a term that ended are, and a registration
//! must not stop half-way.

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

    /// Makes a change in a task of its own, which no caller's end can stop.
    async fn change<T, F>(
        &self,
        change: impl FnOnce(Arc<dyn Registrar>) -> F,
    ) -> Result<T, ClustersError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RegisterError>> + Send + 'static,
    {
        let changing = tokio::spawn(change(self.registrar.clone()));
        let changed = changing.await.map_err(|error| ClustersError::Failed(Box::new(error)))?;
        Ok(changed?)
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
        let name = name.clone();
        self.change(|registrar| async move {
            registrar.register(&name, request).await.map(|address| address.0)
        })
        .boxed()
    }

    fn unregister<'a>(&'a self, name: &'a ClusterName) -> BoxFuture<'a, Result<(), ClustersError>> {
        let name = name.clone();
        self.change(|registrar| async move { registrar.unregister(&name).await }).boxed()
    }

    fn put_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: NodeSpec,
    ) -> BoxFuture<'a, Result<(), ClustersError>> {
        let name = name.clone();
        self.change(|registrar| async move { registrar.put_node(&name, node).await }).boxed()
    }

    fn remove_node<'a>(
        &'a self,
        name: &'a ClusterName,
        node: &'a str,
    ) -> BoxFuture<'a, Result<(), ClustersError>> {
        let (name, node) = (name.clone(), node.to_owned());
        self.change(|registrar| async move { registrar.remove_node(&name, &node).await }).boxed()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::fkas::fake::FakeRegistrar;

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_is_finished_whoever_asked_is_gone() {
        let slow = FakeRegistrar { delay: Duration::from_secs(1), ..FakeRegistrar::default() };
        let registrar = Arc::new(slow);
        let local = Local::new(registrar.clone());
        let name = ClusterName::new("ns", "c");
        let soon = Duration::from_millis(1);
        let later = || tokio::time::sleep(Duration::from_secs(2));
        let node = |name: &str| NodeSpec {
            name: name.to_owned(),
            labels: [(crate::register::CONTROL_PLANE_LABEL.to_owned(), String::new())].into(),
            ..NodeSpec::default()
        };
        let nodes = || registrar.get("ns/c").map(|cluster| cluster.nodes.len());

        timeout(soon, local.register(&name, RegisterRequest::default())).await.unwrap_err();
        later().await;
        assert_eq!(nodes(), Some(0));
        timeout(soon, local.put_node(&name, node("n"))).await.unwrap_err();
        later().await;
        assert_eq!(nodes(), Some(1));
        timeout(soon, local.remove_node(&name, "n")).await.unwrap_err();
        later().await;
        assert_eq!(nodes(), Some(0));
        timeout(soon, local.unregister(&name)).await.unwrap_err();
        later().await;
        assert_eq!(nodes(), None);
        let unknown = local.unregister(&name).await.unwrap_err();
        assert!(matches!(unknown, ClustersError::UnknownCluster), "{unknown}");
    }
}
