//! Many clusters at once: made, grown and deleted together, and how long each phase took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::paths::{CONTROL_PLANE, CORE, INFRASTRUCTURE, condition, text};
use super::report::Report;
use super::stage::Stage;
use super::subject::Size;
use super::wait::until;
use crate::e2e::management::Api;

/// How large each of them is made.
const SIZE: Size =
    Size { version: "v1.36.3", workers_version: "v1.36.3", control_planes: 3, workers: 2 };

/// How long one cluster may take, however many there are.
const ONE: Duration = Duration::from_mins(6);

/// How much longer each of them makes it take, on a machine that does everything at once.
const EACH: Duration = Duration::from_secs(12);

/// Runs it with `count` clusters.
pub(super) fn run(stage: Stage, count: u32) -> Report {
    let mut report = Report::new(stage.name);
    let patience = ONE + EACH * count;
    let mut api = stage.api();
    let mut phases = Phases::new(count);
    report.step(
        &format!("{count} clusters of 3 control planes and 2 workers are Available"),
        || {
            stage.kubectl.apply(manifests(&stage, count, SIZE)?.as_bytes())?;
            phases.begin();
            until(patience, || phases.look(&mut api, stage.name))?;
            all_settled(&stage, count, SIZE)
        },
    );
    println!("{}", phases.table());
    report.step("the program serves all of them", || {
        let registered = stage.registered()?.len();
        ensure!(registered == count as usize, "{registered} are registered");
        Ok(())
    });
    report.step(&format!("{count} clusters deleted leave nothing"), || {
        delete_all(&stage, count)?;
        until(patience, || all_gone(&stage, count))
    });
    report.step("the program serves nothing any more", || stage.empty());
    stage.end(report)
}

/// The names of the clusters.
fn names(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("c{number:03}"))
}

/// What a user applies for all of them.
///
/// # Errors
/// When the template cannot be read.
pub(super) fn manifests(stage: &Stage, count: u32, size: Size) -> Result<String> {
    let all = names(count).map(|name| stage.subject(&name).manifests(size));
    Ok(all.collect::<Result<Vec<_>>>()?.join("\n---\n"))
}

/// Fails until every cluster is as large and as well as it is to be.
///
/// # Errors
/// With the first that is not.
pub(super) fn all_settled(stage: &Stage, count: u32, size: Size) -> Result<()> {
    for name in names(count) {
        let settled = stage.subject(&name).settled(size);
        settled.map_err(|error| error.context(format!("cluster {name}")))?;
    }
    Ok(())
}

/// Deletes them all.
///
/// # Errors
/// When a deletion is refused.
pub(super) fn delete_all(stage: &Stage, count: u32) -> Result<()> {
    names(count).try_for_each(|name| stage.subject(&name).delete())
}

/// Fails while any object of any of them is left.
///
/// # Errors
/// With the first.
pub(super) fn all_gone(stage: &Stage, count: u32) -> Result<()> {
    names(count).try_for_each(|name| stage.subject(&name).gone())
}

/// What a cluster goes through, in order.
const PHASES: [&str; 5] = ["address", "initialized", "Available", "3 control planes", "2 workers"];

/// When each cluster reached each phase.
#[derive(Debug)]
struct Phases {
    began: Instant,
    count: usize,
    /// Seconds by phase and cluster.
    seen: [BTreeMap<String, f64>; PHASES.len()],
}

impl Phases {
    fn new(count: u32) -> Self {
        Self { began: Instant::now(), count: count as usize, seen: Default::default() }
    }

    fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Notes which clusters have come further; fails until all are through.
    fn look(&mut self, api: &mut Api, namespace: &str) -> Result<()> {
        let mut list = |group: &str, kind: &str| {
            api.list(&format!("{group}/namespaces/{namespace}/{kind}?resourceVersion=0"))
        };
        let address = |one: &Value| !text(one, "/spec/controlPlaneEndpoint/host").is_empty();
        let initialized =
            |one: &Value| one["status"]["initialization"]["controlPlaneInitialized"] == true;
        let well = |one: &Value| condition(one, "Available").is_some_and(|(is, _)| is == "True");
        let control_planes =
            |one: &Value| one["status"]["availableReplicas"] == SIZE.control_planes;
        let workers = |one: &Value| one["status"]["availableReplicas"] == SIZE.workers;
        let infrastructure = list(INFRASTRUCTURE, "testclusters")?;
        self.note(0, &infrastructure, address);
        let clusters = list(CORE, "clusters")?;
        self.note(2, &clusters, well);
        let planes = list(CONTROL_PLANE, "kubeadmcontrolplanes")?;
        self.note(1, &planes, initialized);
        self.note(3, &planes, control_planes);
        let deployments = list(CORE, "machinedeployments")?;
        self.note(4, &deployments, workers);
        for (phase, seen) in PHASES.iter().zip(&self.seen) {
            ensure!(seen.len() == self.count, "{} of {} reached: {phase}", seen.len(), self.count);
        }
        Ok(())
    }

    fn note(&mut self, phase: usize, objects: &[Value], reached: impl Fn(&Value) -> bool) {
        let now = self.began.elapsed().as_secs_f64();
        for object in objects.iter().filter(|object| reached(object)) {
            self.seen[phase].entry(text(object, "/metadata/name")).or_insert(now);
        }
    }

    fn table(&self) -> String {
        let head = format!(
            "{:<20} {:>8} {:>8} {:>8} {:>8}",
            "seconds until", "reached", "median", "p95", "last"
        );
        let rows = PHASES.iter().zip(&self.seen).map(|(phase, seen)| {
            let mut times: Vec<f64> = seen.values().copied().collect();
            times.sort_by(f64::total_cmp);
            let at = |share: usize| {
                times.get((times.len() * share / 100).min(times.len().saturating_sub(1)))
            };
            let show = |time: Option<&f64>| {
                time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"))
            };
            format!(
                "{phase:<20} {:>8} {:>8} {:>8} {:>8}",
                times.len(),
                show(at(50)),
                show(at(95)),
                show(times.last())
            )
        });
        let lines: Vec<String> =
            std::iter::once(head).chain(rows).map(|line| format!("     {line}")).collect();
        lines.join("\n")
    }
}
