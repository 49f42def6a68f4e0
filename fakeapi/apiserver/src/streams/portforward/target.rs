//! The pod at the other end, and the words in which a container runtime speaks of it.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use crate::kubelet::{Kubelet, PodConnection, PortRefused};

/// The pod to which ports are forwarded.
#[derive(Clone)]
pub(crate) struct Target {
    kubelet: Arc<dyn Kubelet>,
    namespace: String,
    pod: String,
    /// The runtime's name for the pod.
    sandbox: String,
    /// The runtime's name for the pod's network.
    network: String,
}

impl Target {
    /// A pod by its name and uid; `host_network` as its spec says.
    pub(crate) fn new(
        kubelet: Arc<dyn Kubelet>,
        (namespace, pod): (&str, &str),
        uid: &str,
        host_network: bool,
    ) -> Self {
        let sandbox = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{namespace}/{pod}").as_bytes());
        let network = Uuid::new_v5(&sandbox, uid.as_bytes());
        Self {
            kubelet,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            sandbox: format!("{}{}", sandbox.simple(), network.simple()),
            network: if host_network {
                "host".to_owned()
            } else {
                format!("/var/run/netns/cni-{network}")
            },
        }
    }

    pub(super) fn connect(&self, port: u16) -> Result<PodConnection, PortRefused> {
        self.kubelet.connect(&self.namespace, &self.pod, port)
    }

    /// What the kubelet says when nothing listens, with what containerd told it.
    pub(super) fn refused(&self, port: u16, refused: PortRefused) -> String {
        let Self { sandbox, network, .. } = self;
        self.failed(
            port,
            &format!(
                "failed to execute portforward in network namespace {network:?}: failed to \
                 connect to localhost:{port} inside namespace {sandbox:?}, IPv4: dial tcp4 \
                 127.0.0.1:{port}: connect: {refused} IPv6 dial tcp6 [::1]:{port}: connect: \
                 {refused} "
            ),
        )
    }

    /// What the kubelet says when a connection broke.
    pub(super) fn broke(&self, port: u16, error: &io::Error) -> String {
        let sandbox = &self.sandbox;
        let why = format!("failed to execute portforward for {sandbox:?} port {port}: {error}");
        self.failed(port, &why)
    }

    /// Runtimes know a pod by its sandbox, and no uid.
    fn failed(&self, port: u16, why: &str) -> String {
        format!("error forwarding port {port} to pod {}, uid : {why}", self.sandbox)
    }
}
