//! The Secrets with a cluster's authorities, as Cluster API keeps them.
//!
//! KCP looks each of them up and makes those that are missing; one of the right type it takes
//! over, by setting itself as the owner (`ensureCertificatesOwnerRef`). So one made here has no
//! owner, and goes with the control plane. Whoever creates a Secret first wins, and the other reads
//! it. Its caches hold Secrets with the cluster's label only.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};

use super::authorities::{ETCD, authority};
use super::error::WorkError;
use super::marks;
use super::options::Secrets;
use super::seen::ObjectName;
use crate::cluster::identity::{CertificateAuthority, ETCD_CA_NAME, KUBERNETES_CA_NAME};
use crate::register::CaPem;
use crate::registry::Found;

/// What an authority is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The API server's certificates and its clients'.
    Cluster,
    /// Those of etcd's members.
    Etcd,
}

impl Purpose {
    fn suffix(self) -> &'static str {
        match self {
            Self::Cluster => "ca",
            Self::Etcd => ETCD,
        }
    }

    fn common_name(self) -> &'static str {
        match self {
            Self::Cluster => KUBERNETES_CA_NAME,
            Self::Etcd => ETCD_CA_NAME,
        }
    }
}

/// The authority in a cluster's Secret, which is made when it is missing and may be made.
pub(super) async fn ensure(
    client: &Client,
    cluster: &ObjectName,
    purpose: Purpose,
    secrets: Secrets,
) -> Result<Found, WorkError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let name = format!("{}-{}", cluster.name, purpose.suffix());
    let read = |secret: Secret| {
        authority(&secret, purpose.suffix())
            .map_err(|source| WorkError::Secret { secret: name.clone(), source })
    };
    let failed = |source| WorkError::Management { what: format!("Secret {name}"), source };
    if let Some(secret) = api.get_opt(&name).await.map_err(failed)? {
        return read(secret);
    }
    if secrets == Secrets::Leave {
        return Ok(Found::Missing);
    }
    let made = CertificateAuthority::generate(purpose.common_name(), Timestamp::now())
        .map_err(|error| WorkError::Secret { secret: name.clone(), source: error.into() })?
        .to_pem();
    match api.create(&PostParams::default(), &secret(cluster, &name, &made)).await {
        Ok(_) => {
            tracing::info!(%cluster, secret = name, "made the Secret");
            Ok(Found::Pair(made))
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let theirs = api.get(&name).await.map_err(failed)?;
            read(theirs)
        }
        Err(error) => Err(failed(error)),
    }
}

fn secret(cluster: &ObjectName, name: &str, made: &CaPem) -> Secret {
    let labels = [(marks::CLUSTER_NAME_LABEL.to_owned(), cluster.name.to_string())];
    let data = [
        ("tls.crt".to_owned(), ByteString(made.certificate.clone().into_bytes())),
        ("tls.key".to_owned(), ByteString(made.key.clone().into_bytes())),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(cluster.namespace.to_string()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        type_: Some(marks::SECRET_TYPE.to_owned()),
        data: Some(data.into()),
        ..Secret::default()
    }
}
