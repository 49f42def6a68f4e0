//! What must be written down of a base, and the base made from it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::baseline::Baseline;
use super::super::nodes::{NodeState, NodeTable};
use super::{Activation, ClusterBase, ClusterFacts, DnsPod, EtcdState, Leader, Workload};

/// A base as it is written down, beside the cluster's facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseState {
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    activation: Option<ActivationState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leader: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etcd: Option<EtcdState>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dns: Vec<PodState>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    images: BTreeMap<Workload, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ActivationState {
    first: u64,
    at: i64,
    daemonset: u64,
    dns: u64,
}

/// Where something is since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    node: String,
    since: i64,
}

/// A coredns pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PodState {
    node: String,
    origin: u64,
    revision: u64,
    since: i64,
}

impl ClusterBase {
    /// What must be written down to have this base again after [`Self::from_state`].
    pub fn state(&self) -> BaseState {
        let Self {
            facts: _,
            baseline: _,
            first_version,
            version: _,
            activation,
            nodes,
            leader,
            etcd,
            dns,
            images,
        } = self;
        BaseState {
            version: first_version.to_string(),
            activation: activation.map(|a| ActivationState {
                first: a.first,
                at: a.at,
                daemonset: a.daemonset,
                dns: a.dns,
            }),
            leader: leader
                .as_ref()
                .map(|leader| Place { node: leader.node.to_string(), since: leader.since }),
            etcd: etcd.as_deref().cloned(),
            dns: dns
                .iter()
                .map(|pod| PodState {
                    node: pod.node.to_string(),
                    origin: pod.origin,
                    revision: pod.revision,
                    since: pod.since,
                })
                .collect(),
            images: [Workload::Proxy, Workload::Dns]
                .into_iter()
                .filter_map(|workload| Some((workload, images.of(workload)?.to_string())))
                .collect(),
            nodes: nodes.states(),
        }
    }

    /// The base that [`Self::state`] wrote down.
    pub fn from_state(facts: Arc<ClusterFacts>, baseline: Arc<Baseline>, state: BaseState) -> Self {
        let mut this = Self::new(facts, baseline, &state.version);
        this.activation = state.activation.map(|a| Activation {
            first: a.first,
            at: a.at,
            daemonset: a.daemonset,
            dns: a.dns,
        });
        this.nodes = NodeTable::from_states(state.nodes, &this.first_version);
        this.leader =
            state.leader.map(|place| Leader { node: place.node.into(), since: place.since });
        this.etcd = state.etcd.map(Box::new);
        let pod = |pod: PodState| DnsPod {
            node: pod.node.into(),
            origin: pod.origin,
            revision: pod.revision,
            since: pod.since,
        };
        this.dns = state.dns.into_iter().map(pod).collect();
        for (workload, image) in &state.images {
            this.images.set(*workload, image);
        }
        this.find_version();
        this
    }
}
