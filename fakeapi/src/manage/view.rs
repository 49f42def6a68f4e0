//! What the management cluster holds, as its watches tell, and whom each change concerns.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::plan::MachineParts;
use super::seen::{ObjectName, SeenCluster, SeenHost, SeenMachine, SeenMetal3Machine};

/// A piece of work: an object whose state is to be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// A cluster: its registration, its address, and which nodes it has.
    Cluster(ObjectName),
    /// The node of one Machine.
    Node {
        /// The cluster.
        cluster: ObjectName,
        /// The Machine, and so the node.
        machine: Arc<str>,
    },
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(cluster) => write!(f, "cluster {cluster}"),
            Self::Node { cluster, machine } => write!(f, "node {machine} of cluster {cluster}"),
        }
    }
}

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Clusters.
    Cluster,
    /// Machines.
    Machine,
    /// Metal3Machines.
    Metal3Machine,
    /// BareMetalHosts.
    Host,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 4] =
        [Self::Cluster, Self::Machine, Self::Metal3Machine, Self::Host];

    /// Its name for people.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Machine => "Machine",
            Self::Metal3Machine => "Metal3Machine",
            Self::Host => "BareMetalHost",
        }
    }
}

/// What the management cluster holds.
#[derive(Debug, Default)]
pub(super) struct View {
    inner: RwLock<Inner>,
}

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Slot<T> {
    objects: HashMap<ObjectName, Arc<T>>,
    listed: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { objects: HashMap::new(), listed: false }
    }
}

/// All objects, and the ways from one to another.
#[derive(Debug, Default)]
pub(super) struct Inner {
    clusters: Slot<SeenCluster>,
    machines: Slot<SeenMachine>,
    metal3: Slot<SeenMetal3Machine>,
    hosts: Slot<SeenHost>,
    machines_of: HashMap<ObjectName, BTreeSet<Arc<str>>>,
    host_of: HashMap<ObjectName, ObjectName>,
    /// Clusters that went while they were paused.
    gone_paused: HashSet<ObjectName>,
}

/// What is kept of a kind, and where.
pub(super) trait Kept: PartialEq + Send + Sync + Sized + 'static {
    /// Which kind it is of.
    const KIND: Kind;

    /// Where its objects are.
    fn slot(inner: &mut Inner) -> &mut Slot<Self>;

    /// Renews the ways that lead over this object, which was `old` and is `new`.
    fn index(_inner: &mut Inner, _name: &ObjectName, _old: Option<&Self>, _new: Option<&Self>) {}

    /// What is to be done because this object was `old` and is `new`.
    fn concerns(
        inner: &Inner,
        name: &ObjectName,
        old: Option<&Self>,
        new: Option<&Self>,
    ) -> Vec<Work>;
}

impl Kept for SeenCluster {
    const KIND: Kind = Kind::Cluster;

    fn slot(inner: &mut Inner) -> &mut Slot<Self> {
        &mut inner.clusters
    }

    fn index(inner: &mut Inner, name: &ObjectName, old: Option<&Self>, new: Option<&Self>) {
        if new.is_none() && old.is_some_and(Self::is_paused) {
            inner.gone_paused.insert(name.clone());
        } else {
            inner.gone_paused.remove(name);
        }
    }

    fn concerns(
        inner: &Inner,
        name: &ObjectName,
        old: Option<&Self>,
        new: Option<&Self>,
    ) -> Vec<Work> {
        let paused = |cluster: Option<&Self>| cluster.is_some_and(Self::is_paused);
        let mut work = vec![Work::Cluster(name.clone())];
        if paused(old) && !paused(new) {
            work.extend(inner.nodes_of(name));
        }
        work
    }
}

impl Kept for SeenMachine {
    const KIND: Kind = Kind::Machine;

    fn slot(inner: &mut Inner) -> &mut Slot<Self> {
        &mut inner.machines
    }

    fn index(inner: &mut Inner, name: &ObjectName, old: Option<&Self>, new: Option<&Self>) {
        let cluster = |machine: &Self| ObjectName {
            namespace: name.namespace.clone(),
            name: machine.cluster.clone(),
        };
        if let Some(old) = old.map(cluster)
            && let Some(machines) = inner.machines_of.get_mut(&old)
        {
            machines.remove(&name.name);
            if machines.is_empty() {
                inner.machines_of.remove(&old);
            }
        }
        if let Some(new) = new.map(cluster) {
            inner.machines_of.entry(new).or_default().insert(name.name.clone());
        }
    }

