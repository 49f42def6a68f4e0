//! Rules of behaviour act on the clusters: they are worked out for each when rules or clusters
//! change, and what they do by themselves is done when it is due.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::Registry;
use super::boot::Booting;
use super::cluster::{Cluster, next_generation};
use crate::behaviour::limits::AT_ONCE;
use crate::behaviour::{
    Active, BehaviourError, Behaviours, Effect, Effects, Entry, Report, Rule, Unwell,
};
use crate::register::{ClusterName, NodeHealth, RegisterError, Registrar};
use crate::serve::outage::OutageSwitch;

/// Clusters that are judged before others have their turn.
const PAGE: usize = 1_000;

/// How long a rule that has ended stays when that could not be written, before it is tried again.
pub(super) const LATER: Duration = Duration::from_secs(5);

/// What rules have made of a cluster.
#[derive(Default)]
pub(super) struct Behaviour {
    /// Whether there are any effects: what a request asks first.
    any: AtomicBool,
    effects: RwLock<Option<Arc<Effects>>>,
    pub(super) outage: Arc<OutageSwitch>,
    /// Nodes that are to be there later, by name.
    pub(super) booting: Mutex<BTreeMap<String, Booting>>,
}

impl Behaviour {
    /// The rules that hold.
    pub(super) fn effects(&self) -> Option<Arc<Effects>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.effects.read().clone()
    }

    /// No rule holds any more: the cluster is gone.
    pub(super) fn end(&self) {
        let mut slot = self.effects.write();
        self.any.store(false, Ordering::Release);
        *slot = None;
    }
}

