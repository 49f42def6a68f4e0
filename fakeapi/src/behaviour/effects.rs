//! The rules that hold for one cluster, ready for its requests.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use apiserver::request::{Query, RequestInfo};
use apiserver::status::Status;
use http::{Method, Request, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::amount::{Number, Span};
use super::chance::Seed;
use super::counts::Effect;
use super::entry::Entry;
use super::limits::LATENCY_MAX;
use super::reason;
use crate::register::ClusterName;
use crate::serve::outage::Outage;

/// A rule that holds for a cluster.
///
/// It counts what it decides about, each kind by itself: the n-th request that a latency or an
/// error is about gets the n-th draw, whatever other requests come between.
#[derive(Debug)]
pub struct Active {
    /// The rule.
    pub entry: Arc<Entry>,
    /// The seed of the rule and the cluster.
    seed: Seed,
    delayed: AtomicU64,
    judged: Box<[AtomicU64]>,
    etcd_calls: AtomicU64,
    /// When there is a leader again, in milliseconds since 1970.
    leaderless_until: AtomicI64,
    /// The nodes that flap, and whether they may be unwell now.
    pub(crate) flapping: Mutex<HashMap<String, bool>>,
}

/// What becomes of a request before the API server sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// It waits so long.
    pub delay: Duration,
    /// Then it is refused with this.
    pub refusal: Option<Status>,
}

/// What becomes of a call to etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtcdVerdict {
    /// It waits so long.
    pub delay: Duration,
    /// Then it fails as unavailable.
    pub fails: bool,
    /// There is no leader now: what needs one fails, and a status tells of none.
    pub leaderless: bool,
}

/// The rules that hold for one cluster.
#[derive(Debug)]
pub struct Effects {
    active: Vec<Arc<Active>>,
    outage: Option<Outage>,
    certificate_end: Option<Timestamp>,
}

impl Effects {
    /// The rules among `entries` that hold for a cluster at this moment; `None` for none. Those
    /// that held before go on counting where they are.
    pub fn of(
        entries: &[Arc<Entry>],
        name: &ClusterName,
        labels: &BTreeMap<String, String>,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Option<Arc<Self>> {
        let active: Vec<Arc<Active>> = entries
            .iter()
            .filter_map(|entry| {
                let seed = entry.seed.of(&name.namespace).of(&name.name);
                if !entry.rule.selector.selects(name, labels, seed) {
                    return None;
                }
                let known = before.and_then(|before| before.find(entry));
                Some(known.unwrap_or_else(|| Active::begin(entry, seed)))
            })
            .collect();
        if active.is_empty() {
            return None;
        }
        let outage = active.iter().find_map(|active| active.entry.outage(now));
        let ends = active.iter().filter_map(|active| active.entry.certificate_end());
        let certificate_end = ends.min();
        Some(Arc::new(Self { active, outage, certificate_end }))
    }

    fn find(&self, entry: &Arc<Entry>) -> Option<Arc<Active>> {
        self.active.iter().find(|active| Arc::ptr_eq(&active.entry, entry)).cloned()
    }

    /// The rules.
    pub fn active(&self) -> &[Arc<Active>] {
        &self.active
    }

    /// The outage that holds: that of the first rule, in order of names, that has one.
    pub fn outage(&self) -> Option<Outage> {
        self.outage
    }

    /// When the serving certificate ends, if a rule says so: the earliest.
    pub fn certificate_end(&self) -> Option<Timestamp> {
        self.certificate_end
    }

    /// What becomes of a request. The latencies of several rules add up; of errors the first
    /// that strikes counts.
    pub fn on_request<B>(&self, request: &Request<B>) -> Verdict {
        if self.outage == Some(Outage::Unavailable) {
            let code = StatusCode::SERVICE_UNAVAILABLE;
            let (reason, message) = reason::of(code);
            let refusal = Some(Status::refusal(code, reason, message, None));
            return Verdict { delay: Duration::ZERO, refusal };
        }
        let query = Query::parse(request.uri().query());
        let info = RequestInfo::parse(request.method(), request.uri().path(), &query);
        let mut verdict = Verdict::default();
        for active in &self.active {
            verdict.delay += active.delay(request.method(), &info);
        }
        verdict.delay = verdict.delay.min(LATENCY_MAX);
        // All count, also behind one that strikes: draws must not depend on other rules.
        for active in &self.active {
            let refusal = active.refusal(request.method(), &info);
            verdict.refusal = verdict.refusal.or(refusal);
        }
        verdict
    }

    /// What becomes of a call to etcd.
    pub fn on_etcd_call(&self, now: Timestamp) -> EtcdVerdict {
        let mut verdict = EtcdVerdict::default();
        for active in &self.active {
            active.etcd_call(now, &mut verdict);
        }
        verdict.delay = verdict.delay.min(LATENCY_MAX);
        verdict
    }

    /// How long a node takes from when it is added until it is there. Several rules add up.
    pub fn startup(&self, node: &str) -> Duration {
        self.active.iter().map(|active| active.startup(node)).sum()
    }
}

impl Active {
    fn begin(entry: &Arc<Entry>, seed: Seed) -> Arc<Self> {
        entry.counts.cluster_came();
        let zero = |_: &_| AtomicU64::new(0);
        Arc::new(Self {
            entry: Arc::clone(entry),
            seed,
            delayed: AtomicU64::new(0),
            judged: entry.errors.iter().map(zero).collect(),
            etcd_calls: AtomicU64::new(0),
            leaderless_until: AtomicI64::new(i64::MIN),
            flapping: Mutex::default(),
        })
    }

