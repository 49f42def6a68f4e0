//! The nodes of one cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::health::Fare;
use super::names::{PodKind, SUFFIXES, spread};
use super::record::{NodeRecord, NodeState, Renewed, encode_labels, given};
use crate::register::NodeSpec;

/// The nodes of one cluster, by name.
#[derive(Debug, Default)]
pub struct NodeTable {
    nodes: BTreeMap<Arc<str>, NodeRecord>,
    /// The control planes, with the revisions of their etcd pods: those change by themselves
    /// when leadership moves.
    control_planes: BTreeMap<Arc<str>, u64>,
    /// The nodes by the suffixes of their kube-proxy pods.
    proxies: BTreeMap<u32, Arc<str>>,
    /// How those nodes fare that were not always ready.
    fares: BTreeMap<Arc<str>, Fare>,
    /// The pods that were made anew since their nodes came.
    renewed: BTreeMap<(Arc<str>, PodKind), Renewed>,
    /// Numbers of nodes that are gone, to be given again: the lowest first, so that a table made
    /// from what was written down goes on as this one would have.
    free: BTreeSet<u32>,
}

impl NodeTable {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// One node, and its name as it is kept.
    pub fn get(&self, name: &str) -> Option<(&Arc<str>, &NodeRecord)> {
        self.nodes.get_key_value(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut NodeRecord> {
        self.nodes.get_mut(name)
    }

    /// The revision of the etcd pod of a control plane; `None` for workers.
    pub(crate) fn etcd(&self, name: &str) -> Option<u64> {
        self.control_planes.get(name).copied()
    }

    /// Makes a node a control plane, or tells the new revision of its etcd pod.
    pub(crate) fn set_etcd(&mut self, name: &Arc<str>, revision: u64) {
        self.control_planes.insert(name.clone(), revision);
    }

    /// When a pod of a node was last made anew; `None` if it is the first one.
    pub(crate) fn renewed(&self, name: &str, kind: PodKind) -> Option<Renewed> {
        if self.renewed.is_empty() {
            return None;
        }
        self.renewed.get(&(name.into(), kind)).copied()
    }

    /// Tells that a pod of a node is made anew; kube-proxy's gets another name.
    pub(crate) fn renew(&mut self, name: &Arc<str>, kind: PodKind, renewed: Renewed, seed: u64) {
        self.renewed.insert((name.clone(), kind), renewed);
        if kind == PodKind::KubeProxy {
            let suffix = self.free_suffix(seed, renewed.origin);
            if let Some(record) = self.nodes.get_mut(name) {
                let former = std::mem::replace(&mut record.proxy, suffix);
                self.proxies.remove(&former);
                self.proxies.insert(suffix, name.clone());
            }
        }
    }

    /// A suffix for the kube-proxy pod that comes at `origin`.
    fn free_suffix(&self, seed: u64, origin: u64) -> u32 {
        let mut suffix = spread(seed, origin);
        while self.proxies.contains_key(&suffix) {
            suffix = (suffix + 1) % SUFFIXES;
        }
        suffix
    }

    /// How a node fares, or would if it were there.
    pub(crate) fn fare(&self, name: &str) -> Fare {
        let created = self.nodes.get(name).map_or(0, |record| record.created);
        self.fares.get(name).copied().unwrap_or_else(|| Fare::healthy(created))
    }

    /// Whether a node was ready ever since it came.
    pub(crate) fn always_ready(&self, name: &str) -> bool {
        !self.fares.contains_key(name)
    }

    /// Tells how a node fares from now on.
    pub(crate) fn set_fare(&mut self, name: &Arc<str>, fare: Fare) {
        self.fares.insert(name.clone(), fare);
    }

    /// The nodes that were not always ready, in order of their names.
    pub(crate) fn fares(&self) -> impl Iterator<Item = (&Arc<str>, Fare)> {
        self.fares.iter().map(|(name, fare)| (name, *fare))
    }

    /// How many nodes have a silent kubelet.
    pub(crate) fn silent(&self) -> usize {
        self.fares.values().filter(|fare| fare.is_silent()).count()
    }

    /// The node whose kube-proxy pod has this suffix.
    pub(crate) fn by_proxy(&self, suffix: u32) -> Option<&Arc<str>> {
        self.proxies.get(&suffix)
    }

    /// The nodes in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &NodeRecord)> {
        self.nodes.iter()
    }

    /// The names of nodes from a bound on, in order.
    pub(crate) fn names_from<'a>(
        &'a self,
        from: Bound<&str>,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let range = (from, Bound::Unbounded);
        self.nodes.range::<str, _>(range).map(|(name, _)| &**name)
    }

