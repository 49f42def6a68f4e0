//! Where the coredns pods are, as Services tell it.

use std::net::IpAddr;

use apiserver::storage::Key;
use serde_json::{Value, json};

use super::super::baseline::RESOURCES;
use super::read::SYSTEM;
use super::view::FIRST_POD;
use super::{ClusterBase, DnsPod};

impl ClusterBase {
    /// How many coredns pods run on nodes whose kubelets are heard of.
    pub(super) fn dns_ready(&self) -> usize {
        self.dns.iter().filter(|pod| self.is_heard(pod)).count()
    }

    fn is_heard(&self, pod: &DnsPod) -> bool {
        !self.nodes.fare(&pod.node).is_silent()
    }

    /// What Endpoints hold of the coredns pods.
    pub(super) fn dns_subsets(&self) -> Value {
        let port = |name, port, protocol| json!({"name": name, "port": port, "protocol": protocol});
        let ports =
            [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")];
        let mut subset = json!({"ports": ports});
        for (field, wanted) in [("addresses", true), ("notReadyAddresses", false)] {
            let those = self.dns_targets().filter(|target| target.ready == wanted);
            let addresses: Vec<Value> = those
                .map(|to| json!({"ip": to.ip, "nodeName": to.node, "targetRef": to.reference}))
                .collect();
            if !addresses.is_empty() {
                subset[field] = addresses.into();
            }
        }
        if self.dns.is_empty() { json!([]) } else { json!([subset]) }
    }

    /// What an `EndpointSlice` holds of the coredns pods.
    pub(super) fn dns_endpoints(&self) -> Value {
        let endpoint = |to: Target<'_>| {
            json!({
                "addresses": [to.ip],
                "conditions": {"ready": to.ready, "serving": to.ready, "terminating": false},
                "nodeName": to.node,
                "targetRef": to.reference,
            })
        };
        self.dns_targets().map(endpoint).collect()
    }

    fn dns_targets(&self) -> impl Iterator<Item = Target<'_>> {
        let pods = (0..).zip(&self.dns).filter_map(|(index, pod)| {
            let (node, record) = self.nodes.get(&pod.node)?;
            Some((index, pod, &**node, record.ordinal))
        });
        pods.map(|(index, pod, node, ordinal)| {
            let name = self.dns_name(pod.origin);
            let uid = self.uid(&Key::new(RESOURCES.pods, SYSTEM, &name), pod.origin);
            let reference = json!({
                "kind": "Pod", "name": name, "namespace": SYSTEM, "uid": uid.to_string(),
            });
            let ip = self.network().pod(ordinal, FIRST_POD + index);
            Target { ip, node, ready: self.is_heard(pod), reference }
        })
    }
}

/// A coredns pod as Services see it.
struct Target<'a> {
    ip: IpAddr,
    node: &'a str,
    ready: bool,
    reference: Value,
}
