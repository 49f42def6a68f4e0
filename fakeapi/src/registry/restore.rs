//! The clusters as the journal has them, and the journal's snapshots of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use apiserver::storage::{Key, Object, ResourceId, Storage};

use super::Registry;
use super::cluster::{Cluster, Identity};
use super::log::{bytes, names};
use super::record::{Change, Registration, encode};
use crate::addr::ClusterAddr;
use crate::cluster::base::{ClusterBase, ClusterFacts};
use crate::cluster::identity::IdentityError;
use crate::ipam::IpamError;
use crate::journal::{ClusterId, JournalError, Live, Record, Replay, Source};
use crate::register::{Fault, NodeSpec};

/// Clusters that newer ones took the place of.
type Ids = BTreeSet<ClusterId>;

/// Why the clusters could not be had back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The journal could not be read.
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    /// A record is not what this version writes.
    #[error("a record of cluster {id:?} cannot be read")]
    Record {
        /// The cluster.
        id: ClusterId,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The authorities of a cluster cannot be used.
    #[error("the authorities of cluster {id:?} cannot be used")]
    Identity {
        /// The cluster.
        id: ClusterId,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// The address of a cluster is not in the pools of this run.
    #[error("cluster {name} has address {address}, which this run cannot give; name its pool")]
    Address {
        /// The cluster.
        name: String,
        /// Its address.
        address: ClusterAddr,
        /// Why.
        #[source]
        source: IpamError,
    },
    /// The journal does not take the end of a cluster that another one superseded.
    #[error("the end of superseded cluster {id} cannot be written to the journal")]
    End {
        /// The cluster.
        id: ClusterId,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A record speaks of a cluster that was not registered before.
    #[error("a record speaks of cluster {0:?}, which is not registered")]
    Unregistered(ClusterId),
}

impl Registry {
    /// Puts back the clusters that a journal holds. Nobody is told: it is done before anyone is
    /// let in.
    ///
    /// # Errors
    /// When a record cannot be read or a cluster cannot have its address.
    pub fn restore(&self, replay: &Replay) -> Result<(), RestoreError> {
        let mut superseded = Ids::new();
        replay.run(|id, record, source| self.replay(id, &record, source, &mut superseded))?;
        if let Some(journal) = &self.journal {
            superseded.into_iter().try_for_each(|id| {
                let end = journal.append(id, &Record::Gone);
                end.map_err(|source| RestoreError::End { id, source })
            })?;
        }
        self.clusters.all().iter().for_each(Cluster::resume);
        Ok(())
    }

    fn replay(
        &self,
        id: ClusterId,
        record: &Record<'_>,
        source: Source,
        superseded: &mut Ids,
    ) -> Result<(), RestoreError> {
        if superseded.contains(&id) {
            return Ok(());
        }
        if let Record::Cluster { revision, body } = record {
            return self.replay_registration(id, *revision, body, source, superseded);
        }
        let cluster = self.clusters.with_id(id).ok_or(RestoreError::Unregistered(id))?;
        match record {
            // A replay leaves out clusters that are gone.
            Record::Cluster { .. } | Record::Gone => Ok(()),
            Record::Base { revision, body } => {
                let change = serde_json::from_slice(body)
                    .map_err(|source| RestoreError::Record { id, source })?;
                cluster.replay_change(*revision, change, self);
                Ok(())
            }
            Record::Object { revision, key, object } => {
                let resource = ResourceId::of(key.group, key.resource);
                let key = Key::new(resource, key.namespace, key.name);
                let object = object
                    .map(|object| serde_json::from_slice(object.json).map(|v| Object::encode(&v)))
                    .transpose()
                    .map_err(|source| RestoreError::Record { id, source })?;
                match source {
                    Source::Snapshot => cluster.store.load(key, object),
                    Source::Log => cluster.store.restore(*revision, key, object),
                }
                Ok(())
            }
        }
    }

    fn replay_registration(
        &self,
        id: ClusterId,
        revision: u64,
        body: &[u8],
        source: Source,
        superseded: &mut Ids,
    ) -> Result<(), RestoreError> {
        let registration: Registration =
            serde_json::from_slice(body).map_err(|source| RestoreError::Record { id, source })?;
        let facts = registration.facts().map_err(|source| RestoreError::Identity { id, source })?;
        if let Some(cluster) = self.clusters.with_id(id) {
            let identity = Identity::new(facts, registration.stand_ins)
                .with_labels(Arc::new(registration.labels));
            return cluster.become_known_as(identity, |_, _| Ok(()));
        }
        if !self.supersede(id, &facts, superseded) {
            return Ok(());
        }
        let (name, address) = (facts.name.to_string(), facts.addr);
        self.ipam.claim(address).map_err(|source| RestoreError::Address {
            name,
            address,
            source,
        })?;
        let identity =
            Identity::new(facts, registration.stand_ins).with_labels(Arc::new(registration.labels));
        let cluster = self.make(id, identity, &registration.version);
        if source == Source::Snapshot {
            cluster.store.restart_at(revision);
        }
        self.clusters.announce(&cluster);
        self.clusters.publish(&cluster);
        Ok(())
    }

    /// Makes room for a cluster that has the name or the address of others, unless one of them is
    /// newer: then there is no room.
    ///
    /// There are such when the end of the older one is not in the journal: the disk failed while
    /// it was refused or taken away, or nothing is synced and the machine died.
    fn supersede(&self, id: ClusterId, facts: &ClusterFacts, superseded: &mut Ids) -> bool {
        let rivals = [self.clusters.named(&facts.name), self.clusters.at(facts.addr)];
        if rivals.iter().flatten().any(|rival| rival.id > id) {
            tracing::warn!(cluster = %facts.name, %id, "superseded by a newer cluster");
            superseded.insert(id);
            return false;
        }
        for rival in rivals.iter().flatten() {
            if superseded.insert(rival.id) {
                tracing::warn!(cluster = %rival.name(), id = %rival.id, "superseded by a newer one");
                self.clusters.withdraw(rival);
                self.clusters.forget(rival);
                self.release(rival.address());
            }
        }
        true
    }
}

impl Cluster {
    fn replay_change(&self, revision: u64, change: Change, registry: &Registry) {
        // Changes that were lost to damage leave a gap; revisions never repeat.
        if !matches!(change, Change::State(_)) && revision > self.store.revision() + 1 {
            self.store.restart_at(revision - 1);
        }
        let change = match change {
            Change::Boot(booting) => {
                self.replay_note(revision);
                self.behaviour.booting.lock().insert(booting.node.name.clone(), booting);
                return;
            }
            Change::Fault(fault) => {
                self.replay_note(revision);
                *self.fault.write() = fault;
                return;
            }
            change => change,
        };
        if let Change::Put { node: NodeSpec { name, .. }, .. } | Change::Remove { node: name, .. } =
            &change
        {
            self.behaviour.booting.lock().remove(name);
        }
        let facts = self.facts();
        let baseline = registry.shared.baseline.clone();
        let mut activates = false;
        let made = self.store.change_base(|base, first| {
            activates = !base.active();
            Ok::<_, std::convert::Infallible>(match change {
                Change::State(state) => {
                    *base = ClusterBase::from_state(facts, baseline, state);
                    Vec::new()
                }
                // They were noted above.
                Change::Boot(_) | Change::Fault(_) => Vec::new(),
                Change::Put { node, at } => base.put_node(&node, first, at).unwrap_or_default(),
                Change::Remove { node, at } => {
                    base.remove_node(&node, first, at).unwrap_or_default()
                }
                Change::RollOut { workload, image, at } => {
                    base.roll_out(workload, &image, first, at)
                }
                Change::Renew { pod, node, at } => {
                    base.renew_pod(&pod, node.as_deref(), first, at).unwrap_or_default()
                }
                Change::Health { node, health, at } => {
                    base.set_health(&node, health, first, at).unwrap_or_default()
                }
                Change::Members { change, at } => base.change_members(&change, first, at),
            })
        });
        match made {
            Ok(()) if activates => self.store.forget_unwatched(),
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Takes the revision that a note has taken. Those of a snapshot have its revision, and in
    /// journals of earlier versions they have that of the change before: they take none.
    fn replay_note(&self, revision: u64) {
        if revision > self.store.revision() {
            let Ok(()) = self.store.note(|_| Ok::<_, std::convert::Infallible>(()));
        }
    }

    /// Writes the cluster into a snapshot, locked while it is written.
    fn write_snapshot(
        &self,
        out: &mut dyn FnMut(ClusterId, &Record<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let out = RefCell::new(out);
        let taken_at = Cell::new(0);
        self.store.snapshot(
            |revision, base| {
                taken_at.set(revision);
                // Read under the store's lock, as it is changed: see `become_known_as`.
                let identity = self.identity.read().clone();
                let body = encode(&Registration::of(&identity, &self.version));
                (out.borrow_mut())(self.id, &Record::Cluster { revision, body: &body })?;
                let body = encode(&Change::State(base.state()));
                (out.borrow_mut())(self.id, &Record::Base { revision, body: &body })?;
                // Changed under the store's lock, too.
                let booting = self.behaviour.booting.lock().clone();
                booting.into_values().try_for_each(|booting| {
                    let body = encode(&Change::Boot(booting));
                    (out.borrow_mut())(self.id, &Record::Base { revision, body: &body })
                })?;
                match *self.fault.read() {
                    Fault::None => Ok(()),
                    fault => {
                        let body = encode(&Change::Fault(fault));
                        (out.borrow_mut())(self.id, &Record::Base { revision, body: &body })
                    }
                }
            },
            |key, object| {
                let revision = object.map_or(taken_at.get(), |object| object.meta.resource_version);
                let record =
                    Record::Object { revision, key: names(key), object: object.map(bytes) };
                (out.borrow_mut())(self.id, &record)
            },
        )
    }
}

impl Live for Registry {
    fn snapshot(
        &self,
        shard: u32,
        out: &mut dyn FnMut(ClusterId, &Record<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.clusters.of_shard(shard).iter().try_for_each(|cluster| cluster.write_snapshot(out))
    }
}
