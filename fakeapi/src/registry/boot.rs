//! Nodes that take their time: they are written down when they are added and are there when they
//! have booted, also when fakeapi was restarted meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Registry;
use super::behaviour::Job;
use super::cluster::Cluster;
use super::failed;
use super::record::{Change, encode};
use crate::behaviour::Effect;
use crate::cluster::base::ClusterBase;
use crate::journal::Record;
use crate::register::{NodeSpec, RegisterError};

/// How long a node that has booted and could not be added waits for another try.
const AGAIN: Duration = Duration::from_secs(5);

/// A node that boots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Booting {
    /// The node as it is to be.
    pub(super) node: NodeSpec,
    /// When it is there.
    pub(super) ready_at: Timestamp,
}

impl Registry {
    /// Lets a node boot, when rules say that it takes time and it is not there yet. Says whether
    /// it does.
    pub(super) async fn begin_boot(
        &self,
        cluster: &Arc<Cluster>,
        node: &NodeSpec,
    ) -> Result<bool, RegisterError> {
        let booting = cluster.behaviour.booting.lock().get(&node.name).cloned();
        let new = booting.is_none();
        let ready_at = if let Some(Booting { ready_at, .. }) = booting {
            ready_at
        } else {
            let Some(effects) = cluster.behaviour.effects() else { return Ok(false) };
            let startup = effects.startup(&node.name);
            if startup.is_zero() || cluster.has_node(&node.name) {
                return Ok(false);
            }
            Timestamp::now() + startup
        };
        if !node.control_plane() && !cluster.store.with_base(ClusterBase::active) {
            return Err(RegisterError::NotActivated(cluster.name()));
        }
        cluster.write_booting(Booting { node: node.clone(), ready_at })?;
        cluster.sync().await?;
        if new {
            self.later_at(ready_at, Job::Boot(Arc::downgrade(cluster), node.name.clone()));
            for rule in cluster.behaviour.effects().iter().flat_map(|effects| effects.active()) {
                if rule.entry.rule.node.provisioning.is_some() {
                    rule.entry.counts.add(Effect::Boot);
                }
            }
        }
        Ok(true)
    }

    /// A node has booted, unless it was removed meanwhile.
    pub(super) async fn boot(&self, cluster: &Arc<Cluster>, node: &str) {
        let name = cluster.name();
        let _turn = self.turn(&name).await;
        let booting = cluster.behaviour.booting.lock().get(node).cloned();
        let Some(Booting { node: spec, ready_at }) = booting else { return };
        if cluster.gone.is_cancelled() || ready_at > Timestamp::now() {
            return;
        }
        match cluster.put_node(spec).await {
            Ok(()) => self.node_came(cluster, node),
            Err(error) => {
                let error = crate::fkas::with_causes(&error);
                tracing::error!(cluster = %name, node, error, "a node has booted and is not there");
                self.later(AGAIN, Job::Boot(Arc::downgrade(cluster), node.to_owned()));
            }
        }
    }
}

impl Cluster {
    /// Notes a node that boots, in the journal and here; a snapshot has both or neither.
    pub(super) fn write_booting(&self, booting: Booting) -> Result<(), RegisterError> {
        let change = Change::Boot(booting.clone());
        let written: std::io::Result<()> = self.store.note(|revision| {
            let record = Record::Base { revision, body: &encode(&change) };
            self.store.log().write(&record)?;
            self.behaviour.booting.lock().insert(booting.node.name.clone(), booting);
            Ok(())
        });
        written.map_err(failed("the node could not be written to the journal"))
    }

    /// The nodes that were added, also those that boot, in order of their names.
    pub(super) fn all_nodes(&self) -> Vec<NodeSpec> {
        let nodes: BTreeMap<String, NodeSpec> = self.store.with_base(|base| {
            // Under the store's lock, so that one that has just booted is not missed.
            let booting = self.behaviour.booting.lock();
            booting
                .values()
                .map(|booting| (booting.node.name.clone(), booting.node.clone()))
                .chain(base.node_specs().map(|node| (node.name.clone(), node)))
                .collect()
        });
        nodes.into_values().collect()
    }

    /// The nodes that boot, and when they are there.
    pub(super) fn booting_nodes(&self) -> Vec<(String, Timestamp)> {
        let booting = self.behaviour.booting.lock();
        booting.iter().map(|(name, booting)| (name.clone(), booting.ready_at)).collect()
    }
}
