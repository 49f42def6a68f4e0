//! What nodes change when they come, change and go.
//!
//! Each change of an object has a revision of its own, counted from the one that the store gives.
//! The calls here fit `MemoryStore::change_base`.

use std::sync::Arc;

use apiserver::storage::{BaseChange, EventKind, Key};
use jiff::Timestamp;

use super::super::baseline::RESOURCES;
use super::super::members::MemberChange;
use super::super::nodes::PodKind;
use super::super::nodes::names::suffix;
use super::read::{LEASES, SYSTEM};
use super::{Activation, ClusterBase, DNS_PODS, DnsPod, Noted};
use crate::register::NodeSpec;

/// A worker came before the first control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cluster has no control-plane node yet")]
pub struct NotActivated;

/// Changes as they are gathered.
pub(super) struct Changes {
    first: u64,
    pub(super) now: i64,
    pub(super) list: Vec<BaseChange>,
}

impl Changes {
    pub(super) fn new(first: u64, now: Timestamp) -> Self {
        Self { first, now: now.as_second(), list: Vec::new() }
    }

    /// The revision of the change that comes next.
    pub(super) fn next(&self) -> u64 {
        self.first + u64::try_from(self.list.len()).expect("a count fits")
    }

    pub(super) fn added(&mut self, key: Key) {
        self.list.push(BaseChange { kind: EventKind::Added, key, last: None });
    }

    /// Tells that an object changes; to be called before it does.
    pub(super) fn modified(&mut self, base: &ClusterBase, key: Key) {
        let last = base.render(&key, self.now, None).map(Arc::new);
        self.list.push(BaseChange { kind: EventKind::Modified, key, last });
    }

    /// Tells that an object goes; to be called before it does.
    pub(super) fn deleted(&mut self, base: &ClusterBase, key: Key) {
        let last = base.render(&key, self.now, Some(self.next())).map(Arc::new);
        self.list.push(BaseChange { kind: EventKind::Deleted, key, last });
    }
}

impl ClusterBase {
    /// Makes what kubeadm makes with the first control plane, which runs `version` if it says
    /// so. Nothing is done in an active cluster.
    pub fn activate(
        &mut self,
        version: Option<&str>,
        first_revision: u64,
        now: Timestamp,
    ) -> Vec<BaseChange> {
        let mut changes = Changes::new(first_revision, now);
        self.activate_into(version, &mut changes);
        changes.list
    }

    /// Adds a node, or updates the one that is there: labels are added and overwritten,
    /// providerID, uuid and version replaced when given. The first control plane activates the
    /// cluster.
    ///
    /// A Node that clients have written to must be updated in the store: see
    /// [`merge_node`](super::super::nodes::merge_node).
    ///
    /// # Errors
    /// [`NotActivated`] for a worker in a cluster without a control plane; nothing has changed
    /// then.
    pub fn put_node(
        &mut self,
        spec: &NodeSpec,
        first_revision: u64,
        now: Timestamp,
    ) -> Result<Vec<BaseChange>, NotActivated> {
        let mut changes = Changes::new(first_revision, now);
        if self.activation.is_none() {
            if !spec.control_plane() {
                return Err(NotActivated);
            }
            self.activate_into(spec.version.as_deref(), &mut changes);
        }
        if self.nodes.get(&spec.name).is_some() {
            self.update_node(spec, &mut changes);
        } else {
            self.add_node(spec, &mut changes);
        }
        self.find_version();
        Ok(changes.list)
    }

    /// Takes a node away, with its lease and its pods; `None` when it is not there.
    pub fn remove_node(
        &mut self,
        name: &str,
        first_revision: u64,
        now: Timestamp,
    ) -> Option<Vec<BaseChange>> {
        let name = self.nodes.get(name)?.0.clone();
        let mut changes = Changes::new(first_revision, now);
        let moving = self.dns_on(&name);
        for index in &moving {
            changes.deleted(self, self.dns_key(*index));
        }
        for key in self.pod_keys(&name) {
            changes.deleted(self, key);
        }
        changes.deleted(self, Key::new(RESOURCES.leases, LEASES, &name));
        changes.deleted(self, Key::new(RESOURCES.nodes, "", &name));
        self.count_node(&mut changes);
        if !moving.is_empty() {
            self.count_dns(&mut changes);
        }
        self.nodes.remove(&name);
        self.forget_member(&name);
        self.settle_leader(&mut changes);
        self.place_dns(&moving, &mut changes);
        self.find_version();
        Some(changes.list)
    }

    /// Makes the etcd member on `node` the leader; `None` when it is no control plane or cannot
    /// lead. No change when it leads already.
    pub fn move_leader(
        &mut self,
        node: &str,
        first_revision: u64,
        now: Timestamp,
    ) -> Option<Vec<BaseChange>> {
        let id = self.etcd_member_id(node)?.into();
        let change = MemberChange::Lead { id };
        self.members(&|_| Noted::default()).check(&change).ok()?;
        Some(self.change_members(&change, first_revision, now))
    }

    /// The control plane whose etcd member leads.
    pub fn etcd_leader(&self) -> Option<&str> {
        self.leader.as_ref().map(|leader| &*leader.node)
    }

    fn activate_into(&mut self, version: Option<&str>, changes: &mut Changes) {
        if self.activation.is_some() {
            return;
        }
        if let Some(version) = version {
            self.first_version = version.into();
            self.version = self.first_version.clone();
        }
        self.activation =
            Some(Activation { first: changes.next(), at: changes.now, daemonset: 0, dns: 0 });
        for entry in self.baseline.activation() {
            changes.added(entry.key.clone());
        }
    }