    fn concerns(
        _inner: &Inner,
        name: &ObjectName,
        old: Option<&Self>,
        new: Option<&Self>,
    ) -> Vec<Work> {
        let clusters: BTreeSet<_> = [old, new].into_iter().flatten().map(|m| &m.cluster).collect();
        clusters.into_iter().map(|cluster| node(name, cluster)).collect()
    }
}

impl Kept for SeenMetal3Machine {
    const KIND: Kind = Kind::Metal3Machine;

    fn slot(inner: &mut Inner) -> &mut Slot<Self> {
        &mut inner.metal3
    }

    fn concerns(
        inner: &Inner,
        name: &ObjectName,
        old: Option<&Self>,
        new: Option<&Self>,
    ) -> Vec<Work> {
        let owners: BTreeSet<_> =
            [old, new].into_iter().flatten().filter_map(|m| m.machine.as_ref()).collect();
        let owners = owners.into_iter();
        owners.filter_map(|owner| inner.node_of_machine(&name.namespace, owner)).collect()
    }
}

impl Kept for SeenHost {
    const KIND: Kind = Kind::Host;

    fn slot(inner: &mut Inner) -> &mut Slot<Self> {
        &mut inner.hosts
    }

    fn index(inner: &mut Inner, name: &ObjectName, old: Option<&Self>, new: Option<&Self>) {
        if let Some(old) = old.and_then(|host| host.consumer.as_ref())
            && inner.host_of.get(old) == Some(name)
        {
            inner.host_of.remove(old);
        }
        if let Some(new) = new.and_then(|host| host.consumer.as_ref()) {
            inner.host_of.insert(new.clone(), name.clone());
        }
    }

    fn concerns(
        inner: &Inner,
        _name: &ObjectName,
        old: Option<&Self>,
        new: Option<&Self>,
    ) -> Vec<Work> {
        let users: BTreeSet<_> =
            [old, new].into_iter().flatten().filter_map(|host| host.consumer.as_ref()).collect();
        let machine = |user: &ObjectName| {
            let owner = inner.metal3.objects.get(user)?.machine.as_ref()?;
            inner.node_of_machine(&user.namespace, owner)
        };
        users.into_iter().filter_map(machine).collect()
    }
}

fn node(machine: &ObjectName, cluster: &Arc<str>) -> Work {
    Work::Node {
        cluster: ObjectName { namespace: machine.namespace.clone(), name: cluster.clone() },
        machine: machine.name.clone(),
    }
}

impl Inner {
    fn node_of_machine(&self, namespace: &Arc<str>, machine: &Arc<str>) -> Option<Work> {
        let name = ObjectName { namespace: namespace.clone(), name: machine.clone() };
        let cluster = &self.machines.objects.get(&name)?.cluster;
        Some(node(&name, cluster))
    }

    fn nodes_of(&self, cluster: &ObjectName) -> Vec<Work> {
        let machines = self.machines_of.get(cluster).into_iter().flatten();
        let node =
            |machine: &Arc<str>| Work::Node { cluster: cluster.clone(), machine: machine.clone() };
        machines.map(node).collect()
    }

    /// Sets one object; tells what is to be done when that changes anything.
    fn set<T: Kept>(&mut self, name: &ObjectName, new: Option<T>) -> Vec<Work> {
        let slot = T::slot(self);
        if slot.objects.get(name).map(|old| &**old) == new.as_ref() {
            return Vec::new();
        }
        let new = new.map(Arc::new);
        let old = match &new {
            Some(new) => slot.objects.insert(name.clone(), new.clone()),
            None => slot.objects.remove(name),
        };
        T::index(self, name, old.as_deref(), new.as_deref());
        T::concerns(self, name, old.as_deref(), new.as_deref())
    }
}

impl View {
    /// An object is there, or changed.
    pub(super) fn apply<T: Kept>(&self, name: &ObjectName, object: T) -> Vec<Work> {
        self.inner.write().set(name, Some(object))
    }

    /// An object is gone.
    pub(super) fn delete<T: Kept>(&self, name: &ObjectName) -> Vec<Work> {
        self.inner.write().set::<T>(name, None)
    }

