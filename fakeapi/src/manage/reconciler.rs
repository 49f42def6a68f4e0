//! The reconciler: it leads, watches and works until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kube::Client;
use kube::api::Api;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clusters::Clusters;
use super::figures::Figures;
use super::kinds::{BareMetalHost, Cluster, Machine, Metal3Machine};
use super::lease::{Lease, Times};
use super::marks;
use super::options::ReconcileOptions;
use super::plan::Policy;
use super::seen::{SeenCluster, SeenHost, SeenMachine, SeenMetal3Machine};
use super::term::Term;
use super::view::Kind;
use super::watch::{Served, Tell, Watch};

/// How often a fakeapi that is another process is asked whether it still has its clusters.
const PROBE: Duration = Duration::from_secs(15);

/// How long work in hand may take when a term ends: well within what is left of a lease that could
/// not be renewed.
const WIND_DOWN: Duration = Duration::from_secs(4);

const CAPI_VERSIONS: &[&str] = &["v1beta2", "v1beta1"];

const CLUSTERS: Served = Served {
    group: marks::CAPI_GROUP,
    versions: CAPI_VERSIONS,
    kind: "Cluster",
    plural: "clusters",
};

const MACHINES: Served = Served {
    group: marks::CAPI_GROUP,
    versions: CAPI_VERSIONS,
    kind: "Machine",
    plural: "machines",
};

const METAL3_MACHINES: Served = Served {
    group: marks::INFRASTRUCTURE_GROUP,
    versions: CAPI_VERSIONS,
    kind: marks::METAL3_MACHINE,
    plural: "metal3machines",
};

const HOSTS: Served = Served {
    group: "metal3.io",
    versions: &["v1alpha1"],
    kind: "BareMetalHost",
    plural: "baremetalhosts",
};

/// Keeps the clusters of a fakeapi as a management cluster says.
pub struct Reconciler {
    client: Client,
    clusters: Arc<dyn Clusters>,
    options: ReconcileOptions,
    figures: Arc<Figures>,
}

impl Reconciler {
    /// A reconciler that does nothing yet.
    pub fn new(client: Client, clusters: Arc<dyn Clusters>, options: ReconcileOptions) -> Self {
        Self { client, clusters, options, figures: Arc::default() }
    }

    /// What it counts.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// Runs until `stop`; without a Lease at once, else whenever it holds that.
    pub async fn run(&self, stop: CancellationToken) {
        if self.options.reconcile_alone {
            self.term(stop).await;
            return;
        }
        let (namespace, name) = match self.options.reconcile_lease.split_once('/') {
            Some(both) => both,
            None => (self.client.default_namespace(), &*self.options.reconcile_lease),
        };
        let api = Api::namespaced(self.client.clone(), namespace);
        let mut lease = Lease::new(api, name, &identity(), Times::default());
        lease.lead(&stop, |term| self.term(term).boxed()).await;
    }

    /// Watches and works until `stop`.
    async fn term(&self, stop: CancellationToken) {
        let policy = Policy {
            register: self.options.reconcile_clusters,
            selector: self.options.reconcile_selector.0.clone(),
            namespace: self.options.reconcile_namespace.clone(),
        };
        let term = Arc::new(Term::new(
            self.clusters.clone(),
            self.client.clone(),
            policy,
            self.options.reconcile_secrets,
            self.figures.clone(),
        ));
        self.figures.leads(&term.queue, &term.view);
        info!(clusters = ?self.options.reconcile_clusters, "reconciling");
        let mut watches = self.watch(&term);
        let mut workers = JoinSet::new();
        for _ in 0..self.options.reconcile_workers.get() {
            workers.spawn(work(term.clone(), stop.clone()));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.tick(&term) => {}
            Some(ended) = watches.join_next() => {
                warn!(?ended, "a watch ended, which none does: ending the term");
            }
        }
        stop.cancel();
        watches.shutdown().await;
        let wind_down = async { while workers.join_next().await.is_some() {} };
        if timeout(WIND_DOWN, wind_down).await.is_err() {
            warn!("work in hand is left: the next term begins it anew");
            workers.shutdown().await;
        }
        self.figures.follows();
        info!("reconciling no more");
    }

    /// Compares everything again and again.
    async fn tick(&self, term: &Term) {
        let mut resync = interval(Duration::from_secs(self.options.reconcile_resync));
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first comes with the first lists.
        resync.tick().await;
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let probes = self.clusters.may_be_lost();
        loop {
            tokio::select! {
                () = term.begun.notified() => term.resync().await,
                _ = resync.tick() => term.resync().await,
                _ = probe.tick(), if probes => term.probe().await,
            }
        }
    }

    fn watch(&self, term: &Arc<Term>) -> JoinSet<()> {
        let mut watches = JoinSet::new();
        if term.watches_clusters() {
            let watch = self.watch_of(term, CLUSTERS, Kind::Cluster);
            watches.spawn(watch.run::<Cluster, SeenCluster>());
        }
        let watch = self.watch_of(term, MACHINES, Kind::Machine);
        watches.spawn(watch.run::<Machine, SeenMachine>());
        let watch = self.watch_of(term, METAL3_MACHINES, Kind::Metal3Machine);
        watches.spawn(watch.run::<Metal3Machine, SeenMetal3Machine>());
        let watch = self.watch_of(term, HOSTS, Kind::Host);
        watches.spawn(watch.run::<BareMetalHost, SeenHost>());
        watches
    }

    fn watch_of(&self, term: &Arc<Term>, served: Served, kind: Kind) -> Watch {
        let tell: Tell = {
            let term = Arc::downgrade(term);
            Arc::new(move |work, begins| {
                let Some(term) = term.upgrade() else { return };
                term.queue.add_all(work);
                if begins {
                    term.begins(kind);
                }
            })
        };
        Watch {
            client: self.client.clone(),
            namespace: self.options.reconcile_namespace.clone(),
            served,
            view: term.view.clone(),
            tell,
            figures: self.figures.clone(),
        }
    }
}

async fn work(term: Arc<Term>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        // Once taken, a piece of work is finished.
        tokio::select! {
            () = stop.cancelled() => return,
            work = term.queue.next() => term.work(work).await,
        }
    }
}

/// Who this process is in an election: the pod or host, and something that no other run has.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{}", host.trim(), uuid::Uuid::new_v4())
}
