//! What changes when a node's kubelet fares otherwise.

use apiserver::storage::{BaseChange, Key};
use jiff::Timestamp;

use super::super::baseline::RESOURCES;
use super::super::nodes::PodKind;
use super::ClusterBase;
use super::change::Changes;
use crate::register::NodeHealth;

impl ClusterBase {
    /// Lets a node's kubelet fare otherwise; `None` when the node is not there. No change when it
    /// fares so already.
    ///
    /// What clients have written to must be changed in the store: see
    /// [`Fare`](super::super::nodes::Fare).
    pub fn set_health(
        &mut self,
        node: &str,
        health: NodeHealth,
        first_revision: u64,
        now: Timestamp,
    ) -> Option<Vec<BaseChange>> {
        let (name, record) = self.nodes.get(node)?;
        let (name, mut record) = (name.clone(), record.clone());
        let was = self.nodes.fare(&name);
        let mut changes = Changes::new(first_revision, now);
        if was.health == health {
            return Some(changes.list);
        }
        let fare = was.becomes(health, changes.now);
        record.revision = changes.next();
        changes.modified(self, Key::new(RESOURCES.nodes, "", &name));
        // What a kubelet says of itself shows in no pod; that it is silent does.
        let pods_change = was.is_silent() != fare.is_silent();
        if pods_change {
            record.pods = changes.next();
            for key in self.pod_keys(&name) {
                changes.modified(self, key);
            }
            self.count_node(&mut changes);
            let dns = self.dns_on(&name);
            if !dns.is_empty() {
                self.count_dns(&mut changes);
            }
            for index in dns {
                let revision = changes.next();
                changes.modified(self, self.dns_key(index));
                self.dns[index].revision = revision;
            }
        }
        if pods_change && self.nodes.etcd(&name).is_some() {
            self.nodes.set_etcd(&name, record.pods + PodKind::Etcd.offset());
        }
        self.nodes.set_fare(&name, fare);
        if let Some(kept) = self.nodes.get_mut(&name) {
            *kept = record;
        }
        Some(changes.list)
    }

    /// The nodes that are not ready, in order of their names.
    pub fn unwell(&self) -> impl Iterator<Item = (&str, NodeHealth)> {
        let fares = self.nodes.fares().filter(|(_, fare)| fare.health != NodeHealth::Ready);
        fares.map(|(name, fare)| (&**name, fare.health))
    }
}