    /// A list is complete: what it did not hold is gone.
    pub(super) fn listed<T: Kept>(&self, held: &HashSet<ObjectName>) -> Vec<Work> {
        let mut inner = self.inner.write();
        let slot = T::slot(&mut inner);
        slot.listed = true;
        let gone: Vec<_> =
            slot.objects.keys().filter(|name| !held.contains(*name)).cloned().collect();
        gone.iter().flat_map(|name| inner.set::<T>(name, None)).collect()
    }

    /// The kind is served no more (its CRD is gone): nothing is known of its objects until it is
    /// listed again. They are not taken for gone: whoever takes a CRD away may be replacing it.
    pub(super) fn unlisted<T: Kept>(&self) {
        T::slot(&mut self.inner.write()).listed = false;
    }

    /// Whether all objects of a kind were listed.
    pub(super) fn is_listed(&self, kind: Kind) -> bool {
        let inner = self.inner.read();
        match kind {
            Kind::Cluster => inner.clusters.listed,
            Kind::Machine => inner.machines.listed,
            Kind::Metal3Machine => inner.metal3.listed,
            Kind::Host => inner.hosts.listed,
        }
    }

    /// How many objects of a kind there are.
    pub(super) fn count(&self, kind: Kind) -> usize {
        let inner = self.inner.read();
        match kind {
            Kind::Cluster => inner.clusters.objects.len(),
            Kind::Machine => inner.machines.objects.len(),
            Kind::Metal3Machine => inner.metal3.objects.len(),
            Kind::Host => inner.hosts.objects.len(),
        }
    }

    /// A Cluster.
    pub(super) fn cluster(&self, name: &ObjectName) -> Option<Arc<SeenCluster>> {
        self.inner.read().clusters.objects.get(name).cloned()
    }

    /// Whether a Cluster that is gone was paused when it went.
    pub(super) fn went_paused(&self, name: &ObjectName) -> bool {
        self.inner.read().gone_paused.contains(name)
    }

    /// All Clusters.
    pub(super) fn clusters(&self) -> Vec<(ObjectName, Arc<SeenCluster>)> {
        let inner = self.inner.read();
        let all = inner.clusters.objects.iter();
        all.map(|(name, cluster)| (name.clone(), cluster.clone())).collect()
    }

    /// The clusters that Machines belong to.
    pub(super) fn clusters_of_machines(&self) -> Vec<ObjectName> {
        self.inner.read().machines_of.keys().cloned().collect()
    }

    /// The work on all nodes of a cluster.
    pub(super) fn nodes_of(&self, cluster: &ObjectName) -> Vec<Work> {
        self.inner.read().nodes_of(cluster)
    }

    /// Whether a cluster has this Machine.
    pub(super) fn has_machine(&self, cluster: &ObjectName, machine: &str) -> bool {
        let inner = self.inner.read();
        inner.machines_of.get(cluster).is_some_and(|machines| machines.contains(machine))
    }

    /// Calls `with` with all that is known about a machine.
    pub(super) fn with_machine<R>(
        &self,
        cluster: &ObjectName,
        machine: &Arc<str>,
        with: impl FnOnce(&MachineParts<'_>) -> R,
    ) -> R {
        let inner = self.inner.read();
        let name = ObjectName { namespace: cluster.namespace.clone(), name: machine.clone() };
        let machine = inner.machines.objects.get(&name);
        let machine = machine.filter(|machine| machine.cluster == cluster.name);
        let at = machine.and_then(|machine| machine.infrastructure.as_ref());
        let metal3 = at.and_then(|at| inner.metal3.objects.get(&at.name));
        let host = at.and_then(|at| inner.host_of.get(&at.name));
        let host = host.and_then(|host| inner.hosts.objects.get(host));
        let seen = inner.clusters.objects.get(cluster);
        with(&MachineParts {
            machine: machine.map(|machine| &**machine),
            metal3: metal3.map(|metal3| &**metal3),
            host: host.map(|host| &**host),
            machines_listed: inner.machines.listed,
            metal3_listed: inner.metal3.listed && inner.hosts.listed,
            paused: seen
                .map_or_else(|| inner.gone_paused.contains(cluster), |seen| seen.is_paused()),
        })
    }
}

#[cfg(test)]
mod tests;
