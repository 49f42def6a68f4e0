//! The members of an etcd cluster as rules see them: who leads, and which change is allowed.
//!
//! The rules are etcd's own (`etcdserver/server.go` and `etcdserver/api/membership` of 3.6, with
//! its strict check of reconfigurations, which is on by default). Nothing here knows of nodes'
//! pods or of gRPC.

mod check;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use check::Refused;

use crate::register::MemberHealth;

/// How many members without a vote a cluster may have: etcd's default.
pub const MAX_LEARNERS: usize = 1;

/// How many members that never started a cluster may have, and how many URLs each: an API that
/// anybody with a certificate can call must not fill memory.
pub const MAX_UNSTARTED: usize = 8;

/// How many peer URLs a member may have.
pub const MAX_URLS: usize = 16;

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id, never 0.
    pub id: u64,
    /// The node it runs on; none when it was added and never started. Also its name.
    pub node: Option<Arc<str>>,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it has no vote.
    pub learner: bool,
    /// Whether its process runs.
    pub running: bool,
    /// Since when it leads, in seconds since 1970, and whether it was elected here, which counts
    /// for more than what a client wrote of the same second. None when it never did.
    pub led_since: Option<(i64, bool)>,
    /// Which of them came first.
    pub origin: u64,
}

impl Member {
    /// Whether it can lead and counts for a quorum.
    pub fn votes(&self) -> bool {
        self.running && !self.learner
    }

    fn started(&self) -> bool {
        self.node.is_some()
    }
}

/// Something a member raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Alarm {
    /// Its database has reached its quota.
    NoSpace,
    /// Its data differs from that of others.
    Corrupt,
}

impl Alarm {
    /// What a member in this health has raised.
    pub fn of(health: MemberHealth) -> Option<Self> {
        match health {
            MemberHealth::NoSpace => Some(Self::NoSpace),
            MemberHealth::Corrupt => Some(Self::Corrupt),
            MemberHealth::Healthy | MemberHealth::Lost | MemberHealth::Learner => None,
        }
    }
}

/// The members at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The cluster's id, never 0.
    pub cluster_id: u64,
    /// In order of their ids, as etcd lists them.
    pub list: Vec<Member>,
    /// Who leads; nobody without a quorum.
    pub leader: Option<u64>,
    /// How often a leader was elected.
    pub term: u64,
    /// What was raised, and by whom.
    pub alarms: Vec<(u64, Alarm)>,
}

impl Members {
    /// One member.
    pub fn get(&self, id: u64) -> Option<&Member> {
        self.list.iter().find(|member| member.id == id)
    }

    /// The member on a node.
    pub fn on(&self, node: &str) -> Option<&Member> {
        self.list.iter().find(|member| member.node.as_deref() == Some(node))
    }

    /// The member that leads.
    pub fn leading(&self) -> Option<&Member> {
        self.leader.and_then(|id| self.get(id))
    }

    fn voters(&self) -> impl Iterator<Item = &Member> + Clone {
        self.list.iter().filter(|member| !member.learner)
    }
}

/// The member that must lead: of those that run and vote the one that led last, else the one that
/// came first; none when they are no quorum.
pub fn elect(members: &[Member]) -> Option<&Member> {
    let voters = members.iter().filter(|member| !member.learner).count();
    let running = members.iter().filter(|member| member.votes());
    if running.clone().count() < quorum(voters) {
        return None;
    }
    running.max_by_key(|member| (member.led_since, std::cmp::Reverse(member.origin)))
}

/// How many of so many are a majority.
fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// A change of members; made again on the same state it comes out the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberChange {
    /// Leadership goes to a member.
    Lead {
        /// Its id.
        id: u64,
    },
    /// A member leaves.
    Remove {
        /// Its id.
        id: u64,
    },
    /// A member is added, which nobody starts.
    Add {
        /// Where others are to reach it.
        peer_urls: Vec<String>,
        /// Whether it is to have no vote.
        learner: bool,
    },
    /// A member is reached elsewhere.
    Update {
        /// Its id.
        id: u64,
        /// Where.
        peer_urls: Vec<String>,
    },
    /// A learner gets its vote.
    Promote {
        /// Its id.
        id: u64,
    },
    /// A member raises an alarm.
    Raise {
        /// Its id.
        id: u64,
        /// The alarm.
        alarm: Alarm,
    },
    /// An alarm ends.
    Silence {
        /// The id of the member that raised it.
        id: u64,
        /// The alarm.
        alarm: Alarm,
    },
    /// The member on a node is made to fare otherwise, whatever rules say.
    Fare {
        /// The node.
        node: String,
        /// How.
        health: MemberHealth,
    },
}
