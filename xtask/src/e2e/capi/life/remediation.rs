//! Machines that a health check replaces: a worker whose kubelet is silent, a control plane whose
//! member of etcd is lost.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::patience;
use crate::e2e::capi::paths::{CORE, text};
use crate::e2e::capi::report::Report;
use crate::e2e::capi::stage::Stage;
use crate::e2e::capi::subject::{Size, Subject};
use crate::e2e::capi::wait::until;

/// How long a node may be unwell before it is replaced, in seconds.
const TIMEOUT: u32 = 5;

/// Makes machines unwell, one kind after the other, and waits for others in their place.
pub(super) fn steps(report: &mut Report, stage: &Stage, subject: &mut Subject, size: Size) {
    report.step("health checks watch all machines", || {
        ["control-plane", "deployment-name"].iter().try_for_each(|label| {
            let path = format!("{CORE}/namespaces/{}/machinehealthchecks", subject.namespace);
            subject.api.create(&path, &check(&subject.name, label)).map(drop)
        })
    });
    report.step("a worker that falls silent is replaced", || {
        let lost = first(subject, false)?;
        stage.set_health("/nodeHealth", &subject.name, &lost, "unreachable")?;
        replaced(subject, &lost, size)
    });
    report.step("a control plane whose kubelet is not ready is replaced", || {
        let lost = first(subject, true)?;
        stage.set_health("/nodeHealth", &subject.name, &lost, "notReady")?;
        replaced(subject, &lost, size)
    });
    report.step("a control plane whose member of etcd is lost is replaced", || {
        let lost = first(subject, true)?;
        stage.set_health("/memberHealth", &subject.name, &lost, "lost")?;
        replaced(subject, &lost, size)
    });
}

/// A check of the machines with this label of Cluster API.
fn check(cluster: &str, label: &str) -> Value {
    let unwell =
        |status: &str| json!({"type": "Ready", "status": status, "timeoutSeconds": TIMEOUT});
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachineHealthCheck",
        "metadata": {"name": format!("{cluster}-{label}")},
        "spec": {
            "clusterName": cluster,
            "selector": {"matchExpressions": [
                {"key": format!("cluster.x-k8s.io/{label}"), "operator": "Exists"},
            ]},
            "checks": {
                "unhealthyNodeConditions": [unwell("Unknown"), unwell("False")],
                // A lost member is still listed by the others; it is its pod that fails.
                "unhealthyMachineConditions": [
                    {"type": "EtcdPodHealthy", "status": "False", "timeoutSeconds": TIMEOUT},
                ],
            },
        },
    })
}

fn first(subject: &mut Subject, control_plane: bool) -> Result<String> {
    let machines = subject.machines(control_plane)?;
    let names = machines.iter().map(|machine| text(machine, "/metadata/name"));
    names.min().context("there is none")
}

/// Waits until the machine is gone and another is there, and all is well.
fn replaced(subject: &mut Subject, lost: &str, size: Size) -> Result<()> {
    until(patience(2), || {
        let path = subject.path(CORE, "machines", lost);
        let left = subject.api.find(&path)?;
        ensure!(left.is_none(), "{lost} is still there");
        subject.settled(size)
    })
}
