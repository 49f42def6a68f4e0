//! What follows from a write: the kubelets and controllers of a cluster.
//!
//! A real cluster's controllers watch. Here a write to the store is followed, by the one who
//! made it, by whatever they would do: nothing runs in an idle cluster. Each step looks at what
//! there is and does what is missing, so that a step which a crash cut off is made at the next
//! start ([`Cluster::resume`]), and one made twice changes nothing the second time.

mod budgets;
mod endings;
mod kubelet;
mod nodes;
mod pods;
#[cfg(test)]
mod tests;
mod workloads;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use apiserver::storage::{
    Base, CommitError, Compacted, Entry, Event, Expect, Key, Object, Page, PageRequest, ResourceId,
    Storage,
};
use tokio::sync::Notify;

pub(super) use endings::Endings;

use super::cluster::Cluster;
use crate::cluster::baseline::RESOURCES;

static BUDGETS: LazyLock<ResourceId> =
    LazyLock::new(|| ResourceId::of("policy", "poddisruptionbudgets"));

/// The most steps that follow from those that are to be made first; more would be steps that undo
/// one another.
const MAX_STEPS: usize = 100_000;

/// A cluster's store as clients write to it.
pub(super) struct Followed(pub(super) Arc<Cluster>);

impl Storage for Followed {
    fn revision(&self) -> u64 {
        self.0.store.revision()
    }

    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.0.store.get(key)
    }

    fn list(&self, page: &PageRequest<'_>) -> Result<Page, Compacted> {
        self.0.store.list(page)
    }

    fn count(&self, page: &PageRequest<'_>) -> Result<usize, Compacted> {
        self.0.store.count(page)
    }

    fn commit(
        &self,
        key: &Key,
        expect: Expect,
        next: Entry<'_>,
    ) -> Result<Arc<Object>, CommitError> {
        let removes = matches!(next, Entry::Remove(_));
        let object = self.0.store.commit(key, expect, next)?;
        if follows(key) {
            self.0.follow(Step { key: key.clone(), gone: removes.then(|| object.clone()) });
        }
        Ok(object)
    }

    fn changes(
        &self,
        resource: ResourceId,
        after: u64,
        max: usize,
    ) -> Result<(Vec<Event>, u64), Compacted> {
        self.0.store.changes(resource, after, max)
    }

    fn dependents(&self, uid: &str) -> Vec<Key> {
        self.0.store.dependents(uid)
    }

    fn watch(&self, resource: ResourceId) -> Arc<Notify> {
        self.0.store.watch(resource)
    }
}

/// Whether anything may follow from a write under a key.
fn follows(key: &Key) -> bool {
    let resource = key.resource;
    let known = &*RESOURCES;
    [known.pods, known.nodes, known.daemonsets, known.deployments].contains(&resource)
        || resource == *BUDGETS
}

/// An object to look after.
struct Step {
    key: Key,
    /// Its last state, when it was removed just now.
    gone: Option<Arc<Object>>,
}

impl From<Key> for Step {
    fn from(key: Key) -> Self {
        Self { key, gone: None }
    }
}

/// What is still to be done.
#[derive(Default)]
struct Steps {
    list: Vec<Step>,
    /// Namespaces whose budgets count anew when everything else is done.
    namespaces: BTreeSet<Box<str>>,
    /// Other budgets that do.
    budgets: BTreeSet<Key>,
}

impl From<Vec<Step>> for Steps {
    fn from(list: Vec<Step>) -> Self {
        Self { list, ..Self::default() }
    }
}

impl Cluster {
    /// Does what follows from a write.
    fn follow(self: &Arc<Self>, first: impl Into<Step>) {
        self.follow_all(vec![first.into()]);
    }

    fn follow_all(self: &Arc<Self>, steps: impl Into<Steps>) {
        let mut steps = steps.into();
        for _ in 0..steps.list.len() + MAX_STEPS {
            let Some(step) = steps.list.pop() else { break };
            let resource = step.key.resource;
            if resource == RESOURCES.pods {
                self.follow_pod(&step, &mut steps);
            } else if resource == RESOURCES.nodes {
                self.follow_node(&step.key, &mut steps);
            } else if resource == *BUDGETS {
                steps.budgets.insert(step.key);
            } else {
                self.follow_workload(&step.key);
            }
        }
        let Steps { list, namespaces, mut budgets } = steps;
        if !list.is_empty() {
            tracing::error!(cluster = %self.name(), left = list.len(), "controllers do not settle");
        }
        budgets.extend(namespaces.iter().flat_map(|namespace| self.budgets_in(namespace)));
        for budget in &budgets {
            self.follow_budget(budget);
        }
    }

    /// Does what a former run did not come to.
    pub(super) fn resume(self: &Arc<Self>) {
        let mut found = Vec::new();
        self.written(|key, object| {
            if follows(key) {
                found.push((key.clone(), object.is_none()));
            }
        });
        let steps = found.into_iter().map(|(key, hides)| {
            let gone = self.store.with_base(|base| base.get(&key)).filter(|_| hides);
            Step { key, gone }
        });
        self.follow_all(steps.collect::<Vec<_>>());
    }

    /// Calls `visit` with everything that was written; `None` hides an object of the base.
    fn written(&self, mut visit: impl FnMut(&Key, Option<&Object>)) {
        let done = self.store.snapshot(
            |_, _| Ok(()),
            |key, object| {
                visit(key, object);
                Ok(())
            },
        );
        debug_assert!(done.is_ok(), "a visit does not fail");
    }

    /// The written pods whose `spec.nodeName` is this node. Those of the base follow their node.
    pub(super) fn written_pods_on(&self, node: &str) -> Vec<Key> {
        let mut keys = Vec::new();
        let name = format!("\"nodeName\":{}", serde_json::Value::from(node));
        self.store.written_of(RESOURCES.pods, |key, object| {
            let hit = object.json().windows(name.len()).any(|window| window == name.as_bytes());
            if hit && object.value()["spec"]["nodeName"] == node {
                keys.push(key.clone());
            }
        });
        keys
    }
}

/// A write that followed from another one failed: what it was about stays as it is until the next
/// write, or the next start.
fn report(cluster: &Cluster, key: &Key, error: &dyn std::error::Error) {
    let cluster = cluster.name();
    tracing::error!(%cluster, ?key, %error, "what follows from a write could not be done");
}
