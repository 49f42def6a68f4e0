//! Pods of the cluster's own that end and are made anew: a kubelet mirrors a static pod again,
//! and controllers make others in the place of theirs.

use apiserver::storage::{BaseChange, Key};
use jiff::Timestamp;

use super::super::baseline::RESOURCES;
use super::super::nodes::{PodKind, Renewed};
use super::ClusterBase;
use super::change::{Changes, pod_key};
use super::read::{Derived, SYSTEM};

impl ClusterBase {
    /// Makes a pod of the cluster's own in kube-system anew: a static pod under its name, another
    /// under a new one, each with a uid of its own. A coredns pod comes on `node`, any other where
    /// it was. `None` when there is no such pod or node.
    pub fn renew_pod(
        &mut self,
        pod: &str,
        node: Option<&str>,
        first_revision: u64,
        now: Timestamp,
    ) -> Option<Vec<BaseChange>> {
        let key = Key::new(RESOURCES.pods, SYSTEM, pod);
        let mut changes = Changes::new(first_revision, now);
        match self.derived(&key)? {
            Derived::Dns(index) => {
                let node = self.nodes.get(node?)?.0.clone();
                let index = usize::try_from(index).ok()?;
                changes.deleted(self, key);
                self.count_dns(&mut changes);
                self.start_dns(index, node, &mut changes);
            }
            Derived::Pod(kind, node) => {
                let name = self.nodes.get(node)?.0.clone();
                self.render(&key, changes.now, None)?;
                changes.deleted(self, key);
                let renewed = Renewed { origin: changes.next(), since: changes.now };
                self.nodes.renew(&name, kind, renewed, self.name_seed());
                changes.added(self.current_key(kind, &name));
            }
            Derived::Node(_) | Derived::Lease(_) => return None,
        }
        Some(changes.list)
    }

    /// The key of a node's pod of this kind.
    pub(super) fn current_key(&self, kind: PodKind, node: &str) -> Key {
        let pods = self.pod_keys(node).into_iter();
        let mut found = pods.filter(|key| key.name.starts_with(kind.prefix()));
        found.next().unwrap_or_else(|| pod_key(kind, node))
    }
}
