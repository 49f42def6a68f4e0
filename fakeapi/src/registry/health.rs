//! A node's kubelet fares otherwise.

use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::Cluster;
use super::nodes::{Refused, node_key};
use super::record::Change;
use crate::cluster::nodes::Fare;
use crate::register::{NodeHealth, RegisterError};

impl Cluster {
    /// Lets a node's kubelet fare otherwise; returns when the disk has it.
    pub(super) async fn set_node_health(
        self: &Arc<Self>,
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
        self.follow_health(node);
        self.sync().await
    }

    /// Shows how a node fares in what clients have written to: its Node and its pods. Done
    /// already, it changes nothing.
    fn show(&self, node: &str, fare: Fare) -> Result<(), RegisterError> {
        self.edit(&node_key(node), |stored| fare.show_in_node(stored))?;
        self.written_pods_on(node)
            .iter()
            .try_for_each(|key| self.edit(key, |pod| fare.show_in_pod(pod)))
    }
}