/// What is to be done later. Whatever was replaced or is gone by then is left alone.
#[derive(Debug)]
pub(super) enum Job {
    /// A rule ends, or its outage does.
    Review(Weak<Entry>),
    /// A node has booted.
    Boot(Weak<Cluster>, String),
    /// A node becomes well or unwell.
    Flap { cluster: Weak<Cluster>, rule: Weak<Active>, node: String, turn: u64 },
    /// A node flaps no more.
    Calm { cluster: Weak<Cluster>, node: String },
    /// A leader is lost.
    LoseLeader { cluster: Weak<Cluster>, rule: Weak<Active>, turn: u64 },
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Registry {
    /// Works out what the rules there are mean for all clusters, and does what they do by
    /// themselves as long as the handle is there. Begins when clusters and rules are back and before clients are
    /// let in.
    pub async fn begin_behaviours(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        for entry in self.behaviours.entries().iter() {
            self.schedule_reviews(entry);
        }
        self.judge_all().await;
        for cluster in self.all_clusters() {
            for (node, ready_at) in cluster.booting_nodes() {
                self.later_at(ready_at, Job::Boot(Arc::downgrade(&cluster), node));
            }
        }
        let (registry, schedule) = (Arc::downgrade(self), Arc::clone(&self.schedule));
        AbortOnDropHandle::new(tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            loop {
                let job = schedule.due().await;
                let place = Arc::clone(&places).acquire_owned().await;
                let (Some(registry), Ok(place)) = (registry.upgrade(), place) else { return };
                tokio::spawn(async move {
                    registry.carry_out(job).await;
                    drop(place);
                });
            }
        }))
    }

    /// Rules by which a run begins: they replace those of the same names, unless they are the
    /// same, which go on as they were.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub async fn adopt_behaviours(&self, rules: Vec<Rule>) -> Result<(), BehaviourError> {
        let same = |rule: &Rule| self.behaviours.get(&rule.name).is_some_and(|is| is.rule == *rule);
        let new = rules.into_iter().filter(|rule| !same(rule)).collect();
        self.behaviours.put(new, Timestamp::now()).await
    }

    fn all_clusters(&self) -> impl Iterator<Item = Arc<Cluster>> {
        let mut after: Option<ClusterName> = None;
        let pages = std::iter::from_fn(move || {
            let page = self.clusters.page(after.as_ref(), PAGE);
            after = page.last().map(|cluster| cluster.name());
            (!page.is_empty()).then_some(page)
        });
        pages.flatten()
    }

    async fn judge_all(&self) {
        for (index, cluster) in self.all_clusters().enumerate() {
            self.judge(&cluster);
            if index % PAGE == PAGE - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Works out which rules hold for a cluster. The last to do so has seen the newest rules,
    /// since they are read while nobody else does it for this cluster.
    pub(super) fn judge(&self, cluster: &Arc<Cluster>) {
        let behaviour = &cluster.behaviour;
        let mut slot = behaviour.effects.write();
        if cluster.gone.is_cancelled() {
            return;
        }
        let entries = self.behaviours.entries();
        if entries.is_empty() && slot.is_none() {
            return;
        }
        let (name, labels) = (cluster.name(), cluster.labels());
        let before = slot.take();
        let now = Timestamp::now();
        let after = Effects::of(&entries, &name, &labels, before.as_deref(), now);
        behaviour.any.store(after.is_some(), Ordering::Release);
        slot.clone_from(&after);
        act(cluster, before.as_deref(), after.as_deref(), now);
        drop(slot);
        let rules = |of: &Option<Arc<Effects>>| -> Vec<Arc<Active>> {
            of.as_ref().map(|effects| effects.active().to_vec()).unwrap_or_default()
        };
        let (before, after) = (rules(&before), rules(&after));
        let lacks = |list: &[Arc<Active>], one: &Arc<Active>| {
            !list.iter().any(|other| Arc::ptr_eq(one, other))
        };
        for rule in before.iter().filter(|rule| lacks(&after, rule)) {
            self.calm(cluster, rule);
        }
        for rule in after.iter().filter(|rule| lacks(&before, rule)) {
            self.begin_rule(cluster, rule);
        }
    }

    /// A rule begins to hold for a cluster: what it does by itself is put on the schedule.
    fn begin_rule(&self, cluster: &Arc<Cluster>, rule: &Arc<Active>) {
        if rule.entry.rule.node.flapping.is_some() {
            let nodes: Vec<String> =
                cluster.store.with_base(|base| base.node_specs().map(|spec| spec.name).collect());
            for node in nodes {
                self.begin_flapping(cluster, rule, node);
            }
        }
        self.lose_leader_later(cluster, rule, 0);
    }

    fn begin_flapping(&self, cluster: &Arc<Cluster>, rule: &Arc<Active>, node: String) {
        let inherited = rule.entry.inherited;
        if !rule.flaps(&node) {
            return;
        }
        match rule.flapping.lock().entry(node.clone()) {
            // It may be unwell now, which is not to be forgotten.
            MapEntry::Occupied(_) => return,
            MapEntry::Vacant(place) => drop(place.insert(inherited)),
        }
        // Nobody knows how a former run left the node: it is well first.
        let (turn, wait) =
            if inherited { (1, Duration::ZERO) } else { (0, rule.flap_wait(&node, 0)) };
        let (cluster, rule) = (Arc::downgrade(cluster), Arc::downgrade(rule));
        self.later(wait, Job::Flap { cluster, rule, node, turn });
    }

    /// A rule holds no more: nodes that it has made unwell become well.
    fn calm(&self, cluster: &Arc<Cluster>, rule: &Active) {
        let nodes = std::mem::take(&mut *rule.flapping.lock());
        for (node, _) in nodes.into_iter().filter(|(_, unwell)| *unwell) {
            self.later(Duration::ZERO, Job::Calm { cluster: Arc::downgrade(cluster), node });
        }
    }

    fn lose_leader_later(&self, cluster: &Arc<Cluster>, rule: &Arc<Active>, turn: u64) {
        if let Some(wait) = rule.leader_wait(turn) {
            let (cluster, rule) = (Arc::downgrade(cluster), Arc::downgrade(rule));
            self.later(wait, Job::LoseLeader { cluster, rule, turn });
        }
    }

    /// A node has come, which rules may let flap.
    pub(super) fn node_came(&self, cluster: &Arc<Cluster>, node: &str) {
        let Some(effects) = cluster.behaviour.effects() else { return };
        for rule in effects.active() {
            self.begin_flapping(cluster, rule, node.to_owned());
        }
    }

    pub(super) fn later(&self, wait: Duration, job: Job) {
        self.later_at(Timestamp::now() + wait, job);
    }

    /// Puts a job on the schedule. When that is full, the job is not done, and the log says so.
    pub(super) fn later_at(&self, at: Timestamp, job: Job) {
        if let Err(error) = self.schedule.add(at, job) {
            tracing::error!(%error, "a rule of behaviour does not act");
        }
    }

    fn schedule_reviews(&self, entry: &Arc<Entry>) {
        for at in [entry.expires(), entry.outage_end()].into_iter().flatten() {
            self.later_at(at, Job::Review(Arc::downgrade(entry)));
        }
    }

    async fn carry_out(self: &Arc<Self>, job: Job) {
        match job {
            Job::Review(entry) => {
                if let Some(entry) = entry.upgrade() {
                    self.review(&entry).await;
                }
            }
            Job::Boot(cluster, node) => {
                if let Some(cluster) = cluster.upgrade() {
                    self.boot(&cluster, &node).await;
                }
            }
            Job::Flap { cluster, rule, node, turn } => {
                if let (Some(cluster), Some(rule)) = (cluster.upgrade(), rule.upgrade()) {
                    self.flap(&cluster, &rule, node, turn).await;
                }
            }
            Job::Calm { cluster, node } => {
                if let Some(cluster) = cluster.upgrade() {
                    self.become_well(&cluster, &node).await;
                }
            }
            Job::LoseLeader { cluster, rule, turn } => {
                if let (Some(cluster), Some(rule)) = (cluster.upgrade(), rule.upgrade()) {
                    self.lose_leader(&cluster, &rule, turn).await;
                }
            }
        }
    }

    /// A rule may have ended, or its outage.
    async fn review(&self, entry: &Arc<Entry>) {
        let name = &entry.rule.name;
        if entry.expires().is_some_and(|end| end <= Timestamp::now()) {
            match self.behaviours.remove(name, Some(entry)).await {
                Ok(()) => tracing::info!(rule = name, "the rule has ended"),
                Err(BehaviourError::Unknown(_)) => {}
                Err(error) => {
                    let error = crate::fkas::with_causes(&error);
                    tracing::error!(rule = name, error, "the rule has ended and stays for now");
                    self.later(LATER, Job::Review(Arc::downgrade(entry)));
                }
            }
        }
        self.judge_all().await;
    }

    async fn flap(&self, cluster: &Arc<Cluster>, rule: &Arc<Active>, node: String, turn: u64) {
        let Some(flapping) = &rule.entry.rule.node.flapping else { return };
        let unwell = turn.is_multiple_of(2);
        let health = match (unwell, flapping.looks) {
            (false, _) => NodeHealth::Ready,
            (true, Unwell::NotReady) => NodeHealth::NotReady,
            (true, Unwell::Unreachable) => NodeHealth::Unreachable,
        };
        // Noted before: a rule that ends meanwhile undoes it.
        if rule.flapping.lock().get_mut(&node).map(|is| *is |= unwell).is_none() {
            return;
        }
        match self.set_node_health(&cluster.name(), &node, health).await {
            Ok(()) => rule.entry.counts.add(Effect::Flap),
            Err(RegisterError::UnknownNode { .. } | RegisterError::UnknownCluster(_)) => {
                rule.flapping.lock().remove(&node);
                return;
            }
            Err(error) => {
                let (cluster, error) = (cluster.name(), crate::fkas::with_causes(&error));
                tracing::warn!(%cluster, node, error, "a node does not flap");
            }
        }
        if let Some(is) = rule.flapping.lock().get_mut(&node) {
            *is = unwell;
        } else if unwell {
            // The rule ended while the node became unwell.
            return self.become_well(cluster, &node).await;
        } else {
            return;
        }
        let wait = rule.flap_wait(&node, turn + 1);
        let (cluster, rule) = (Arc::downgrade(cluster), Arc::downgrade(rule));
        self.later(wait, Job::Flap { cluster, rule, node, turn: turn + 1 });
    }

    async fn become_well(&self, cluster: &Arc<Cluster>, node: &str) {
        match self.set_node_health(&cluster.name(), node, NodeHealth::Ready).await {
            Ok(()) | Err(RegisterError::UnknownNode { .. } | RegisterError::UnknownCluster(_)) => {}
            Err(error) => {
                let (cluster, error) = (cluster.name(), crate::fkas::with_causes(&error));
                tracing::warn!(%cluster, node, error, "a node that flapped stays as it is");
            }
        }
    }

    pub(super) async fn lose_leader(&self, cluster: &Arc<Cluster>, rule: &Arc<Active>, turn: u64) {
        let election = rule.lose_leader(Timestamp::now());
        let leads = || cluster.view().members.leader;
        let before = leads();
        match self.move_leader(&cluster.name(), None).await {
            // A member that is alone leads on.
            Ok(_) if leads() == before => {}
            Ok(node) => {
                rule.entry.counts.add(Effect::LeaderLoss);
                tracing::debug!(cluster = %cluster.name(), node, ?election, "a leader is lost");
            }
            // Without members there is nobody to lose.
            Err(RegisterError::UnknownCluster(_) | RegisterError::Invalid { .. }) => {}
            Err(error) => {
                let (cluster, error) = (cluster.name(), crate::fkas::with_causes(&error));
                tracing::warn!(%cluster, error, "the etcd leader goes on leading");
            }
        }
        self.lose_leader_later(cluster, rule, turn + 1);
    }
}

/// Lets the rules that hold now act on the cluster's connections and certificate.
fn act(cluster: &Cluster, before: Option<&Effects>, after: Option<&Effects>, now: Timestamp) {
    let end = |of: Option<&Effects>| of.and_then(Effects::certificate_end);
    if end(before) != end(after) {
        // Certificates that were made until now are not shown any more.
        cluster.identity.write().generation = next_generation();
    }
    let outage = after.and_then(Effects::outage);
    let rules = after.map(Effects::active).unwrap_or_default();
    if outage.is_some()
        && outage != cluster.behaviour.outage.now()
        && let Some(rule) = rules.iter().find(|rule| rule.entry.outage(now).is_some())
    {
        rule.entry.counts.add(Effect::Outage);
    }
    let new = |rule: &&Arc<Active>| {
        !before.is_some_and(|before| before.active().iter().any(|old| Arc::ptr_eq(old, rule)))
    };
    for rule in rules.iter().filter(new) {
        if rule.entry.rule.api_server.certificate.is_some() {
            rule.entry.counts.add(Effect::Certificate);
        }
    }
    cluster.behaviour.outage.set(outage);
}

impl Behaviours for Registry {
    fn put_behaviour(&self, rule: Rule) -> BoxFuture<'_, Result<Report, BehaviourError>> {
        async move {
            rule.check()?;
            let name = rule.name.clone();
            self.behaviours.put(vec![rule], Timestamp::now()).await?;
            self.judge_all().await;
            let entry = self.behaviours.get(&name).ok_or(BehaviourError::Unknown(name))?;
            self.schedule_reviews(&entry);
            Ok(Report::of(&entry))
        }
        .boxed()
    }

    fn remove_behaviour<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), BehaviourError>> {
        async move {
            self.behaviours.remove(name, None).await?;
            self.judge_all().await;
            Ok(())
        }
        .boxed()
    }

    fn behaviour(&self, name: &str) -> Option<Report> {
        self.behaviours.get(name).map(|entry| Report::of(&entry))
    }

    fn all_behaviours(&self) -> Vec<Report> {
        self.behaviours.entries().iter().map(|entry| Report::of(entry)).collect()
    }
}
