//! The whole life of one cluster.

mod addons;
mod drain;
mod remediation;
mod rollout;
mod sync;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::paths::text;
use super::report::Report;
use super::stage::Stage;
use super::subject::{Size, Subject};
use super::wait::until;

/// How long a first control plane may take.
const FIRST: Duration = Duration::from_mins(4);

/// How long one more machine, or one less, may take.
const EACH: Duration = Duration::from_secs(75);

/// How long controllers may take to see a change and carry it to a cluster.
const SOON: Duration = Duration::from_mins(2);

/// The version it begins with.
const OLD: &str = "v1.35.2";
/// The version it is rolled to.
const NEW: &str = "v1.36.3";

/// The label of control-plane nodes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// How many machines a change adds or removes, and how long that may take.
fn patience(machines: u32) -> Duration {
    SOON + EACH * machines
}

/// Runs it from birth to death.
pub(super) fn run(stage: Stage) -> Report {
    let mut report = Report::new(stage.name);
    let mut subject = stage.subject("one");
    grow(&mut report, &stage, &mut subject);
    end(&mut report, &stage, &mut subject);
    stage.end(report)
}

fn grow(report: &mut Report, stage: &Stage, subject: &mut Subject) {
    let mut size = Size { version: OLD, workers_version: OLD, control_planes: 1, workers: 0 };
    report.step("one control plane is Available", || {
        stage.kubectl.apply(subject.manifests(size)?.as_bytes())?;
        until(FIRST, || subject.settled(size))
    });
    report.step("its kubeconfig shows one node of its version", || nodes(subject, size));
    report.step("certificates of its API server have a date to end", || {
        until(SOON, || certificates(subject))
    });
    report.step("a ClusterResourceSet is applied and kept", || addons::kept(stage, subject));
    scale(report, subject, &mut size, 3, 0);
    scale(report, subject, &mut size, 3, 3);
    report.step("labels, annotations and taints follow their Machine", || sync::followed(subject));
    remediation::steps(report, stage, subject, size);
    rollout::steps(report, subject, &mut size);
    scale(report, subject, &mut size, 5, 3);
    report.step("pods are put on every worker", || drain::fill(subject));
    scale(report, subject, &mut size, 5, 1);
    report.step("pods of the workers that went are evicted", || drain::only_one_left(subject));
    scale(report, subject, &mut size, 1, 1);
}

/// Changes how many machines there are, and waits until they are.
fn scale(
    report: &mut Report,
    subject: &mut Subject,
    size: &mut Size,
    control_planes: u32,
    workers: u32,
) {
    let before = *size;
    *size = Size { control_planes, workers, ..before };
    let change = before.control_planes.abs_diff(control_planes) + before.workers.abs_diff(workers);
    let name = format!(
        "from {} control planes and {} workers to {control_planes} and {workers}",
        before.control_planes, before.workers
    );
    let size = *size;
    report.step(&name, || {
        if before.control_planes != control_planes {
            subject.patch_control_plane(&json!({"spec": {"replicas": control_planes}}))?;
        }
        if before.workers != workers {
            subject.patch_workers(&json!({"spec": {"replicas": workers}}))?;
        }
        until(patience(change), || subject.settled(size))?;
        until(SOON, || nodes(subject, size))
    });
}

/// The cluster has exactly the nodes it should have, on its version, and a static pod of etcd for
/// each control plane.
fn nodes(subject: &mut Subject, size: Size) -> Result<()> {
    let nodes = subject.inside(&["nodes"])?;
    let total = size.control_planes + size.workers;
    ensure!(nodes.len() == total as usize, "{} nodes, not {total}", nodes.len());
    for node in &nodes {
        let version = text(node, "/status/nodeInfo/kubeletVersion");
        let control_plane = !node["metadata"]["labels"][CONTROL_PLANE].is_null();
        let wanted = if control_plane { size.version } else { size.workers_version };
        ensure!(version == wanted, "a node of {version}, not {wanted}");
    }
    let members = subject.inside(&["pods", "-n", "kube-system", "-l", "component=etcd"])?;
    let (has, wants) = (members.len(), size.control_planes);
    ensure!(has == wants as usize, "{has} pods of etcd for {wants} control planes");
    Ok(())
}

fn certificates(subject: &mut Subject) -> Result<()> {
    for machine in subject.machines(true)? {
        let date = text(&machine, "/status/certificatesExpiryDate");
        ensure!(!date.is_empty(), "{} has no date", text(&machine, "/metadata/name"));
    }
    Ok(())
}

fn end(report: &mut Report, stage: &Stage, subject: &mut Subject) {
    report.step("deleted, and every object goes", || {
        subject.delete()?;
        until(patience(4), || subject.gone())
    });
    report.step("the program serves nothing any more", || stage.empty());
}
