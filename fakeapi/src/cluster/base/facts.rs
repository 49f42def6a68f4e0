//! What a cluster's facts give to those who must get in.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;

use super::super::identity::{
    IdentityError, ServingKey, SubjectNames, client_certificate, etcd_certificate,
    serve_certificate,
};
use super::super::kubeconfig::{ADMIN_GROUP, ADMIN_USER, admin_kubeconfig, authority_secrets};
use super::{ClusterBase, ClusterFacts};

impl ClusterFacts {
    /// What the API server shows its clients, on the process' key.
    ///
    /// # Errors
    /// When the CA does not sign.
    pub fn serving_identity(
        &self,
        key: &ServingKey,
        now: Timestamp,
    ) -> Result<Arc<CertifiedKey>, IdentityError> {
        let names = SubjectNames::api_server(self.addr.ip());
        serve_certificate(&self.ca, key, &names, now)
    }

    /// A kubeconfig (YAML) for the administrator, with a new client certificate each time.
    ///
    /// # Errors
    /// When the CA does not sign.
    pub fn kubeconfig(&self, now: Timestamp) -> Result<String, IdentityError> {
        let client = client_certificate(&self.ca, ADMIN_USER, &[ADMIN_GROUP], now)?;
        Ok(admin_kubeconfig(&self.name, self.addr, &self.ca, &client))
    }

    /// The Secrets `<name>-ca` and `<name>-etcd` (YAML, two documents).
    pub fn secrets(&self) -> String {
        authority_secrets(&self.name, &self.ca, &self.etcd_ca)
    }
}

impl ClusterBase {
    /// What the etcd member on `node` shows its clients, on the process' key; `None` when the
    /// node is no control plane.
    ///
    /// # Errors
    /// When the etcd CA does not sign.
    pub fn etcd_identity(
        &self,
        key: &ServingKey,
        node: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<CertifiedKey>>, IdentityError> {
        let Some((name, record)) = self.nodes.get(node) else {
            return Ok(None);
        };
        if self.nodes.etcd(name).is_none() {
            return Ok(None);
        }
        let names = SubjectNames::etcd_member(name, self.network().node(record.ordinal));
        etcd_certificate(&self.facts.etcd_ca, key, name, &names, now).map(Some)
    }
}
