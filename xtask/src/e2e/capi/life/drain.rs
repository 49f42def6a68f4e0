//! What happens to pods on a worker that goes.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::SOON;
use crate::e2e::capi::paths::text;
use crate::e2e::capi::subject::Subject;
use crate::e2e::capi::wait::until;

/// The namespace of the pods.
const NAMESPACE: &str = "work";

/// How many pods a node gets.
const PODS: usize = 3;

/// Puts pods on every worker; a budget allows one of them to be missing at a time.
///
/// # Errors
/// When they are refused.
pub(super) fn fill(subject: &mut Subject) -> Result<()> {
    let selector = format!("!{}", super::CONTROL_PLANE);
    let nodes = subject.inside(&["nodes", "-l", &selector])?;
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "work", "namespace": NAMESPACE},
            "spec": {"maxUnavailable": "50%", "selector": {"matchLabels": {"app": "work"}}}}),
    ];
    for node in &nodes {
        let node = text(node, "/metadata/name");
        objects.extend((0..PODS).map(|number| pod(&node, number)));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    subject.kubectl()?.create(&serde_json::to_vec(&list)?)?;
    until(SOON, || {
        let pods = pods(subject)?;
        let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        ensure!(running == nodes.len() * PODS, "{running} pods run");
        Ok(())
    })
}

/// Only the pods of one node are left, and the nodes that went were drained before.
///
/// # Errors
/// When it is otherwise.
pub(super) fn only_one_left(subject: &mut Subject) -> Result<()> {
    let selector = format!("!{}", super::CONTROL_PLANE);
    let nodes = subject.inside(&["nodes", "-l", &selector])?;
    let left = pods(subject)?;
    ensure!(nodes.len() == 1 && left.len() == PODS, "{} nodes, {} pods", nodes.len(), left.len());
    let name = text(&nodes[0], "/metadata/name");
    let elsewhere = left.iter().filter(|pod| text(pod, "/spec/nodeName") != name).count();
    ensure!(elsewhere == 0, "{elsewhere} pods are on nodes that went");
    Ok(())
}

fn pods(subject: &mut Subject) -> Result<Vec<Value>> {
    subject.inside(&["pods", "-n", NAMESPACE, "-l", "app=work"])
}

fn pod(node: &str, number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{node}-{number}"),
            "namespace": NAMESPACE,
            "labels": {"app": "work"},
        },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "work", "image": "registry.k8s.io/pause:3.10"}],
        },
    })
}
