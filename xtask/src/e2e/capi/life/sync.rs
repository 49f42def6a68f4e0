//! What a Machine's labels, annotations and taints do to its node while both live on.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::SOON;
use crate::e2e::capi::paths::text;
use crate::e2e::capi::subject::Subject;
use crate::e2e::capi::wait::until;

/// A label that core carries to nodes.
const LABEL: &str = "zone.node.cluster.x-k8s.io/name";

/// An annotation that core is told to carry to nodes by a flag.
const ANNOTATION: &str = "sync.example.com/owner";

/// A taint of the test's own.
const TAINT: &str = "example.com/reserved";

/// Gives workers a label, an annotation and a taint by their template, waits until every node has
/// them, and takes them away again. No machine is replaced by that.
///
/// # Errors
/// When a node does not follow, or a machine is replaced.
pub(super) fn followed(subject: &mut Subject) -> Result<()> {
    let before = names(subject)?;
    subject.patch_workers(&json!({"spec": {"template": {
        "metadata": {"labels": {LABEL: "a"}, "annotations": {ANNOTATION: "b"}},
        "spec": {"taints": [
            {"key": TAINT, "value": "c", "effect": "NoSchedule", "propagation": "Always"},
        ]},
    }}}))?;
    until(SOON, || workers_have(subject, true))?;
    subject.patch_workers(&json!({"spec": {"template": {
        "metadata": {"labels": {LABEL: null}, "annotations": {ANNOTATION: null}},
        "spec": {"taints": null},
    }}}))?;
    until(SOON, || workers_have(subject, false))?;
    ensure!(names(subject)? == before, "machines were replaced");
    Ok(())
}

fn names(subject: &mut Subject) -> Result<Vec<String>> {
    let machines = subject.machines(false)?;
    Ok(machines.iter().map(|machine| text(machine, "/metadata/name")).collect())
}

fn workers_have(subject: &mut Subject, wanted: bool) -> Result<()> {
    let selector = format!("!{}", super::CONTROL_PLANE);
    let nodes = subject.inside(&["nodes", "-l", &selector])?;
    ensure!(!nodes.is_empty(), "there are no workers");
    for node in &nodes {
        let name = text(node, "/metadata/name");
        let tainted = node["spec"]["taints"].as_array().is_some_and(|taints| {
            taints
                .iter()
                .any(|taint| *taint == json!({"key": TAINT, "value": "c", "effect": "NoSchedule"}))
        });
        for (has, what) in [
            (node["metadata"]["labels"][LABEL] == "a", "label"),
            (node["metadata"]["annotations"][ANNOTATION] == "b", "annotation"),
            (tainted, "taint"),
        ] {
            ensure!(has == wanted, "{what} of {name}: {has}, not {wanted}: {}", brief(node));
        }
    }
    Ok(())
}

fn brief(node: &Value) -> Value {
    json!({"labels": node["metadata"]["labels"], "taints": node["spec"]["taints"]})
}
