//! Where the coredns pods are, as Services tell it.

use std::net::IpAddr;

use apiserver::storage::Key;
use serde_json::{Value, json};

use super::super::baseline::RESOURCES;
use super::ClusterBase;
use super::read::SYSTEM;
use super::view::FIRST_POD;

impl ClusterBase {
    /// Whether the coredns pods run on a node whose kubelet is heard of.
    pub(super) fn dns_ready(&self) -> bool {
        self.dns.as_ref().is_some_and(|dns| !self.nodes.fare(&dns.node).is_silent())
    }

    /// What Endpoints hold of the coredns pods.
    pub(super) fn dns_subsets(&self) -> Value {
        let addresses: Vec<Value> = self
            .dns_targets()
            .map(|(ip, node, target)| json!({"ip": ip, "nodeName": node, "targetRef": target}))
            .collect();
        if addresses.is_empty() {
            return json!([]);
        }
        let port = |name, port, protocol| json!({"name": name, "port": port, "protocol": protocol});
        let ports =
            [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")];
        let field = if self.dns_ready() { "addresses" } else { "notReadyAddresses" };
        json!([{field: addresses, "ports": ports}])
    }

    /// What an `EndpointSlice` holds of the coredns pods.
    pub(super) fn dns_endpoints(&self) -> Value {
        let ready = self.dns_ready();
        let endpoint = |(ip, node, target): (IpAddr, &str, Value)| {
            json!({
                "addresses": [ip],
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "nodeName": node,
                "targetRef": target,
            })
        };
        self.dns_targets().map(endpoint).collect()
    }

    /// The coredns pods: address, node, reference.
    fn dns_targets(&self) -> impl Iterator<Item = (IpAddr, &str, Value)> {
        let host = self.dns.iter().filter_map(|dns| {
            let (node, record) = self.nodes.get(&dns.node)?;
            Some((dns.revision, &**node, record.ordinal))
        });
        host.flat_map(move |(first, node, ordinal)| {
            let pods = (0..).zip(first..).zip(self.dns_names());
            pods.map(move |((index, revision), name)| {
                let uid = self.uid(&Key::new(RESOURCES.pods, SYSTEM, &name), revision);
                let ip = self.network().pod(ordinal, FIRST_POD + index);
                let target = json!({
                    "kind": "Pod", "name": name, "namespace": SYSTEM, "uid": uid.to_string(),
                });
                (ip, node, target)
            })
        })
    }
}
