//! What kubelets and controllers ask of a base, to write it into what clients have written to.

use std::net::IpAddr;

use apiserver::storage::Key;

use super::super::nodes::PodKind;
use super::view::FIRST_POD;
use super::{ClusterBase, DNS_PODS, Workload};
use crate::register::NodeHealth;

/// The addresses of a node's network that pods of clients get, after those of coredns.
const CLIENT_PODS: std::ops::Range<u32> = FIRST_POD + 2..255;

/// What a workload of the cluster's own consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The workload's uid; one of its name with another uid is somebody else's.
    pub uid: String,
    /// Which one it is.
    pub workload: Workload,
    pods: usize,
    ready: usize,
}

impl Count {
    /// The fields of the status that count.
    pub fn fields(&self) -> Vec<(&'static str, usize)> {
        let Self { uid: _, workload, pods, ready } = *self;
        if workload == Workload::Proxy {
            return vec![
                ("currentNumberScheduled", pods),
                ("desiredNumberScheduled", pods),
                ("updatedNumberScheduled", pods),
                ("numberReady", ready),
                ("numberAvailable", ready),
                ("numberUnavailable", pods - ready),
            ];
        }
        vec![
            ("replicas", pods),
            ("updatedReplicas", pods),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("unavailableReplicas", pods - ready),
        ]
    }
}

impl ClusterBase {
    /// Whether a workload's pods have this image.
    pub fn has_image(&self, workload: Workload, image: &str) -> bool {
        self.image(workload) == image
    }

    /// The address of a node.
    pub fn node_address(&self, node: &str) -> Option<IpAddr> {
        let (_, record) = self.nodes.get(node)?;
        Some(self.network().node(record.ordinal))
    }

    /// The addresses that a node has for pods of clients.
    pub fn pod_addresses(&self, node: &str) -> Option<impl Iterator<Item = IpAddr> + use<>> {
        let ordinal = self.nodes.get(node)?.1.ordinal;
        let network = self.network();
        Some(CLIENT_PODS.map(move |index| network.pod(ordinal, index)))
    }

    /// The pods that a node brings: kube-proxy's, and the static ones of a control plane.
    pub fn node_pods(&self, node: &str) -> Vec<Key> {
        self.pod_keys(node)
    }

    /// The coredns pods.
    pub fn dns_pods(&self) -> impl Iterator<Item = Key> {
        (0..self.dns.len()).map(|index| self.dns_key(index))
    }

    /// The nodes that are ready, in the order in which a coredns pod would go to them: those
    /// without one first, then control planes, then the oldest.
    pub fn dns_candidates(&self) -> Vec<String> {
        let ready = |name: &str| self.nodes.fare(name).health == NodeHealth::Ready;
        let mut found: Vec<_> = self
            .nodes
            .iter()
            .filter(|(name, _)| ready(name))
            .map(|(name, record)| {
                let worker = self.nodes.etcd(name).is_none();
                (!self.dns_on(name).is_empty(), worker, record.origin, name.to_string())
            })
            .collect();
        found.sort();
        found.into_iter().map(|(.., name)| name).collect()
    }

    /// The workloads whose status counts pods: kube-proxy's and coredns'.
    pub fn workloads(&self) -> [Key; 2] {
        [self.baseline.keys.daemonset.clone(), self.baseline.keys.deployment.clone()]
    }

    /// What a workload of the cluster's own consists of; `None` for any other object.
    pub fn count(&self, key: &Key) -> Option<Count> {
        let keys = &self.baseline.keys;
        self.activation?;
        let uid = self.baseline_uid(key).to_string();
        if *key == keys.daemonset {
            let pods = self.nodes.len();
            return Some(Count {
                uid,
                workload: Workload::Proxy,
                pods,
                ready: pods - self.nodes.silent(),
            });
        }
        let pods = DNS_PODS;
        (*key == keys.deployment).then(|| Count {
            uid,
            workload: Workload::Dns,
            pods,
            ready: self.dns_ready(),
        })
    }

    /// The objects of the base that name this uid as their owner. Those of a Node are not among
    /// them: they go with it.
    pub(super) fn owned_by(&self, uid: &str) -> Vec<Key> {
        let keys = &self.baseline.keys;
        if self.activation.is_none() || uid.is_empty() {
            return Vec::new();
        }
        let is = |key: &Key| self.baseline_uid(key).to_string() == uid;
        if is(&keys.daemonset) {
            let nodes = self.nodes.iter().filter_map(|(name, _)| {
                let mut pods = self.pod_keys(name).into_iter();
                pods.find(|key| key.name.starts_with(PodKind::KubeProxy.prefix()))
            });
            return nodes.collect();
        }
        if is(&keys.deployment) {
            return vec![keys.replicaset.clone()];
        }
        if is(&keys.replicaset) {
            return self.dns_pods().collect();
        }
        if is(&keys.dns_service) { vec![keys.slice.clone()] } else { Vec::new() }
    }
}
