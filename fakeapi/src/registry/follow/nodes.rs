//! Nodes that clients delete, and what their coming and going means to others.

use std::sync::Arc;
use std::time::Duration;

use apiserver::storage::{Base, Key, Storage};

use super::super::cluster::Cluster;
use super::{Step, Steps, report};
use crate::cluster::base::{ClusterBase, SYSTEM};
use crate::cluster::baseline::RESOURCES;

impl Cluster {
    pub(super) fn follow_node(self: &Arc<Self>, key: &Key, steps: &mut Steps) {
        if self.store.get(key).is_none() {
            self.lose_node(&key.name);
            self.node_steps(steps);
        } else {
            self.place_waiting();
        }
    }

    /// A client has deleted the Node: a kubelet does not register again before it is started
    /// anew, so all that it brought goes. What else ran there is garbage.
    fn lose_node(self: &Arc<Self>, node: &str) {
        let known = self.store.with_base(|base| base.nodes().get(node).is_some());
        if known && let Err(error) = self.drop_node(node) {
            report(self, &super::super::nodes::node_key(node), &error);
            return;
        }
        self.forsake_pods(node);
    }

    /// Ends the pods on a node that is gone.
    fn forsake_pods(self: &Arc<Self>, node: &str) {
        for key in self.written_pods_on(node) {
            if let Some(pod) = self.store.get(&key) {
                self.end_pod(&key, &pod.value(), Duration::ZERO);
            }
        }
    }

    /// Places coredns pods that found no node before.
    fn place_waiting(&self) {
        let waiting: Vec<Key> = self.store.with_base(|base| base.dns_pods().collect());
        for key in waiting.iter().filter(|key| self.store.get(key).is_none()) {
            if let Some(last) = self.store.with_base(|base| base.get(key)) {
                self.replace(key, &last.value());
            }
        }
    }

    /// A node has come, or is another one than before.
    pub(in super::super) fn follow_put(self: &Arc<Self>, node: &str) {
        self.leave_without_owner(node);
        self.place_waiting();
        let pods = self.written_pods_on(node).into_iter().map(Step::from);
        let mut steps = Steps::from(pods.collect::<Vec<_>>());
        self.node_steps(&mut steps);
        self.follow_all(steps);
    }

    /// A node was taken away by its provider.
    pub(in super::super) fn follow_removal(self: &Arc<Self>, node: &str) {
        self.forsake_pods(node);
        let mut steps = Steps::default();
        self.node_steps(&mut steps);
        self.follow_all(steps);
    }

    /// A node's kubelet fares otherwise: one that is back does what it could not do.
    pub(in super::super) fn follow_health(self: &Arc<Self>, node: &str) {
        for key in self.store.with_base(|base| base.node_pods(node)) {
            if self.store.get(&key).is_none()
                && let Some(last) = self.store.with_base(|base| base.get(&key))
            {
                self.replace(&key, &last.value());
            }
        }
        self.follow_put(node);
    }

    /// A node brings no pod whose `DaemonSet` a client has deleted.
    fn leave_without_owner(&self, node: &str) {
        let daemonset = Key::new(RESOURCES.daemonsets, SYSTEM, "kube-proxy");
        if self.store.get(&daemonset).is_some() {
            return;
        }
        for key in self.store.with_base(|base| base.node_pods(node)) {
            if key.name.starts_with("kube-proxy-")
                && let Err(error) = self.remove(&key)
            {
                report(self, &key, &error);
            }
        }
    }

    /// What counts nodes or their pods.
    fn node_steps(&self, steps: &mut Steps) {
        let workloads = self.store.with_base(ClusterBase::workloads);
        steps.list.extend(workloads.into_iter().map(Step::from));
        steps.namespaces.insert(SYSTEM.into());
    }
}
