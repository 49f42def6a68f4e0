//! What kubeadm of the cluster's release writes into ConfigMap kubeadm-config.
//!
//! Its fields and their order are those of `kubeadm init` without a configuration of one's own,
//! with the pod network and the endpoint that every cluster here has.

use serde_json::json;

use super::super::baseline::minor;
use super::ClusterBase;

/// The first minor release whose kubeadm writes v1beta4.
const V1BETA4: u32 = 31;

/// The last minor release whose kubeadm writes down the API server's own arguments.
const WITH_ARGUMENTS: u32 = 29;

impl ClusterBase {
    /// kubeadm's `ClusterConfiguration`, as YAML.
    pub(super) fn cluster_configuration(&self) -> String {
        let release = minor(&self.first_version).unwrap_or(u32::MAX);
        let newer = release >= V1BETA4;
        let lines =
            |newer: &'static str, older: &'static str, is: bool| if is { newer } else { older };
        let arguments = "\n  extraArgs:\n    authorization-mode: Node,RBAC";
        let arguments = lines("", arguments, release > WITH_ARGUMENTS);
        let server = if newer {
            "apiServer: {}".to_owned()
        } else {
            format!("apiServer:{arguments}\n  timeoutForControlPlane: 4m0s")
        };
        let version = lines("v1beta4", "v1beta3", newer);
        let authority = lines(
            "caCertificateValidityPeriod: 87600h0m0s\ncertificateValidityPeriod: 8760h0m0s\n",
            "",
            newer,
        );
        let algorithm = lines("encryptionAlgorithm: RSA-2048\n", "", newer);
        let proxy = lines("proxy: {}\n", "", newer);
        let network = self.network();
        // JSON's strings are YAML's.
        let name = json!(self.facts.name.name);
        format!(
            "\
{server}
apiVersion: kubeadm.k8s.io/{version}
{authority}certificatesDir: /etc/kubernetes/pki
clusterName: {name}
controlPlaneEndpoint: \"{endpoint}\"
controllerManager: {{}}
dns: {{}}
{algorithm}etcd:
  local:
    dataDir: /var/lib/etcd
imageRepository: registry.k8s.io
kind: ClusterConfiguration
kubernetesVersion: {kubernetes}
networking:
  dnsDomain: cluster.local
  podSubnet: {pods}
  serviceSubnet: {services}
{proxy}scheduler: {{}}
",
            endpoint = self.facts.addr,
            kubernetes = self.first_version,
            pods = network.pods(),
            services = network.services(),
        )
    }
}
