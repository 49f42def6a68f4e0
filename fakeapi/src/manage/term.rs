//! One term of leadership: what is seen, what is to be done, and what fakeapi has.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::clusters::{Clusters, ClustersError};
use super::error::WorkError;
use super::figures::{Figures, Outcome};
use super::kinds::Labels;
use super::options::Secrets;
use super::plan::{self, ClusterPlan, NodePlan, Policy, Register, Registration};
use super::queue::Queue;
use super::seen::{Endpoint, ObjectName, SeenCluster};
use super::view::{Kind, View, Work};
use super::write::Writer;
use super::{endpoint, marks, secrets};
use crate::behaviour::limits::LABELS;
use crate::fkas::with_causes;
use crate::register::{ClusterName, ClusterSummary, NodeSpec, RegisterRequest};
use crate::registry::Found;

/// How long a piece of work may take: some requests, each bounded on the other side.
const WORK_DEADLINE: Duration = Duration::from_mins(2);

/// What is known of a cluster that is registered.
#[derive(Debug, Default)]
struct Record {
    /// Its nodes, as they were last put or read.
    nodes: HashMap<Arc<str>, NodeSpec>,
    /// Workers that came before the first control-plane node.
    waiting: HashSet<Arc<str>>,
}

/// Clusters whose address is theirs already come first, so that nobody else gets it.
#[derive(Debug, Default)]
struct Gate {
    /// Those that are not yet registered.
    pinned: HashSet<ObjectName>,
    /// Those that wait for them.
    held: Vec<ObjectName>,
}

/// One term of leadership.
pub(super) struct Term {
    pub(super) clusters: Arc<dyn Clusters>,
    pub(super) client: kube::Client,
    pub(super) writer: Writer,
    pub(super) policy: Policy,
    pub(super) secrets: Secrets,
    pub(super) view: Arc<View>,
    pub(super) queue: Arc<Queue<Work>>,
    pub(super) figures: Arc<Figures>,
    /// Wakes whoever compares everything: there is more to compare.
    pub(super) begun: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: HashMap<ObjectName, Record>,
    gate: Gate,
}

/// A Cluster whose address cannot be given is somebody else's. It is asked again when the Cluster
/// changes, and when everything is compared.
fn refused_address(
    name: &ObjectName,
    error: ClustersError,
) -> Result<Option<SocketAddr>, WorkError> {
    let ClustersError::Address(why) = error else { return Err(error.into()) };
    let why = with_causes(&*why);
    info!(cluster = %name, why, "not registered: its address is not one of ours");
    Ok(None)
}

/// Who registered a cluster.
fn registration(summary: &ClusterSummary) -> Registration {
    Registration {
        registered_for: summary.labels.get(marks::REGISTERED_FOR).cloned(),
        paused: summary.labels.contains_key(marks::WENT_PAUSED),
    }
}

/// The labels of a registration that has `others`: those of the Cluster, which one it is for, and
/// whether it is paused. What users have added stays. A Cluster may have more labels than a
/// registration: the last in their order are left out then.
fn labels(seen: &SeenCluster, mut others: Labels) -> Labels {
    let is_mark = |key: &str| [marks::REGISTERED_FOR, marks::WENT_PAUSED].contains(&key);
    others.insert(marks::REGISTERED_FOR.to_owned(), seen.uid.clone());
    others.remove(marks::WENT_PAUSED);
    if seen.must_rest() {
        others.insert(marks::WENT_PAUSED.to_owned(), "true".to_owned());
    }
    while others.len() > LABELS
        && let Some(last) = others.keys().rfind(|key| !is_mark(key)).cloned()
    {
        others.remove(&last);
    }
    for (key, value) in seen.labels.iter().filter(|(key, _)| !is_mark(key)) {
        if others.len() < LABELS || others.contains_key(key) {
            others.insert(key.clone(), value.clone());
        }
    }
    others
}

fn cluster_name(name: &ObjectName) -> ClusterName {
    ClusterName::new(&*name.namespace, &*name.name)
}

