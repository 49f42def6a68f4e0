//! The etcd members: who is in, who leads, how they fare.
//!
//! A member is a control-plane node unless something was said about it; only that is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use apiserver::storage::BaseChange;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::members::{Alarm, Member, MemberChange, Members, elect};
use super::super::nodes::PodKind;
use super::change::{Changes, pod_key};
use super::network::host;
use super::{ClusterBase, Leader};
use crate::register::MemberHealth;

/// The term in which a cluster's first leader was elected.
const FIRST_TERM: u64 = 2;

/// What is unlike etcd's beginning in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdState {
    /// How often a leader was elected.
    term: u64,
    /// Members that are unlike others, by their nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    nodes: BTreeMap<String, MemberRecord>,
    /// Members that were added and never started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    strangers: Vec<Stranger>,
    /// In the order in which they were raised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    alarms: Vec<(u64, Alarm)>,
}

impl Default for EtcdState {
    fn default() -> Self {
        let (nodes, strangers, alarms) = Default::default();
        Self { term: FIRST_TERM, nodes, strangers, alarms }
    }
}

/// What is unlike others in a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MemberRecord {
    /// It was removed from the cluster; its pod stays until its node goes.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) removed: bool,
    /// Its process is gone.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) lost: bool,
    /// It has no vote.
    #[serde(skip_serializing_if = "is_false")]
    learner: bool,
    /// Since when its process is gone, in seconds since 1970.
    pub(super) since: i64,
    /// Its peer URLs, when they were changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_urls: Option<Vec<String>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A member that was added and never started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stranger {
    id: u64,
    peer_urls: Vec<String>,
    learner: bool,
}

/// What clients wrote on the pod of a member, as FKAS' users do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// That it is removed.
    pub removed: bool,
    /// Since when it leads, in seconds since 1970.
    pub leader_from: Option<i64>,
}

impl ClusterBase {
    pub(super) fn member_record(&self, node: &str) -> Option<&MemberRecord> {
        self.etcd.as_ref()?.nodes.get(node)
    }

    /// The etcd members, `noted` telling what clients wrote on their nodes' pods.
    pub fn members(&self, noted: &dyn Fn(&str) -> Noted) -> Members {
        let mut list: Vec<Member> = self
            .nodes
            .control_planes_from(std::ops::Bound::Unbounded)
            .filter_map(|node| self.member(node, noted(node)))
            .collect();
        let strangers = self.etcd.iter().flat_map(|etcd| &etcd.strangers);
        list.extend(strangers.map(|stranger| Member {
            id: stranger.id,
            node: None,
            peer_urls: stranger.peer_urls.clone(),
            client_urls: Vec::new(),
            learner: stranger.learner,
            running: false,
            led_since: None,
            origin: u64::MAX,
        }));
        list.sort_by_key(|member| member.id);
        let leader = elect(&list).map(|member| member.id);
        let own = self.leader.as_ref().and_then(|leader| self.etcd_member_id(&leader.node));
        let term = self.etcd.as_ref().map_or(FIRST_TERM, |etcd| etcd.term);
        // A leader that clients named was elected after ours.
        let named = leader.is_some() && leader != own.map(u64::from);
        Members {
            cluster_id: self.etcd_cluster_id().into(),
            leader,
            term: term + u64::from(named),
            alarms: self.etcd.as_ref().map(|etcd| etcd.alarms.clone()).unwrap_or_default(),
            list,
        }
    }

