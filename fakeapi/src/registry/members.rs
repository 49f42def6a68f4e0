//! The etcd members of a cluster change: because a client of etcd asked, or an operator.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use apiserver::storage::{CommitError, Entry, Expect, Key, Object, ResourceId, Storage};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cluster::Cluster;
use super::failed;
use super::record::{Change, encode};
use crate::cluster::base::Noted;
use crate::cluster::members::{MemberChange, Members, Refused};
use crate::cluster::nodes::{LEADER_FROM, MEMBER_REMOVED, PodKind};
use crate::etcd::{ChangeError, View};
use crate::journal::Record;
use crate::register::{MemberHealth, RegisterError};

/// How often an update of a stored pod is tried when clients write to it at the same time.
const ATTEMPTS: u32 = 16;

/// What is read of a pod that a client has written.
#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Cluster {
    /// The members and the clock, as they are now.
    pub(super) fn view(&self) -> View {
        self.store.with_written(|base, revision, written| View {
            members: base.members(&|node| noted(written(&pod_key(node)).as_deref())),
            revision,
            nodes: base.nodes().len(),
        })
    }

    /// Makes a change of the members that etcd would make; returns when the disk has it.
    pub(super) async fn change_members(
        &self,
        change: MemberChange,
    ) -> Result<Members, ChangeError> {
        self.alter_members(&change)?;
        self.store.log().sync().await.map_err(ChangeError::Journal)?;
        Ok(self.view().members)
    }

    /// Lets a member fare otherwise; returns when the disk has it.
    pub(super) async fn set_member_health(
        &self,
        node: &str,
        health: MemberHealth,
    ) -> Result<(), RegisterError> {
        let (known, member) = self.store.with_base(|base| {
            (base.nodes().get(node).is_some(), base.etcd_member_id(node).is_some())
        });
        if !known {
            let (cluster, node) = (self.name(), node.to_owned());
            return Err(RegisterError::UnknownNode { cluster, node });
        }
        if !member {
            let message = "runs no etcd member: it is no control plane".to_owned();
            return Err(RegisterError::Invalid { field: "nodeName", message });
        }
        let change = MemberChange::Fare { node: node.to_owned(), health };
        self.alter_members(&change).map_err(failed("the member could not be changed"))?;
        self.sync().await
    }

    /// Gives leadership to the member on a node, or to the next that can have it; tells the node
    /// when the disk has it.
    pub(super) async fn move_leader(&self, node: Option<&str>) -> Result<String, RegisterError> {
        let members = self.view().members;
        let invalid = |message: &str| {
            Err(RegisterError::Invalid { field: "nodeName", message: message.to_owned() })
        };
        let leader = members.leader.unwrap_or_default();
        let can = || members.list.iter().filter(|member| member.votes());
        // In order of their ids, the one after the leader.
        let after = || can().find(|member| member.id > leader).or_else(|| can().next());
        let next = node.map_or_else(after, |node| members.on(node));
        let Some(next) = next else { return invalid("there is no such etcd member") };
        let name = next.node.as_deref().unwrap_or_default().to_owned();
        if next.id != leader {
            let change = MemberChange::Lead { id: next.id };
            self.alter_members(&change).map_err(failed("the leader could not be changed"))?;
        }
        self.sync().await?;
        Ok(name)
    }

    fn alter_members(&self, change: &MemberChange) -> Result<(), ChangeError> {
        let pods: BTreeMap<String, Noted> = self.store.with_written(|base, _, written| {
            let nodes = base.members(&|_| Noted::default()).list.into_iter().filter_map(|m| m.node);
            let noted = |node: Arc<str>| {
                let pod = written(&pod_key(&node))?;
                Some((node.to_string(), noted(Some(&pod))))
            };
            nodes.filter_map(noted).collect()
        });
        let mut touched = Vec::new();
        let at = Timestamp::now();
        let record = Change::Members { change: change.clone(), at };
        self.store.change_base(|base, revision| {
            let noted = |node: &str| pods.get(node).copied().unwrap_or_default();
            base.members(&noted).check(change)?;
            let body = encode(&record);
            self.store.log().write(&Record::Base { revision, body: &body })?;
            let changes = base.change_members(change, revision, at);
            touched.extend(changes.iter().map(|change| change.key.clone()));
            Ok::<_, ChangeError>(changes)
        })?;
        for node in pods.keys() {
            let key = pod_key(node);
            self.update_pod(&key, touched.contains(&key))?;
        }
        Ok(())
    }

    /// A pod that clients have written to lives in the store: what it says about who leads
    /// follows there, and how it fares if that changed.
    fn update_pod(&self, key: &Key, fares: bool) -> Result<(), ChangeError> {
        for _ in 0..ATTEMPTS {
            let derived = self.store.with_base(|base| base.get_at(key, Timestamp::now()));
            let (Some(derived), Some(stored)) = (derived, self.store.get(key)) else {
                return Ok(());
            };
            let Some(mut merged) = merge_pod(&stored.value(), &derived.value(), fares) else {
                return Ok(());
            };
            let mut encode = |revision: u64| {
                merged["metadata"]["resourceVersion"] = revision.to_string().into();
                Object::encode(&merged)
            };
            let expect = Expect::Revision(stored.meta.resource_version);
            match self.store.commit(key, expect, Entry::Put(&mut encode)) {
                Ok(_) | Err(CommitError::Missing) => return Ok(()),
                Err(CommitError::Changed { .. } | CommitError::Exists) => {}
                Err(CommitError::Log(error)) => return Err(ChangeError::Journal(error)),
            }
        }
        // Who keeps writing to the pod decides what it says.
        Ok(())
    }
}

impl From<io::Error> for ChangeError {
    fn from(error: io::Error) -> Self {
        Self::Journal(error)
    }
}

impl From<Refused> for ChangeError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

fn pod_key(node: &str) -> Key {
    let name = format!("{}{node}", PodKind::Etcd.prefix());
    Key::new(ResourceId::of("", "pods"), "kube-system", &name)
}

/// What a pod that clients have written says about its member.
fn noted(pod: Option<&Object>) -> Noted {
    let read = |pod: &Object| serde_json::from_slice::<Annotated>(pod.metadata()).ok();
    let Some(annotations) = pod.and_then(read).and_then(|metadata| metadata.annotations) else {
        return Noted::default();
    };
    let since = annotations.get(LEADER_FROM).and_then(|text| text.parse::<Timestamp>().ok());
    Noted {
        removed: annotations.contains_key(MEMBER_REMOVED),
        leader_from: since.map(Timestamp::as_second),
    }
}

/// `stored` with what `derived` says about its member; `None` when it says so already.
fn merge_pod(stored: &Value, derived: &Value, fares: bool) -> Option<Value> {
    let mut merged = stored.clone();
    let metadata = merged["metadata"].as_object_mut()?;
    let annotations = metadata.entry("annotations").or_insert_with(|| Map::new().into());
    let annotations = annotations.as_object_mut()?;
    let says = &derived["metadata"]["annotations"];
    match &says[LEADER_FROM] {
        Value::Null => drop(annotations.remove(LEADER_FROM)),
        since => drop(annotations.insert(LEADER_FROM.to_owned(), since.clone())),
    }
    // Never taken away: a client may have said so.
    if let Value::String(removed) = &says[MEMBER_REMOVED] {
        annotations.insert(MEMBER_REMOVED.to_owned(), removed.as_str().into());
    }
    if fares {
        merged["status"] = derived["status"].clone();
    }
    (merged != *stored).then_some(merged)
}
