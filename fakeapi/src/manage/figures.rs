//! What the reconciler counts, for Prometheus. Labels have few values, whatever the number of
//! clusters.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::queue::Queue;
use super::view::{Kind, View, Work};

/// What became of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Something was changed.
    Changed,
    /// Everything was as it should be.
    Same,
    /// It waits for something else, which will wake it.
    Waits,
    /// It failed and comes again.
    Failed,
}

impl Outcome {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Changed, "changed"),
        (Self::Same, "same"),
        (Self::Waits, "waits"),
        (Self::Failed, "failed"),
    ];
}

/// The parts of a term whose sizes are figures.
type Parts = (Weak<Queue<Work>>, Weak<View>);

/// What the reconciler counts.
#[derive(Debug, Default)]
pub struct Figures {
    leads: AtomicBool,
    terms: AtomicU64,
    clusters: [AtomicU64; 4],
    nodes: [AtomicU64; 4],
    lists: [AtomicU64; 4],
    watch_failures: [AtomicU64; 4],
    resyncs: AtomicU64,
    parts: RwLock<Option<Parts>>,
}

impl Figures {
    /// This process leads from now on.
    pub(super) fn leads(&self, queue: &Arc<Queue<Work>>, view: &Arc<View>) {
        *self.parts.write() = Some((Arc::downgrade(queue), Arc::downgrade(view)));
        self.terms.fetch_add(1, Ordering::Relaxed);
        self.leads.store(true, Ordering::Relaxed);
    }

    /// This process leads no more.
    pub(super) fn follows(&self) {
        self.leads.store(false, Ordering::Relaxed);
        *self.parts.write() = None;
    }

    /// Whether this process leads.
    pub fn is_leading(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    pub(super) fn worked(&self, work: &Work, outcome: Outcome) {
        let counters = match work {
            Work::Cluster(_) => &self.clusters,
            Work::Node { .. } => &self.nodes,
        };
        counters[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn listed(&self, kind: Kind) {
        self.lists[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn watch_failed(&self, kind: Kind) {
        self.watch_failures[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resynced(&self) {
        self.resyncs.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes all figures in Prometheus' text form.
    pub fn render(&self, out: &mut String) {
        let leads = u8::from(self.is_leading());
        let name = "fakeapi_reconciler_leader";
        one(out, name, "gauge", "Whether this process reconciles.", leads.into());
        let name = "fakeapi_reconciler_terms_total";
        one(out, name, "counter", "How often it began to.", load(&self.terms));
        let name = "fakeapi_reconciler_resyncs_total";
        one(out, name, "counter", "Comparisons of everything.", load(&self.resyncs));
        let name = "fakeapi_reconciler_work_total";
        head(out, name, "counter", "Comparisons of one object, by outcome.");
        for (object, counters) in [("cluster", &self.clusters), ("node", &self.nodes)] {
            for (outcome, label) in Outcome::ALL {
                let count = load(&counters[outcome as usize]);
                let labels = format!("object=\"{object}\",outcome=\"{label}\"");
                line(out, &format!("{name}{{{labels}}}"), count);
            }
        }
        let name = "fakeapi_reconciler_lists_total";
        by_kind(out, name, "counter", "Lists that were read to the end.", |kind| {
            Some(load(&self.lists[kind as usize]))
        });
        let name = "fakeapi_reconciler_watch_failures_total";
        by_kind(out, name, "counter", "Watches and lists that failed.", |kind| {
            Some(load(&self.watch_failures[kind as usize]))
        });
        self.render_parts(out);
    }

    fn render_parts(&self, out: &mut String) {
        let parts = self.parts.read();
        let Some((queue, view)) = parts.as_ref() else { return };
        let (Some(queue), Some(view)) = (queue.upgrade(), view.upgrade()) else { return };
        let depth = queue.depth();
        let name = "fakeapi_reconciler_queue";
        head(out, name, "gauge", "Work that waits: for a worker, or for another try.");
        line(out, &format!("{name}{{for=\"worker\"}}"), depth.ready as u64);
        line(out, &format!("{name}{{for=\"retry\"}}"), depth.later as u64);
        let name = "fakeapi_reconciler_objects";
        by_kind(out, name, "gauge", "Objects of the management cluster.", |kind| {
            view.is_listed(kind).then(|| view.count(kind) as u64)
        });
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Writing to a String cannot fail.
fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, series: &str, value: u64) {
    let _ = writeln!(out, "{series} {value}");
}

fn one(out: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    head(out, name, kind, help);
    line(out, name, value);
}

fn by_kind(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    value: impl Fn(Kind) -> Option<u64>,
) {
    head(out, name, kind, help);
    for of in Kind::ALL {
        if let Some(value) = value(of) {
            line(out, &format!("{name}{{kind=\"{}\"}}", of.label()), value);
        }
    }
}
