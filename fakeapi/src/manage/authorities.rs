//! Cluster API keeps a cluster's authorities in Secrets of the management cluster.

use std::path::Path;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::register::{CaPem, ClusterName};
use crate::registry::{AuthoritySource, Found};
use crate::serve::BoxError;

/// What the Secret of etcd's authority is called, after the cluster's name.
pub(super) const ETCD: &str = "etcd";

/// A client of the management cluster.
pub struct ManagementCluster {
    client: Client,
}

impl ManagementCluster {
    /// A client by the kubeconfig in a file.
    ///
    /// # Errors
    /// When the file cannot be read or does not say how to reach a cluster.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self, BoxError> {
        let kubeconfig = Kubeconfig::read_from(path)?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Ok(Self { client: Client::try_from(config)? })
    }

    /// A client by what a pod is given: the token of its service account, which is read again as
    /// it is renewed, and the API server's address in the environment.
    ///
    /// # Errors
    /// When this process runs in no pod, or in one without a service account's token.
    pub fn in_cluster() -> Result<Self, BoxError> {
        let config = Config::incluster_env()?;
        Ok(Self { client: Client::try_from(config)? })
    }

    /// Whether this process runs in a pod.
    pub fn is_around() -> bool {
        std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl AuthoritySource for ManagementCluster {
    fn authority<'a>(
        &'a self,
        name: &'a ClusterName,
        purpose: &'static str,
    ) -> BoxFuture<'a, Result<Found, BoxError>> {
        async move {
            let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &name.namespace);
            let secret = secrets.get_opt(&format!("{}-{purpose}", name.name)).await?;
            secret.map_or(Ok(Found::Missing), |secret| authority(&secret, purpose))
        }
        .boxed()
    }
}

/// The authority in a cluster's Secret for `purpose`, "ca" or "etcd".
///
/// Of an external etcd, users give the certificate alone (Cluster API's external etcd docs): nobody
/// asks for members then, and there is nothing to sign them with.
///
/// # Errors
/// When the Secret lacks what Cluster API puts into it, or holds other than text.
pub(super) fn authority(secret: &Secret, purpose: &str) -> Result<Found, BoxError> {
    let field = |key: &str| -> Result<String, BoxError> {
        let data = secret.data.as_ref().and_then(|data| data.get(key));
        let bytes = data.ok_or_else(|| format!("the Secret has no {key}"))?;
        Ok(String::from_utf8(bytes.0.clone())?)
    };
    let keyless = || !secret.data.as_ref().is_some_and(|data| data.contains_key("tls.key"));
    let certificate = field("tls.crt")?;
    if purpose == ETCD && keyless() {
        return Ok(Found::Keyless);
    }
    Ok(Found::Pair(CaPem { certificate, key: field("tls.key")? }))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn a_secret_without_a_key_says_so() {
        let data = Some([("tls.crt".to_owned(), ByteString(b"c".to_vec()))].into());
        let secret = Secret { data, ..Secret::default() };
        let error = authority(&secret, "ca").unwrap_err();
        assert_eq!(error.to_string(), "the Secret has no tls.key");
        assert_eq!(authority(&secret, ETCD).unwrap(), Found::Keyless, "an external etcd");
    }
}