    fn delay(&self, method: &Method, info: &RequestInfo) -> Duration {
        let Some(latency) = &self.entry.rule.api_server.latency else { return Duration::ZERO };
        if !self.entry.delays(method, info) {
            return Duration::ZERO;
        }
        let n = self.delayed.fetch_add(1, Ordering::Relaxed);
        let delay = latency.draw(self.seed.of("apiServer.latency").nth(n));
        self.entry.counts.add(Effect::Latency);
        delay
    }

    fn refusal(&self, method: &Method, info: &RequestInfo) -> Option<Status> {
        let mut refusal = None;
        for (index, (error, judged)) in self.entry.errors.iter().zip(&self.judged).enumerate() {
            if !error.is_about(method, info) {
                continue;
            }
            let n = judged.fetch_add(1, Ordering::Relaxed);
            let seed = self.seed.of("apiServer.errors").nth(index as u64);
            if refusal.is_none() && error.rate.is_none_or(|rate| seed.unit(n) < rate) {
                refusal = Some(error.status.clone());
            }
        }
        if refusal.is_some() {
            self.entry.counts.add(Effect::Error);
        }
        refusal
    }

    fn etcd_call(&self, now: Timestamp, verdict: &mut EtcdVerdict) {
        let etcd = &self.entry.rule.etcd;
        let n = self.etcd_calls.fetch_add(1, Ordering::Relaxed);
        if let Some(latency) = &etcd.latency {
            verdict.delay += latency.draw(self.seed.of("etcd.latency").nth(n));
            self.entry.counts.add(Effect::EtcdLatency);
        }
        if etcd.error_rate.is_some_and(|rate| self.seed.of("etcd.errorRate").unit(n) < rate.0) {
            verdict.fails = true;
            self.entry.counts.add(Effect::EtcdError);
        }
        verdict.leaderless |= now.as_millisecond() < self.leaderless_until.load(Ordering::Relaxed);
    }

    fn startup(&self, node: &str) -> Duration {
        let Some(provisioning) = &self.entry.rule.node.provisioning else { return Duration::ZERO };
        let unit = self.seed.of("node.provisioning").of(node).unit(0);
        stretched(provisioning.startup_duration, provisioning.startup_jitter, unit)
    }

    /// Whether a node is among those that flap.
    pub(crate) fn flaps(&self, node: &str) -> bool {
        let Some(flapping) = &self.entry.rule.node.flapping else { return false };
        let unit = self.seed.of("node.flapping.share").of(node).unit(0);
        flapping.share.is_none_or(|share| unit < share.0)
    }

    /// How long a flapping node stays as it is before its n-th turn: it becomes unwell at turns
    /// that are even and well at those that are odd. The first comes at any time of being well,
    /// so that nodes do not flap in step.
    pub(crate) fn flap_wait(&self, node: &str, turn: u64) -> Duration {
        let Some(flapping) = &self.entry.rule.node.flapping else { return Duration::ZERO };
        let unit = self.seed.of("node.flapping").of(node).unit(turn);
        match turn {
            0 => flapping.up_for.0.mul_f64(unit),
            _ if turn.is_multiple_of(2) => stretched(flapping.up_for, flapping.jitter, unit),
            _ => stretched(flapping.down_for, flapping.jitter, unit),
        }
    }

    /// How long it is until the leader is lost for the n-th time; `None` when it is no more.
    pub(crate) fn leader_wait(&self, turn: u64) -> Option<Duration> {
        let loss = self.entry.rule.etcd.leader_loss.as_ref()?;
        let Some(every) = loss.every else {
            // What happens once has happened when another process applied the rule.
            return (turn == 0 && !self.entry.inherited).then_some(Duration::ZERO);
        };
        Some(stretched(every, loss.jitter, self.seed.of("etcd.leaderLoss").unit(turn)))
    }

    /// The leader is lost now: says for how long there is none.
    pub(crate) fn lose_leader(&self, now: Timestamp) -> Duration {
        let loss = self.entry.rule.etcd.leader_loss.as_ref();
        let election = loss.and_then(|loss| loss.election_duration).unwrap_or_default().0;
        let until = now
            .as_millisecond()
            .saturating_add_unsigned(u64::try_from(election.as_millis()).unwrap_or(u64::MAX));
        self.leaderless_until.store(until, Ordering::Relaxed);
        election
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.entry.counts.cluster_went();
    }
}

/// A duration and up to so many of one of it more, as `startupJitter` is defined.
fn stretched(span: Span, jitter: Option<Number>, unit: f64) -> Duration {
    span.0.mul_f64(1.0 + jitter.unwrap_or_default().0 * unit)
}