    fn add_node(&mut self, spec: &NodeSpec, changes: &mut Changes) {
        let version = spec.version.as_deref().unwrap_or(&self.version);
        let known = [&self.version, &self.first_version];
        let version = known
            .into_iter()
            .find(|known| ***known == *version)
            .map_or_else(|| version.into(), Arc::clone);
        self.count_node(changes);
        let origin = changes.next();
        let seed = self.name_seed();
        let name = self.nodes.insert(spec, version, changes.now, origin, seed);
        if spec.control_plane() {
            let etcd = origin + 2 + PodKind::Etcd.offset();
            self.nodes.set_etcd(&name, etcd);
        }
        changes.added(Key::new(RESOURCES.nodes, "", &name));
        changes.added(Key::new(RESOURCES.leases, LEASES, &name));
        for key in self.pod_keys(&name) {
            changes.added(key);
        }
        self.settle_with_new(&name, changes);
        if self.dns.is_empty() {
            self.count_dns(changes);
            let all: Vec<usize> = (0..DNS_PODS).collect();
            self.place_dns(&all, changes);
        }
    }

    fn update_node(&mut self, spec: &NodeSpec, changes: &mut Changes) {
        let Some((name, record)) = self.nodes.get(&spec.name) else {
            return;
        };
        let (name, mut next) = (name.clone(), record.clone());
        let news = next.update(spec);
        if news.node {
            next.revision = changes.next();
            changes.modified(self, Key::new(RESOURCES.nodes, "", &name));
        }
        if news.version || news.promoted {
            next.pods = changes.next();
            for key in self.pod_keys(&name) {
                changes.modified(self, key);
            }
        }
        let etcd = next.pods + PodKind::Etcd.offset();
        let pods_changed = news.version || news.promoted;
        if let Some(record) = self.nodes.get_mut(&name) {
            *record = next;
        }
        if news.promoted {
            for kind in PodKind::STATIC {
                changes.added(pod_key(kind, &name));
            }
        }
        if news.promoted || pods_changed && self.nodes.etcd(&name).is_some() {
            self.nodes.set_etcd(&name, etcd);
        }
        if news.promoted {
            self.settle_with_new(&name, changes);
        }
    }

    /// The keys of a node's pods, in the order of their revisions.
    pub(super) fn pod_keys(&self, name: &str) -> Vec<Key> {
        let Some((_, record)) = self.nodes.get(name) else {
            return Vec::new();
        };
        let proxy = format!("{}{}", PodKind::KubeProxy.prefix(), suffix(record.proxy));
        let mut keys = vec![Key::new(RESOURCES.pods, SYSTEM, &proxy)];
        if self.nodes.etcd(name).is_some() {
            keys.extend(PodKind::STATIC.map(|kind| pod_key(kind, name)));
        }
        keys
    }

    /// Which coredns pods run on a node.
    pub(super) fn dns_on(&self, node: &str) -> Vec<usize> {
        (0..self.dns.len()).filter(|index| &*self.dns[*index].node == node).collect()
    }

    /// The key of a coredns pod that is there.
    pub(super) fn dns_key(&self, index: usize) -> Key {
        Key::new(RESOURCES.pods, SYSTEM, &self.dns_name(self.dns[index].origin))
    }

    /// Tells that the number of nodes changes; to be called before it does.
    pub(super) fn count_node(&mut self, changes: &mut Changes) {
        let revision = changes.next();
        changes.modified(self, self.baseline.keys.daemonset.clone());
        if let Some(activation) = &mut self.activation {
            activation.daemonset = revision;
        }
    }

    /// Tells that the number of coredns' pods changes; to be called before it does.
    pub(super) fn count_dns(&mut self, changes: &mut Changes) {
        let revision = changes.next();
        for key in self.baseline.keys.dns() {
            changes.modified(self, key.clone());
        }
        if let Some(activation) = &mut self.activation {
            activation.dns = revision;
        }
    }

    /// Starts coredns pods on the oldest node, if there is one.
    fn place_dns(&mut self, indices: &[usize], changes: &mut Changes) {
        if indices.is_empty() {
            return;
        }
        let Some(node) = self.nodes.oldest() else {
            self.dns.clear();
            return;
        };
        for index in indices {
            self.start_dns(*index, node.clone(), changes);
        }
    }

    /// Starts one coredns pod, in the place of the one that was there.
    pub(super) fn start_dns(&mut self, index: usize, node: Arc<str>, changes: &mut Changes) {
        let origin = changes.next();
        let pod = DnsPod { node, origin, revision: origin, since: changes.now };
        match self.dns.get_mut(index) {
            Some(place) => *place = pod,
            None => self.dns.push(pod),
        }
        changes.added(self.dns_key(index));
    }

    /// Finds the newest version among control planes.
    pub(super) fn find_version(&mut self) {
        let control_planes = self.nodes.control_planes_from(std::ops::Bound::Unbounded);
        let versions = control_planes.filter_map(|name| Some(&self.nodes.get(name)?.1.version));
        let newest = versions.max_by_key(|version| numbers(version));
        self.version = newest.unwrap_or(&self.first_version).clone();
    }
}

pub(super) fn pod_key(kind: PodKind, node: &str) -> Key {
    Key::new(RESOURCES.pods, SYSTEM, &format!("{}{node}", kind.prefix()))
}

/// A version as numbers that order as versions do; what is no number counts as 0.
fn numbers(version: &str) -> [u32; 3] {
    let release = version.trim_start_matches('v');
    let release = release.split(['-', '+']).next().unwrap_or_default();
    let mut parts = release.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}