impl Term {
    pub(super) fn new(
        clusters: Arc<dyn Clusters>,
        client: kube::Client,
        policy: Policy,
        secrets: Secrets,
        figures: Arc<Figures>,
    ) -> Self {
        Self {
            clusters,
            writer: Writer::new(client.clone()),
            client,
            policy,
            secrets,
            view: Arc::default(),
            queue: Arc::default(),
            figures,
            begun: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// Whether Clusters are watched at all.
    pub(super) fn watches_clusters(&self) -> bool {
        self.policy.register != Register::Never
    }

    /// Does a piece of work that was taken into hand, and notes what became of it.
    pub(super) async fn work(&self, work: Work) {
        let doing = async {
            match &work {
                Work::Cluster(name) => self.cluster(name).await,
                Work::Node { cluster, machine } => self.node(cluster, machine).await,
            }
        };
        let late = || WorkError::Late(WORK_DEADLINE.as_secs());
        let done = timeout(WORK_DEADLINE, doing).await.unwrap_or_else(|_| Err(late()));
        match done {
            Ok(outcome) => {
                self.figures.worked(&work, outcome);
                self.queue.done(&work);
            }
            Err(error) => {
                let waits = error.is_wait();
                self.figures.worked(&work, if waits { Outcome::Waits } else { Outcome::Failed });
                self.queue.failed(&work);
                let error = with_causes(&error);
                match (&work, waits) {
                    (work, true) => debug!(%work, error, "waits"),
                    (work, false) => warn!(%work, error, "failed, and comes again"),
                }
            }
        }
    }

    /// A kind is listed for the first time, or again after it was served no more.
    pub(super) fn begins(&self, kind: Kind) {
        if kind == Kind::Cluster {
            self.pin();
        }
        self.begun.notify_one();
    }

    /// Wants everything compared.
    pub(super) fn compare_all(&self) {
        if self.watches_clusters() {
            let all = self.view.clusters();
            self.queue.add_all(all.into_iter().map(|(name, _)| Work::Cluster(name)));
        }
        // Machines of Clusters that are not watched, or of such that are gone.
        let of_machines = self.view.clusters_of_machines();
        self.queue.add_all(of_machines.into_iter().map(Work::Cluster));
    }

    /// Compares everything, and looks for clusters whose Cluster went while nobody looked.
    pub(super) async fn resync(&self) {
        self.figures.resynced();
        self.compare_all();
        if !self.watches_clusters() || !self.view.is_listed(Kind::Cluster) {
            return;
        }
        match self.clusters.clusters().await {
            Ok(all) => {
                let ours = all.iter().filter(|one| registration(one).registered_for.is_some());
                // Those of other namespaces are somebody else's to follow.
                let ours = ours.filter(|one| self.policy.looks_at(&one.namespace));
                let names = ours.map(|cluster| ObjectName::new(&cluster.namespace, &cluster.name));
                let gone = names.filter(|name| self.view.cluster(name).is_none());
                self.queue.add_all(gone.map(Work::Cluster));
            }
            Err(error) => {
                let error = with_causes(&error);
                warn!(error, "the registered clusters could not be listed");
            }
        }
    }

    /// Looks whether fakeapi still has what it had, by one cluster.
    pub(super) async fn probe(&self) {
        let one = self.state.lock().records.keys().next().cloned();
        let Some(name) = one else { return };
        if let Ok(None) = self.clusters.cluster(&cluster_name(&name)).await {
            self.lost(&name);
        }
    }

    /// fakeapi does not have a cluster that it had: it may have lost all.
    fn lost(&self, name: &ObjectName) {
        let known = {
            let mut state = self.state.lock();
            let known = state.records.remove(name).is_some();
            if known && self.clusters.may_be_lost() {
                state.records.clear();
            }
            known
        };
        if known && self.clusters.may_be_lost() {
            warn!(cluster = %name, "fakeapi has lost a cluster: comparing everything");
            self.pin();
            self.compare_all();
        } else {
            self.queue.add(Work::Cluster(name.clone()));
        }
    }

    /// Notes which Clusters have their address already.
    fn pin(&self) {
        let all = self.view.clusters().into_iter();
        let pinned = all.filter(|(_, cluster)| {
            matches!(cluster.endpoint, Endpoint::At(_)) && plan::ours(&self.policy, cluster).is_ok()
        });
        self.state.lock().gate.pinned = pinned.map(|(name, _)| name).collect();
    }

    /// A Cluster was tried: it holds nobody up any more.
    fn unpin(&self, name: &ObjectName) {
        let held = {
            let gate = &mut self.state.lock().gate;
            gate.pinned.remove(name);
            if gate.pinned.is_empty() { std::mem::take(&mut gate.held) } else { Vec::new() }
        };
        self.queue.add_all(held.into_iter().map(Work::Cluster));
    }

    /// Whether a Cluster without an address must wait for those with one.
    fn must_wait(&self, name: &ObjectName) -> bool {
        let gate = &mut self.state.lock().gate;
        let waits = !gate.pinned.is_empty() && !gate.pinned.contains(name);
        if waits {
            gate.held.push(name.clone());
        }
        waits
    }

    async fn cluster(&self, name: &ObjectName) -> Result<Outcome, WorkError> {
        if self.watches_clusters() && !self.view.is_listed(Kind::Cluster) {
            return Ok(Outcome::Waits);
        }
        let seen = self.view.cluster(name);
        let summary = self.clusters.cluster(&cluster_name(name)).await?;
        if summary.is_some() || seen.is_none() {
            self.unpin(name);
        }
        if !self.watches_clusters() {
            return self.as_a_sidecar(name, summary.as_ref()).await;
        }
        let registration = summary.as_ref().map(registration);
        let was_paused = self.view.went_paused(name);
        let planned =
            plan::cluster(&self.policy, seen.as_deref(), was_paused, registration.as_ref());
        match (planned, seen, summary) {
            (ClusterPlan::Register, Some(seen), _) => self.register(name, &seen).await,
            (ClusterPlan::Keep, Some(seen), Some(summary)) => {
                self.keep(name, &seen, &summary).await
            }
            (ClusterPlan::Replace, Some(seen), _) => {
                self.unregister(name).await?;
                self.register(name, &seen).await
            }
            (ClusterPlan::Unregister, ..) => self.unregister(name).await,
            (ClusterPlan::Skip(why), ..) => {
                debug!(cluster = %name, %why, "not registered");
                self.state.lock().records.remove(name);
                self.unpin(name);
                Ok(Outcome::Same)
            }
            _ => {
                self.state.lock().records.remove(name);
                Ok(Outcome::Same)
            }
        }
    }

    /// Clusters are users' to register: only nodes are seen to.
    async fn as_a_sidecar(
        &self,
        name: &ObjectName,
        summary: Option<&ClusterSummary>,
    ) -> Result<Outcome, WorkError> {
        if summary.is_some() {
            return self.compare_nodes(name).await;
        }
        self.state.lock().records.remove(name);
        let machines = self.view.nodes_of(name);
        if machines.is_empty() { Ok(Outcome::Same) } else { Err(WorkError::NotRegistered) }
    }

    async fn register(&self, name: &ObjectName, seen: &SeenCluster) -> Result<Outcome, WorkError> {
        if !matches!(seen.endpoint, Endpoint::At(_)) && self.must_wait(name) {
            return Ok(Outcome::Waits);
        }
        let registered = self.register_at(name, seen).await;
        let unreachable =
            matches!(&registered, Err(WorkError::Clusters(ClustersError::Unreachable(_))));
        if !unreachable {
            self.unpin(name);
        }
        let Some(address) = registered? else { return Ok(Outcome::Same) };
        self.compare_nodes(name).await?;
        self.write(name, seen, address).await?;
        Ok(Outcome::Changed)
    }

    /// Registers a cluster; `None` when it is not ours after all, by its address, or not yet.
    async fn register_at(
        &self,
        name: &ObjectName,
        seen: &SeenCluster,
    ) -> Result<Option<SocketAddr>, WorkError> {
        let infrastructure = match seen.endpoint {
            Endpoint::At(_) => Endpoint::Empty,
            _ => self.writer.infrastructure_says(seen.readable_infrastructure()).await?,
        };
        let address = match endpoint::wanted(seen, infrastructure) {
            Endpoint::Empty | Endpoint::Placeholder => None,
            Endpoint::At(address) => Some(address),
            Endpoint::Named => {
                info!(cluster = %name, "not registered: its API server has a name, not an address");
                return Ok(None);
            }
        };
        let rests = seen.must_rest();
        // Whether an address is one of ours, its registration tells: until then nothing is made
        // for a Cluster that may be somebody else's.
        let tried = if rests || address.is_some() { Secrets::Leave } else { self.secrets };
        let (mut request, incomplete) = self.request(name, seen, address, tried).await?;
        if rests && incomplete {
            // `clusterctl move` brings the paused Cluster first and its Secrets later: one made
            // here would take their place. It comes again when it is paused no more.
            debug!(cluster = %name, "not registered: it is paused, and lacks a Secret");
            return Ok(None);
        }
        if self.secrets == Secrets::Create && tried == Secrets::Leave && incomplete {
            match self.clusters.register(&cluster_name(name), request.clone()).await {
                Ok(_) => self.clusters.unregister(&cluster_name(name)).await?,
                Err(error) => return refused_address(name, error),
            }
            request = self.request(name, seen, address, Secrets::Create).await?.0;
        }
        match self.clusters.register(&cluster_name(name), request).await {
            Ok(address) => {
                info!(cluster = %name, %address, "registered");
                Ok(Some(address))
            }
            Err(error) if address.is_some() => refused_address(name, error),
            Err(error) => Err(error.into()),
        }
    }

    /// What is registered for a Cluster, and whether a Secret is missing for it.
    async fn request(
        &self,
        name: &ObjectName,
        seen: &SeenCluster,
        address: Option<SocketAddr>,
        secrets: Secrets,
    ) -> Result<(RegisterRequest, bool), WorkError> {
        let authority = |purpose| secrets::ensure(&self.client, name, purpose, secrets);
        let ca = authority(secrets::Purpose::Cluster).await?;
        let etcd_ca = authority(secrets::Purpose::Etcd).await?;
        let incomplete = [&ca, &etcd_ca].contains(&&Found::Missing);
        let pair = |found| match found {
            Found::Pair(pem) => Some(pem),
            Found::Missing | Found::Keyless => None,
        };
        let request = RegisterRequest {
            address,
            ca: pair(ca),
            etcd_ca: pair(etcd_ca),
            version: seen.version.clone(),
            labels: Some(labels(seen, Labels::new())),
        };
        Ok((request, incomplete))
    }

    async fn keep(
        &self,
        name: &ObjectName,
        seen: &SeenCluster,
        summary: &ClusterSummary,
    ) -> Result<Outcome, WorkError> {
        let outcome = self.compare_nodes(name).await?;
        let ours = registration(summary).registered_for.is_some();
        if ours {
            self.relabel(name, seen, summary).await?;
        }
        if (ours || plan::ours(&self.policy, seen).is_ok()) && !seen.deleting {
            self.write(name, seen, summary.address).await?;
        }
        Ok(outcome)
    }

    /// Passes the Cluster's labels on, where they have changed.
    async fn relabel(
        &self,
        name: &ObjectName,
        seen: &SeenCluster,
        summary: &ClusterSummary,
    ) -> Result<(), WorkError> {
        let wanted = labels(seen, summary.labels.clone());
        if wanted == summary.labels {
            return Ok(());
        }
        let request = RegisterRequest { labels: Some(wanted), ..RegisterRequest::default() };
        self.clusters.register(&cluster_name(name), request).await?;
        info!(cluster = %name, "passed the Cluster's labels on");
        Ok(())
    }

    async fn write(
        &self,
        name: &ObjectName,
        seen: &SeenCluster,
        address: SocketAddr,
    ) -> Result<(), WorkError> {
        // A paused Cluster is not to be touched, unless it waits for just this.
        if seen.must_rest() {
            return Ok(());
        }
        if self.writer.write(name, seen, address).await? {
            return Ok(());
        }
        // Nobody tells when the object comes: no kind of infrastructure cluster is watched.
        Err(WorkError::NoInfrastructure)
    }

    async fn unregister(&self, name: &ObjectName) -> Result<Outcome, WorkError> {
        match self.clusters.unregister(&cluster_name(name)).await {
            Ok(()) | Err(ClustersError::UnknownCluster) => {}
            Err(error) => return Err(error.into()),
        }
        info!(cluster = %name, "unregistered");
        self.state.lock().records.remove(name);
        Ok(Outcome::Changed)
    }

    /// Reads which nodes there are, and wants each compared that should be there or should not.
    async fn compare_nodes(&self, name: &ObjectName) -> Result<Outcome, WorkError> {
        let nodes = match self.clusters.nodes(&cluster_name(name)).await {
            Ok(nodes) => nodes,
            Err(ClustersError::UnknownCluster) => {
                self.state.lock().records.remove(name);
                return Err(ClustersError::UnknownCluster.into());
            }
            Err(error) => return Err(error.into()),
        };
        let stale = nodes.iter().filter(|node| {
            plan::from_machine(node, &name.name) && !self.view.has_machine(name, &node.name)
        });
        let mut work = self.view.nodes_of(name);
        work.extend(
            stale.map(|node| Work::Node {
                cluster: name.clone(),
                machine: node.name.as_str().into(),
            }),
        );
        let nodes = nodes.into_iter().map(|node| (Arc::from(node.name.as_str()), node)).collect();
        let record = Record { nodes, waiting: HashSet::new() };
        self.state.lock().records.insert(name.clone(), record);
        self.queue.add_all(work);
        Ok(Outcome::Same)
    }

    async fn node(&self, cluster: &ObjectName, machine: &Arc<str>) -> Result<Outcome, WorkError> {
        let known = {
            let state = self.state.lock();
            state.records.get(cluster).map(|record| record.nodes.get(machine).cloned())
        };
        let Some(known) = known else {
            self.queue.add(Work::Cluster(cluster.clone()));
            return Ok(Outcome::Waits);
        };
        let planned = self
            .view
            .with_machine(cluster, machine, |parts| plan::node(machine, parts, known.as_ref()));
        match planned {
            NodePlan::Put(spec) => self.put(cluster, machine, spec).await,
            NodePlan::Remove => self.remove(cluster, machine).await,
            NodePlan::Leave(why) => {
                debug!(%cluster, machine = &**machine, ?why, "left as it is");
                Ok(if why == plan::Leave::AsItIs { Outcome::Same } else { Outcome::Waits })
            }
        }
    }

    async fn put(
        &self,
        cluster: &ObjectName,
        machine: &Arc<str>,
        spec: NodeSpec,
    ) -> Result<Outcome, WorkError> {
        let controls = spec.control_plane();
        match self.clusters.put_node(&cluster_name(cluster), spec.clone()).await {
            Ok(()) => {
                info!(%cluster, machine = &**machine, controls, "the node is there");
                let waiting = {
                    let mut state = self.state.lock();
                    let record = state.records.entry(cluster.clone()).or_default();
                    record.nodes.insert(machine.clone(), spec);
                    if controls { std::mem::take(&mut record.waiting) } else { HashSet::new() }
                };
                let node = |machine| Work::Node { cluster: cluster.clone(), machine };
                self.queue.add_all(waiting.into_iter().map(node));
                Ok(Outcome::Changed)
            }
            Err(ClustersError::NotActivated) => {
                debug!(%cluster, machine = &**machine, "waits for a control plane");
                let mut state = self.state.lock();
                if let Some(record) = state.records.get_mut(cluster) {
                    // Of the end of a boot nobody tells.
                    if record.nodes.values().any(NodeSpec::control_plane) {
                        return Err(WorkError::Booting);
                    }
                    record.waiting.insert(machine.clone());
                }
                Ok(Outcome::Waits)
            }
            Err(ClustersError::UnknownCluster) => {
                self.lost(cluster);
                Ok(Outcome::Waits)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn remove(&self, cluster: &ObjectName, machine: &Arc<str>) -> Result<Outcome, WorkError> {
        match self.clusters.remove_node(&cluster_name(cluster), machine).await {
            Ok(()) | Err(ClustersError::UnknownNode | ClustersError::UnknownCluster) => {}
            Err(error) => return Err(error.into()),
        }
        info!(%cluster, machine = &**machine, "the node is gone");
        if let Some(record) = self.state.lock().records.get_mut(cluster) {
            record.nodes.remove(machine);
        }
        Ok(Outcome::Changed)
    }
}

#[cfg(test)]
mod tests;
