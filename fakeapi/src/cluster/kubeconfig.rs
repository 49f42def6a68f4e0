//! The texts through which people and controllers get into a cluster.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::identity::{CertificateAuthority, PemKeyPair};
use crate::addr::ClusterAddr;
use crate::register::ClusterName;

/// The user in an administrator's kubeconfig, as kubeadm names it.
pub const ADMIN_USER: &str = "kubernetes-admin";

/// The administrator's group: the API server lets it do everything.
pub const ADMIN_GROUP: &str = "system:masters";

/// The URL of the API server at `addr`.
pub fn server_url(addr: ClusterAddr) -> String {
    format!("https://{addr}")
}

/// A kubeconfig for the cluster's administrator, whose credentials are `client`.
pub fn admin_kubeconfig(
    name: &ClusterName,
    addr: ClusterAddr,
    authority: &CertificateAuthority,
    client: &PemKeyPair,
) -> String {
    let cluster = quote(&name.name);
    let context = quote(&format!("{ADMIN_USER}@{}", name.name));
    let server = server_url(addr);
    let ca = STANDARD.encode(authority.certificate_pem());
    let certificate = STANDARD.encode(&client.certificate);
    let key = STANDARD.encode(&client.key);
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - cluster:\n    \
             certificate-authority-data: {ca}\n    \
             server: {server}\n  \
           name: {cluster}\n\
         contexts:\n\
         - context:\n    \
             cluster: {cluster}\n    \
             user: {ADMIN_USER}\n  \
           name: {context}\n\
         current-context: {context}\n\
         preferences: {{}}\n\
         users:\n\
         - name: {ADMIN_USER}\n  \
           user:\n    \
             client-certificate-data: {certificate}\n    \
             client-key-data: {key}\n"
    )
}

/// The Secrets in which Cluster API keeps a cluster's authorities: `<name>-ca`, `<name>-etcd`.
pub fn authority_secrets(
    name: &ClusterName,
    ca: &CertificateAuthority,
    etcd_ca: &CertificateAuthority,
) -> String {
    format!("{}---\n{}", authority_secret(name, "ca", ca), authority_secret(name, "etcd", etcd_ca))
}

fn authority_secret(name: &ClusterName, purpose: &str, authority: &CertificateAuthority) -> String {
    let pem = authority.to_pem();
    let certificate = STANDARD.encode(pem.certificate);
    let key = STANDARD.encode(pem.key);
    let secret = quote(&format!("{}-{purpose}", name.name));
    let namespace = quote(&name.namespace);
    let cluster = quote(&name.name);
    format!(
        "apiVersion: v1\n\
         kind: Secret\n\
         metadata:\n  \
           name: {secret}\n  \
           namespace: {namespace}\n  \
           labels:\n    \
             cluster.x-k8s.io/cluster-name: {cluster}\n\
         type: cluster.x-k8s.io/secret\n\
         data:\n  \
           tls.crt: {certificate}\n  \
           tls.key: {key}\n"
    )
}

/// A YAML scalar of any text: JSON's strings are YAML's double-quoted ones.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pretty_assertions::assert_eq;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::identity::client_certificate;

    fn authority() -> CertificateAuthority {
        CertificateAuthority::generate("kubernetes", Timestamp::now()).unwrap()
    }

    #[test]
    fn a_kubeconfig_is_yaml_with_what_clients_need() {
        let ca = authority();
        let client = client_certificate(&ca, ADMIN_USER, &[ADMIN_GROUP], Timestamp::now()).unwrap();
        for (addr, server) in [
            ("10.1.2.3:6443", "https://10.1.2.3:6443"),
            ("[fd00::1]:6443", "https://[fd00::1]:6443"),
        ] {
            let addr = ClusterAddr(addr.parse().unwrap());
            let name = ClusterName::new("ns", "odd: \"name\"");
            let text = admin_kubeconfig(&name, addr, &ca, &client);
            let got: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(
                got,
                json!({
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "odd: \"name\"", "cluster": {
                        "server": server,
                        "certificate-authority-data": STANDARD.encode(ca.certificate_pem()),
                    }}],
                    "contexts": [{"name": "kubernetes-admin@odd: \"name\"", "context": {
                        "cluster": "odd: \"name\"", "user": "kubernetes-admin",
                    }}],
                    "current-context": "kubernetes-admin@odd: \"name\"",
                    "preferences": {},
                    "users": [{"name": "kubernetes-admin", "user": {
                        "client-certificate-data": STANDARD.encode(&client.certificate),
                        "client-key-data": STANDARD.encode(&client.key),
                    }}],
                })
            );
        }
    }

    #[test]
    fn secrets_are_as_cluster_api_writes_them() {
        let (ca, etcd) = (authority(), authority());
        let text = authority_secrets(&ClusterName::new("ns", "c1"), &ca, &etcd);
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let expected = |name: &str, ca: &CertificateAuthority| {
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": "ns",
                    "labels": {"cluster.x-k8s.io/cluster-name": "c1"}},
                "type": "cluster.x-k8s.io/secret",
                "data": {
                    "tls.crt": STANDARD.encode(ca.to_pem().certificate),
                    "tls.key": STANDARD.encode(ca.to_pem().key),
                },
            })
        };
        assert_eq!(documents, [expected("c1-ca", &ca), expected("c1-etcd", &etcd)]);
    }
}
