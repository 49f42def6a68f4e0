//! A cluster's nodes come, change and go.

use std::sync::Arc;

use apiserver::storage::{CommitError, Entry, Expect, Key, Object, ResourceId, Storage};
use jiff::Timestamp;
use serde_json::Value;

use super::cluster::Cluster;
use super::failed;
use super::record::{Change, encode};
use crate::cluster::nodes::merge_node;
use crate::journal::Record;
use crate::register::{NodeSpec, RegisterError};

/// How often an update of a stored node is tried when clients write to it at the same time.
const ATTEMPTS: u32 = 16;

/// Refuses a node that no API server would take.
pub(super) fn check(node: &NodeSpec) -> Result<(), RegisterError> {
    let faults = apiserver::names::dns1123_subdomain(&node.name);
    match faults.first() {
        Some(fault) => Err(RegisterError::Invalid { field: "nodeName", message: fault.clone() }),
        None => Ok(()),
    }
}

pub(super) fn node_key(node: &str) -> Key {
    Key::new(ResourceId::of("", "nodes"), "", node)
}

/// Why a change of the base was not made.
pub(super) enum Refused {
    Journal(std::io::Error),
    NotActivated,
    Unknown,
}

impl Cluster {
    pub(super) fn refusal(&self, refused: Refused, node: &str) -> RegisterError {
        match refused {
            Refused::Journal(error) => {
                failed("the node could not be written to the journal")(error)
            }
            Refused::NotActivated => RegisterError::NotActivated(self.name()),
            Refused::Unknown => {
                RegisterError::UnknownNode { cluster: self.name(), node: node.to_owned() }
            }
        }
    }

    /// Adds a node or updates it; returns when the disk has it.
    pub(super) async fn put_node(self: &Arc<Self>, node: NodeSpec) -> Result<(), RegisterError> {
        let name = node.name.clone();
        if self.lost(&name) {
            self.drop_node(&name)?;
        }
        // Before the base, too: whoever puts the node again after a kill between the two looks at
        // the base, and must find the old one there.
        if self.store.with_written(|_, _, written| written(&node_key(&name)).is_some()) {
            self.update_stored(&node)?;
        }
        let at = Timestamp::now();
        let change = Change::Put { node: node.clone(), at };
        let mut activates = false;
        self.store
            .change_base(|base, revision| {
                activates = !base.active();
                if !base.active() && !node.control_plane() {
                    return Err(Refused::NotActivated);
                }
                self.write_change(revision, &change)?;
                let changes = base.put_node(&node, revision, at);
                self.behaviour.booting.lock().remove(&node.name);
                changes.map_err(|_| Refused::NotActivated)
            })
            .map_err(|refused| self.refusal(refused, &name))?;
        if activates {
            // Dozens of objects come at once, to clusters that mostly nobody watches yet.
            self.store.forget_unwatched();
        }
        self.update_stored(&node)?;
        self.follow_put(&name);
        self.sync().await
    }

    /// Removes a node; returns when the disk has it.
    pub(super) async fn remove_node(self: &Arc<Self>, node: &str) -> Result<(), RegisterError> {
        self.drop_node(node)?;
        self.follow_removal(node);
        self.sync().await
    }

    /// Whether the node is there.
    pub(super) fn has_node(&self, node: &str) -> bool {
        self.store.get(&node_key(node)).is_some()
    }

    /// Whether a client has deleted the Node: put again, it is a new one.
    fn lost(&self, node: &str) -> bool {
        let there = self.store.with_base(|base| base.nodes().get(node).is_some());
        there && self.store.get(&node_key(node)).is_none()
    }

    pub(super) fn drop_node(&self, node: &str) -> Result<(), RegisterError> {
        let at = Timestamp::now();
        let change = Change::Remove { node: node.to_owned(), at };
        self.store
            .change_base(|base, revision| {
                let boots = self.behaviour.booting.lock().contains_key(node);
                if base.nodes().get(node).is_none() && !boots {
                    return Err(Refused::Unknown);
                }
                self.write_change(revision, &change)?;
                self.behaviour.booting.lock().remove(node);
                // One that boots has left nothing in the base yet.
                Ok(base.remove_node(node, revision, at).unwrap_or_default())
            })
            .map_err(|refused| self.refusal(refused, node))
    }

    pub(super) fn write_change(&self, revision: u64, change: &Change) -> Result<(), Refused> {
        let record = Record::Base { revision, body: &encode(change) };
        self.store.log().write(&record).map_err(Refused::Journal)
    }

    /// A node that clients have written to lives in the store: it is updated there.
    fn update_stored(&self, node: &NodeSpec) -> Result<(), RegisterError> {
        self.edit(&node_key(&node.name), |stored| merge_node(stored, node))
    }

    /// Removes an object, whoever writes to it.
    pub(super) fn remove(&self, key: &Key) -> Result<(), RegisterError> {
        for _ in 0..ATTEMPTS {
            let Some(current) = self.store.get(key) else { return Ok(()) };
            let mut last = current.value();
            let mut encode = |revision: u64| {
                last["metadata"]["resourceVersion"] = revision.to_string().into();
                Object::encode(&last)
            };
            let expect = Expect::Revision(current.meta.resource_version);
            match self.store.commit(key, expect, Entry::Remove(&mut encode)) {
                Ok(_) | Err(CommitError::Missing) => return Ok(()),
                Err(CommitError::Changed { .. }) => {}
                Err(error) => return Err(failed("an object could not be removed")(error)),
            }
        }
        Ok(())
    }

    /// Changes an object until no client's write comes between; `None` leaves it as it is.
    pub(super) fn edit(
        &self,
        key: &Key,
        mut change: impl FnMut(&Value) -> Option<Value>,
    ) -> Result<(), RegisterError> {
        for _ in 0..ATTEMPTS {
            let Some(current) = self.store.get(key) else { return Ok(()) };
            let Some(mut changed) = change(&current.value()) else { return Ok(()) };
            let mut encode = |revision: u64| {
                changed["metadata"]["resourceVersion"] = revision.to_string().into();
                Object::encode(&changed)
            };
            let expect = Expect::Revision(current.meta.resource_version);
            match self.store.commit(key, expect, Entry::Put(&mut encode)) {
                Ok(_) | Err(CommitError::Missing) => return Ok(()),
                Err(CommitError::Changed { .. }) => {}
                Err(error) => return Err(failed("the node could not be updated")(error)),
            }
        }
        let message = "clients keep changing the node; try again".to_owned();
        Err(RegisterError::Invalid { field: "nodeName", message })
    }
}