    /// The names of control planes from a bound on, in order.
    pub(crate) fn control_planes_from<'a>(
        &'a self,
        from: Bound<&str>,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let range = (from, Bound::Unbounded);
        let names = self.control_planes.range::<str, _>(range);
        names.map(|(name, _)| &**name)
    }

    /// The suffixes of kube-proxy pods, in order.
    pub(crate) fn proxies(&self) -> impl Iterator<Item = u32> {
        self.proxies.keys().copied()
    }

    /// The node that came first, among control planes if there are any.
    pub(crate) fn oldest(&self) -> Option<Arc<str>> {
        let oldest = self
            .iter()
            .min_by_key(|(name, record)| (!self.control_planes.contains_key(*name), record.origin));
        oldest.map(|(name, _)| name.clone())
    }

    /// Adds a node that is not there, whose first object has revision `origin`. Its etcd pod's
    /// revision must be set with [`Self::set_etcd`] when it is a control plane.
    pub(crate) fn insert(
        &mut self,
        spec: &NodeSpec,
        version: Arc<str>,
        created: i64,
        origin: u64,
        seed: u64,
    ) -> Arc<str> {
        let proxy = self.free_suffix(seed, origin);
        let next = u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes fit in memory");
        let record = NodeRecord {
            provider_id: spec.provider_id.as_deref().map(Into::into),
            uuid: given(spec.uuid.as_deref()).map(Into::into),
            labels: encode_labels(&spec.labels),
            version,
            created,
            origin,
            revision: origin,
            pods: origin + 2,
            // Without gaps, the next number is the count.
            ordinal: self.free.pop_first().unwrap_or(next),
            proxy,
        };
        let name: Arc<str> = spec.name.as_str().into();
        self.proxies.insert(proxy, name.clone());
        self.nodes.insert(name.clone(), record);
        name
    }

    /// Takes a node away.
    pub(crate) fn remove(&mut self, name: &str) -> Option<NodeRecord> {
        let record = self.nodes.remove(name)?;
        self.control_planes.remove(name);
        self.fares.remove(name);
        let name: Arc<str> = name.into();
        for kind in PodKind::BY_NAME {
            self.renewed.remove(&(name.clone(), kind));
        }
        self.proxies.remove(&record.proxy);
        self.free.insert(record.ordinal);
        Some(record)
    }

    /// What must be written down to have the table again.
    pub(crate) fn states(&self) -> Vec<NodeState> {
        let state = |(name, record): (&Arc<str>, &NodeRecord)| NodeState {
            spec: record.spec(name),
            created: record.created,
            origin: record.origin,
            revision: record.revision,
            pods: record.pods,
            etcd: self.etcd(name).unwrap_or_default(),
            ordinal: record.ordinal,
            proxy: record.proxy,
            fare: self.fares.get(name).copied(),
            renewed: PodKind::BY_NAME
                .into_iter()
                .filter_map(|kind| Some((kind, self.renewed(name, kind)?)))
                .collect(),
        };
        self.iter().map(state).collect()
    }

    /// The table that [`Self::states`] wrote down; nodes of one version share its text.
    pub(crate) fn from_states(states: Vec<NodeState>, version: &Arc<str>) -> Self {
        let mut this = Self::default();
        let mut versions = vec![version.clone()];
        for state in states {
            let given_version = state.spec.version.as_deref().unwrap_or(version);
            let known = versions.iter().find(|known| ***known == *given_version);
            let version = known.cloned().unwrap_or_else(|| {
                let new: Arc<str> = given_version.into();
                versions.push(new.clone());
                new
            });
            this.restore(&state, version);
        }
        this.find_free();
        this
    }

    /// Finds the numbers below the highest that no node has.
    fn find_free(&mut self) {
        let mut taken: Vec<u32> = self.nodes.values().map(|record| record.ordinal).collect();
        taken.sort_unstable();
        let end = taken.last().map_or(0, |last| last + 1);
        self.free = (0..end).filter(|ordinal| taken.binary_search(ordinal).is_err()).collect();
    }

    fn restore(&mut self, state: &NodeState, version: Arc<str>) {
        let NodeState {
            spec,
            created,
            origin,
            revision,
            pods,
            etcd,
            ordinal,
            proxy,
            fare,
            renewed,
        } = state;
        let name: Arc<str> = spec.name.as_str().into();
        if *etcd > 0 {
            self.control_planes.insert(name.clone(), *etcd);
        }
        self.proxies.insert(*proxy, name.clone());
        let renewed = renewed.iter().map(|(kind, renewed)| ((name.clone(), *kind), *renewed));
        self.renewed.extend(renewed);
        self.fares.extend(fare.map(|fare| (name.clone(), fare)));
        let record = NodeRecord {
            provider_id: spec.provider_id.as_deref().map(Into::into),
            uuid: spec.uuid.as_deref().map(Into::into),
            labels: encode_labels(&spec.labels),
            version,
            created: *created,
            origin: *origin,
            revision: *revision,
            pods: *pods,
            ordinal: *ordinal,
            proxy: *proxy,
        };
        self.nodes.insert(name, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> NodeSpec {
        NodeSpec { name: name.to_owned(), ..NodeSpec::default() }
    }

    #[test]
    fn numbers_are_unique_and_given_again() {
        let version: Arc<str> = "v1.36.3".into();
        let mut table = NodeTable::default();
        let ordinal = |table: &mut NodeTable, name: &str, origin| {
            table.insert(&spec(name), version.clone(), 0, origin, 7);
            table.get(name).unwrap().1.ordinal
        };
        assert_eq!(ordinal(&mut table, "a", 10), 0);
        assert_eq!(ordinal(&mut table, "b", 20), 1);
        assert_eq!(ordinal(&mut table, "c", 30), 2);
        table.remove("b");
        let mut table = NodeTable::from_states(table.states(), &version);
        assert_eq!(ordinal(&mut table, "d", 40), 1);
        assert_eq!(ordinal(&mut table, "e", 50), 3);
    }

    #[test]
    fn suffixes_that_would_meet_move_on() {
        let version: Arc<str> = "v1.36.3".into();
        let mut table = NodeTable::default();
        table.insert(&spec("a"), version.clone(), 0, 5, 7);
        table.insert(&spec("b"), version, 0, 5 + u64::from(SUFFIXES), 7);
        let suffixes: Vec<u32> = table.proxies().collect();
        assert_eq!(suffixes.len(), 2);
        assert_eq!(suffixes[1], suffixes[0] + 1);
        assert_eq!(&**table.by_proxy(suffixes[1]).unwrap(), "b");
    }
}
