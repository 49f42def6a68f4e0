//! How often a rule did something, for lists and metrics. A series a rule, never one a cluster.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

use super::entry::Entry;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// A request was made to wait.
    Latency,
    /// A request was refused.
    Error,
    /// A cluster went out of service.
    Outage,
    /// A serving certificate was made to end otherwise.
    Certificate,
    /// A call to etcd was made to wait.
    EtcdLatency,
    /// A call to etcd failed.
    EtcdError,
    /// A leader was lost.
    LeaderLoss,
    /// A node was made to boot.
    Boot,
    /// A node became well or unwell.
    Flap,
}

/// All effects, in the order their counts are kept.
pub const EFFECTS: [(Effect, &str); 9] = [
    (Effect::Latency, "latency"),
    (Effect::Error, "error"),
    (Effect::Outage, "outage"),
    (Effect::Certificate, "certificate"),
    (Effect::EtcdLatency, "etcdLatency"),
    (Effect::EtcdError, "etcdError"),
    (Effect::LeaderLoss, "leaderLoss"),
    (Effect::Boot, "boot"),
    (Effect::Flap, "flap"),
];

/// The counts of one rule.
#[derive(Debug, Default)]
pub struct Counts {
    clusters: AtomicUsize,
    effects: [AtomicU64; EFFECTS.len()],
}

impl Counts {
    /// One more.
    pub(crate) fn add(&self, effect: Effect) {
        self.effects[effect as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cluster_came(&self) {
        self.clusters.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cluster_went(&self) {
        self.clusters.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many clusters the rule holds for.
    pub fn clusters(&self) -> usize {
        self.clusters.load(Ordering::Relaxed)
    }

    /// How often it did this.
    pub fn of(&self, effect: Effect) -> u64 {
        self.effects[effect as usize].load(Ordering::Relaxed)
    }
}

/// The metrics of all rules, in Prometheus' text form.
pub fn metrics(out: &mut String, entries: &[Arc<Entry>]) {
    // Writing to a String cannot fail.
    let name = "fakeapi_behaviour_clusters";
    let _ = writeln!(out, "# HELP {name} Clusters that a rule holds for.\n# TYPE {name} gauge");
    for entry in entries {
        let _ = writeln!(out, "{name}{{rule=\"{}\"}} {}", entry.rule.name, entry.counts.clusters());
    }
    let name = "fakeapi_behaviour_effects_total";
    let _ = writeln!(out, "# HELP {name} What rules did.\n# TYPE {name} counter");
    for entry in entries {
        let rule = &entry.rule.name;
        for (effect, label) in EFFECTS {
            let count = entry.counts.of(effect);
            let _ = writeln!(out, "{name}{{rule=\"{rule}\",effect=\"{label}\"}} {count}");
        }
    }
}
