//! Pods are run and ended by the kubelets of their nodes, and made anew by their owners.

use std::sync::Arc;
use std::time::Duration;

use apiserver::storage::{Base, Key, Storage};
use jiff::Timestamp;
use serde_json::Value;

use super::super::cluster::Cluster;
use super::super::nodes::{Refused, node_key};
use super::super::record::Change;
use super::endings::Ending;
use super::kubelet::{Place, started};
use super::{Step, Steps, report};
use crate::cluster::base::ClusterBase;
use crate::cluster::baseline::RESOURCES;
use crate::register::NodeHealth;

/// How long containers take to stop, if they are granted so long.
const STOPPING: Duration = Duration::from_secs(1);

impl Cluster {
    pub(super) fn follow_pod(self: &Arc<Self>, step: &Step, steps: &mut Steps) {
        let key = &step.key;
        if let Some(pod) = self.store.get(key) {
            self.attend(key, &pod.value());
        } else if let Some(last) = &step.gone {
            self.replace(key, &last.value());
        }
        steps.namespaces.insert(key.namespace.clone());
    }

    /// What the kubelet of a pod's node does: it starts the pod, or stops it.
    fn attend(self: &Arc<Self>, key: &Key, pod: &Value) {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if node.is_empty() || self.is_silent(node) {
            return;
        }
        let metadata = &pod["metadata"];
        if metadata.get("deletionTimestamp").is_some() {
            let granted = metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or_default();
            // With no grace, only finalizers hold it: they are others' business.
            if granted > 0 {
                self.end_pod(key, pod, Duration::from_secs(granted).min(STOPPING));
            }
            return;
        }
        let Some(place) = self.place(key, node) else { return };
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if let Err(error) = self.edit(key, |pod| started(pod, place, &now)) {
            report(self, key, &error);
        }
    }

    /// Ends a pod when its time has come.
    pub(super) fn end_pod(self: &Arc<Self>, key: &Key, pod: &Value, after: Duration) {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        self.endings.add(Ending::new(self, key, uid), after);
    }

    /// Whether nothing is heard of a node's kubelet.
    pub(in super::super) fn is_silent(&self, node: &str) -> bool {
        self.store.with_base(|base| base.nodes().fare(node).health == NodeHealth::Unreachable)
    }

    /// Where on a node of the cluster's own a pod runs.
    fn place(&self, key: &Key, node: &str) -> Option<Place> {
        let waits = |pod: &Value| pod["status"]["phase"] == "Pending";
        if !self.store.get(key).is_some_and(|pod| waits(&pod.value())) {
            return None;
        }
        let taken = self.addresses_on(node);
        self.store.with_base(|base| {
            let host = base.node_address(node)?;
            let own = base.pod_addresses(node)?.find(|ip| !taken.contains(&ip.to_string()))?;
            Some(Place { host, own })
        })
    }

    /// The addresses of the written pods on a node.
    fn addresses_on(&self, node: &str) -> Vec<String> {
        let pods = self.written_pods_on(node).into_iter().filter_map(|key| self.store.get(&key));
        pods.filter_map(|pod| pod.value()["status"]["podIP"].as_str().map(str::to_owned)).collect()
    }

    /// A pod is gone that was the cluster's own: its kubelet or its controller makes another.
    pub(super) fn replace(&self, key: &Key, last: &Value) {
        if self.store.get(key).is_some() || self.store.with_base(|base| base.get(key)).is_none() {
            return;
        }
        let owners = last["metadata"]["ownerReferences"].as_array();
        let Some(owner) = owners.into_iter().flatten().find(|o| o["controller"] == true) else {
            return;
        };
        let node = last["spec"]["nodeName"].as_str().unwrap_or_default();
        let known = &*RESOURCES;
        let (resource, namespace, target) = match owner["kind"].as_str() {
            Some("Node") if !self.is_silent(node) => (known.nodes, "", None),
            Some("DaemonSet") => (known.daemonsets, &*key.namespace, None),
            Some("ReplicaSet") => match self.schedule() {
                Some(target) => (known.replicasets, &*key.namespace, Some(target)),
                None => return,
            },
            _ => return,
        };
        let name = owner["name"].as_str().unwrap_or_default();
        let there = self.store.get(&Key::new(resource, namespace, name));
        let alive = there.is_some_and(|there| {
            let metadata = &there.value()["metadata"];
            metadata["uid"] == owner["uid"] && metadata.get("deletionTimestamp").is_none()
        });
        if alive && let Err(error) = self.renew(&key.name, target) {
            report(self, key, &error);
        }
    }

    fn renew(&self, pod: &str, node: Option<String>) -> Result<(), std::io::Error> {
        let at = Timestamp::now();
        let change = Change::Renew { pod: pod.to_owned(), node, at };
        let Change::Renew { node, .. } = &change else { return Ok(()) };
        let made = self.store.change_base(|base, revision| {
            self.write_change(revision, &change)?;
            Ok(base.renew_pod(pod, node.as_deref(), revision, at).unwrap_or_default())
        });
        match made {
            Err(Refused::Journal(error)) => Err(error),
            Ok(()) | Err(Refused::Unknown | Refused::NotActivated) => Ok(()),
        }
    }

    /// A node for a coredns pod: one that is ready and takes pods, without another one if there is
    /// such, the oldest control plane first.
    fn schedule(&self) -> Option<String> {
        let candidates = self.store.with_base(ClusterBase::dns_candidates);
        candidates.into_iter().find(|node| {
            let object = self.store.get(&node_key(node));
            object.is_some_and(|object| object.value()["spec"]["unschedulable"] != true)
        })
    }
}