    fn member(&self, node: &str, noted: Noted) -> Option<Member> {
        let (name, record) = self.nodes.get(node)?;
        let state = self.member_record(node);
        if noted.removed || state.is_some_and(|state| state.removed) {
            return None;
        }
        let ip = host(self.network().node(record.ordinal));
        let peer_urls = state.and_then(|state| state.peer_urls.clone());
        let own = self.leader.as_ref().filter(|leader| leader.node == *name);
        Some(Member {
            id: self.member_id(name, record).into(),
            node: Some(name.clone()),
            peer_urls: peer_urls.unwrap_or_else(|| vec![format!("https://{ip}:2380")]),
            client_urls: vec![format!("https://{ip}:2379")],
            learner: state.is_some_and(|state| state.learner),
            running: !state.is_some_and(|state| state.lost),
            led_since: own
                .map(|leader| (leader.since, true))
                .max(noted.leader_from.map(|since| (since, false))),
            origin: record.origin,
        })
    }

    /// The node of a member that is in the list or was removed from it.
    fn node_of(&self, id: u64) -> Option<Arc<str>> {
        let mut nodes = self.nodes.control_planes_from(std::ops::Bound::Unbounded);
        let node = nodes.find(|node| self.etcd_member_id(node).map(u64::from) == Some(id))?;
        self.nodes.get(node).map(|(name, _)| name.clone())
    }

    /// Makes a change that [`Members::check`] has allowed.
    pub fn change_members(
        &mut self,
        change: &MemberChange,
        first_revision: u64,
        now: Timestamp,
    ) -> Vec<BaseChange> {
        let mut changes = Changes::new(first_revision, now);
        match change {
            MemberChange::Lead { id } => {
                if let Some(node) = self.node_of(*id) {
                    self.pass_leadership(Some(node), &mut changes);
                }
            }
            MemberChange::Remove { id } => self.remove_member(*id, &mut changes),
            MemberChange::Add { peer_urls, learner } => {
                let text = format!("{first_revision} {}", peer_urls.join(","));
                let id = Uuid::new_v5(&self.facts.seed, text.as_bytes()).as_u64_pair().0.max(1);
                // It takes no revision, so it may be replayed on a snapshot that has it.
                if self.stranger_mut(id).is_none() {
                    let stranger = Stranger { id, peer_urls: peer_urls.clone(), learner: *learner };
                    self.etcd_mut().strangers.push(stranger);
                }
            }
            MemberChange::Update { id, peer_urls } => {
                if let Some(stranger) = self.stranger_mut(*id) {
                    stranger.peer_urls.clone_from(peer_urls);
                } else if let Some(node) = self.node_of(*id) {
                    self.record_mut(&node).peer_urls = Some(peer_urls.clone());
                }
            }
            MemberChange::Promote { id } => {
                if let Some(stranger) = self.stranger_mut(*id) {
                    stranger.learner = false;
                } else if let Some(node) = self.node_of(*id) {
                    self.record_mut(&node).learner = false;
                }
            }
            MemberChange::Raise { id, alarm } => {
                let alarms = &mut self.etcd_mut().alarms;
                if !alarms.contains(&(*id, *alarm)) {
                    alarms.push((*id, *alarm));
                }
            }
            MemberChange::Silence { id, alarm } => {
                self.etcd_mut().alarms.retain(|raised| *raised != (*id, *alarm));
            }
            MemberChange::Fare { node, health } => self.fare(node, *health, &mut changes),
        }
        self.settle_leader(&mut changes);
        changes.list
    }

    fn remove_member(&mut self, id: u64, changes: &mut Changes) {
        let etcd = self.etcd_mut();
        etcd.strangers.retain(|stranger| stranger.id != id);
        etcd.alarms.retain(|(of, _)| *of != id);
        if let Some(node) = self.node_of(id) {
            let since = changes.now;
            self.touch_pod(&node, changes);
            let record = self.record_mut(&node);
            record.removed = true;
            record.since = since;
        }
    }

