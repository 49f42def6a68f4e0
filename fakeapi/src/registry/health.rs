//! A node's kubelet fares otherwise.

use apiserver::storage::{Key, PageRequest, ResourceId, Scope, Storage};
use jiff::Timestamp;

use super::cluster::Cluster;
use super::nodes::{Refused, node_key};
use super::record::Change;
use crate::cluster::nodes::Fare;
use crate::register::{NodeHealth, RegisterError};

impl Cluster {
    /// Lets a node's kubelet fare otherwise; returns when the disk has it.
    pub(super) async fn set_node_health(
        &self,
        node: &str,
        health: NodeHealth,
    ) -> Result<(), RegisterError> {
        let at = Timestamp::now();
        let change = Change::Health { node: node.to_owned(), health, at };
        self.store
            .change_base(|base, revision| {
                if base.nodes().get(node).is_none() {
                    return Err(Refused::Unknown);
                }
                self.write_change(revision, &change)?;
                base.set_health(node, health, revision, at).ok_or(Refused::Unknown)
            })
            .map_err(|refused| self.refusal(refused, node))?;
        let fare = self.store.with_base(|base| base.nodes().fare(node));
        self.show(node, fare)?;
        self.sync().await
    }

    /// Shows how a node fares in what clients have written to: its Node and its pods. Done
    /// already, it changes nothing.
    fn show(&self, node: &str, fare: Fare) -> Result<(), RegisterError> {
        self.edit(&node_key(node), |stored| fare.show_in_node(stored))?;
        self.pods_on(node).iter().try_for_each(|key| self.edit(key, |pod| fare.show_in_pod(pod)))
    }

    /// The pods whose `spec.nodeName` is this node.
    pub(super) fn pods_on(&self, node: &str) -> Vec<Key> {
        let resource = ResourceId::of("", "pods");
        let scope = Scope { resource, namespace: None };
        let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
        // Only what is listed at a revision of the past can be compacted.
        let Ok(page) = self.store.list(&page) else { return Vec::new() };
        let values = page.objects.iter().map(|object| object.value());
        let here = values.filter(|pod| pod["spec"]["nodeName"] == node);
        here.map(|pod| {
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
            Key::new(resource, text("namespace"), text("name"))
        })
        .collect()
    }
}