    fn fare(&mut self, node: &str, health: MemberHealth, changes: &mut Changes) {
        let Some((name, id)) =
            self.nodes.get(node).map(|(name, _)| name.clone()).and_then(|name| {
                let id = self.etcd_member_id(&name)?;
                Some((name, u64::from(id)))
            })
        else {
            return;
        };
        let lost = health == MemberHealth::Lost;
        let was = self.member_record(&name).is_some_and(|record| record.lost);
        let removed = self.member_record(&name).is_some_and(|record| record.removed);
        if lost != was && !removed {
            self.touch_pod(&name, changes);
        }
        let since = changes.now;
        let record = self.record_mut(&name);
        if lost && !was && !removed {
            record.since = since;
        }
        record.lost = lost;
        record.learner = health == MemberHealth::Learner;
        let alarms = &mut self.etcd_mut().alarms;
        alarms.retain(|(of, _)| *of != id);
        alarms.extend(Alarm::of(health).map(|alarm| (id, alarm)));
    }

    /// A node goes, and its member with it.
    pub(super) fn forget_member(&mut self, node: &str) {
        if let Some(etcd) = &mut self.etcd {
            etcd.nodes.remove(node);
        }
        if self.leader.as_ref().is_some_and(|leader| &*leader.node == node) {
            self.leader = None;
        }
        let ids: Vec<u64> = self.members(&|_| Noted::default()).list.iter().map(|m| m.id).collect();
        if let Some(etcd) = &mut self.etcd {
            etcd.alarms.retain(|(of, _)| ids.contains(of));
        }
    }

    /// Sees to it that who leads is who must.
    pub(super) fn settle_leader(&mut self, changes: &mut Changes) {
        let next = self.elected();
        self.pass_leadership(next, changes);
    }

    /// The same after a member has come, whose pod is new: that it leads is no change of it.
    pub(super) fn settle_with_new(&mut self, node: &Arc<str>, changes: &mut Changes) {
        if self.nodes.etcd(node).is_none() {
            return;
        }
        let next = self.elected();
        if self.leader.is_none() && next.as_ref() == Some(node) {
            let leader = Leader { node: node.clone(), since: changes.now };
            self.elect_as(Some(leader));
        } else {
            self.pass_leadership(next, changes);
        }
    }

    fn elected(&self) -> Option<Arc<str>> {
        let members = self.members(&|_| Noted::default());
        members.leading().and_then(|member| member.node.clone())
    }

    /// Lets another member lead, or none; nothing when it does so already.
    pub(super) fn pass_leadership(&mut self, next: Option<Arc<str>>, changes: &mut Changes) {
        let former = self.leader.as_ref().map(|leader| leader.node.clone());
        if former == next {
            return;
        }
        if let Some(former) = former {
            let down = self.member_record(&former).is_some_and(|r| r.lost || r.removed);
            // The pod of one that is down shows so, and nothing of who leads.
            if !down && self.nodes.etcd(&former).is_some() {
                self.touch_pod(&former, changes);
            }
        }
        if let Some(next) = &next {
            self.touch_pod(next, changes);
        }
        let since = changes.now;
        self.elect_as(next.map(|node| Leader { node, since }));
    }

    fn elect_as(&mut self, leader: Option<Leader>) {
        // The first leader is elected in the first term.
        let first = self.etcd.is_none() && self.leader.is_none() && self.nodes.len() <= 1;
        if leader.is_some() && !first {
            self.etcd_mut().term += 1;
        }
        self.leader = leader;
    }

    /// Tells that a member's pod changes; to be called before it does.
    fn touch_pod(&mut self, node: &Arc<str>, changes: &mut Changes) {
        let revision = changes.next();
        changes.modified(self, pod_key(PodKind::Etcd, node));
        self.nodes.set_etcd(node, revision);
    }

    fn etcd_mut(&mut self) -> &mut EtcdState {
        self.etcd.get_or_insert_default()
    }

    fn record_mut(&mut self, node: &str) -> &mut MemberRecord {
        self.etcd_mut().nodes.entry(node.to_owned()).or_default()
    }

    fn stranger_mut(&mut self, id: u64) -> Option<&mut Stranger> {
        self.etcd.as_mut()?.strangers.iter_mut().find(|stranger| stranger.id == id)
    }
}
