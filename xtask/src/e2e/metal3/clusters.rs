//! Clusters: made in one of the two ways, scaled, deleted, and looked at.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::checks::Missing;
use super::plan::{Plan, Way};
use super::template::manifest;
use crate::e2e::http::Connection;
use crate::e2e::management::{Api, Kubectl};

/// The Kubernetes version of all clusters.
pub(super) const VERSION: &str = "v1.35.6";

const GROUP: &str = "/apis/cluster.x-k8s.io/v1beta2";
const CONTROL_PLANES: &str = "/apis/controlplane.cluster.x-k8s.io/v1beta2";

/// What `POST /register` answers.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Registered {
    host: String,
    port: u16,
}

/// Creates the cluster of a plan; `control` is where clusters are registered.
///
/// # Errors
/// When something of it is refused.
pub(super) fn create(kubectl: &Kubectl, control: SocketAddr, plan: &Plan) -> Result<()> {
    let workers = plan.workers.to_string();
    let values = [
        ("NAMESPACE", plan.name.as_str()),
        ("CLUSTER", &plan.name),
        ("VERSION", VERSION),
        ("WORKERS", &workers),
    ];
    kubectl.apply(manifest("addresses", &values)?.as_bytes())?;
    match plan.way {
        Way::Reconciler => kubectl.apply(manifest("cluster", &values)?.as_bytes()),
        Way::Register => {
            let Registered { host, port } = register(control, &plan.name)?;
            kubectl.apply(manifest("clusterclass", &values)?.as_bytes())?;
            let cluster = manifest("cluster-of-class", &values)?
                .replace("CLUSTER_APIENDPOINT_HOST_HOLDER", &host)
                .replace("CLUSTER_APIENDPOINT_PORT_HOLDER", &port.to_string());
            kubectl.apply(cluster.as_bytes())
        }
    }
}

/// Registers a cluster as users of FKAS do.
fn register(control: SocketAddr, name: &str) -> Result<Registered> {
    let body = json!({"cluster": name, "namespace": name}).to_string();
    let answer = Connection::open(control)?.request("POST", "/register", &body)?;
    serde_json::from_str(&answer).with_context(|| format!("/register is answered with {answer}"))
}

/// Takes a cluster away from fakeapi, as whoever registered it does.
///
/// # Errors
/// When there is none.
pub(super) fn unregister(control: SocketAddr, name: &str) -> Result<()> {
    let body = json!({"cluster": name, "namespace": name}).to_string();
    Connection::open(control)?.request("DELETE", "/register", &body).map(drop)
}

/// Which of these clusters are not Available, and why.
///
/// # Errors
/// When they cannot be listed.
pub(super) fn unavailable(api: &mut Api, plans: &[Plan]) -> Result<Missing> {
    let clusters = api.list(&format!("{GROUP}/clusters"))?;
    Ok(plans
        .iter()
        .filter_map(|plan| {
            let Some(cluster) = clusters.iter().find(|c| c["metadata"]["name"] == plan.name) else {
                return Some(format!("{} is not there", plan.name));
            };
            not_true(cluster, "Available").map(|why| format!("{}: {why}", plan.name))
        })
        .collect())
}

/// Why a condition is not true; nothing when it is and was made for what is asked now.
fn not_true(object: &Value, kind: &str) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array();
    let condition = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    let Some(condition) = condition else { return Some(format!("no condition {kind}")) };
    if condition["status"] == "True" {
        return None;
    }
    let message = condition["message"].as_str().unwrap_or_default().replace('\n', " ");
    Some(format!("{kind} is {}: {message}", condition["status"]))
}

/// What is to be scaled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scaled {
    /// The control plane.
    ControlPlane,
    /// The `MachineDeployment`.
    Workers,
}

/// Scales a cluster as its user would: by its topology where it has one.
///
/// # Errors
/// When the change is refused.
pub(super) fn scale(api: &mut Api, plan: &Plan, what: Scaled, replicas: usize) -> Result<()> {
    let name = &plan.name;
    let (object, change) = match (plan.way, what) {
        (Way::Reconciler, Scaled::ControlPlane) => (
            format!("{CONTROL_PLANES}/namespaces/{name}/kubeadmcontrolplanes/{name}"),
            json!({"spec": {"replicas": replicas}}),
        ),
        (Way::Reconciler, Scaled::Workers) => (
            format!("{GROUP}/namespaces/{name}/machinedeployments/{name}-workers"),
            json!({"spec": {"replicas": replicas}}),
        ),
        (Way::Register, Scaled::ControlPlane) => (
            format!("{GROUP}/namespaces/{name}/clusters/{name}"),
            json!({"spec": {"topology": {"controlPlane": {"replicas": replicas}}}}),
        ),
        (Way::Register, Scaled::Workers) => (
            format!("{GROUP}/namespaces/{name}/clusters/{name}"),
            json!({"spec": {"topology": {"workers": {"machineDeployments": [
                {"class": "worker", "name": "workers", "replicas": replicas}
            ]}}}}),
        ),
    };
    api.patch(&object, &change).map(drop)
}

/// What is missing until a cluster has so many control planes and workers, all of them available
/// and up to date, and no machine more.
///
/// # Errors
/// When its objects cannot be listed.
pub(super) fn unscaled(
    api: &mut Api,
    plan: &Plan,
    control_planes: usize,
    workers: usize,
) -> Result<Missing> {
    let name = &plan.name;
    let mut missing = Missing::new();
    let planes = api.list(&format!("{CONTROL_PLANES}/namespaces/{name}/kubeadmcontrolplanes"))?;
    let deployments = api.list(&format!("{GROUP}/namespaces/{name}/machinedeployments"))?;
    for (objects, wanted, word) in
        [(planes, control_planes, "control planes"), (deployments, workers, "workers")]
    {
        for figure in ["replicas", "readyReplicas", "availableReplicas", "upToDateReplicas"] {
            let count: u64 = objects.iter().filter_map(|o| o["status"][figure].as_u64()).sum();
            if count != wanted as u64 {
                missing.push(format!("{name}: {figure} of its {word} is {count}, not {wanted}"));
            }
        }
    }
    let machines = api.list(&format!("{GROUP}/namespaces/{name}/machines"))?;
    if machines.len() != control_planes + workers {
        missing.push(format!("{name} has {} machines", machines.len()));
    }
    for machine in &machines {
        if let Some(why) = not_true(machine, "Available") {
            missing.push(format!("{name}: machine {}: {why}", machine["metadata"]["name"]));
        }
    }
    Ok(missing)
}

/// Deletes a cluster; its user waits for it to be gone.
///
/// # Errors
/// When that is refused.
pub(super) fn delete(api: &mut Api, plan: &Plan) -> Result<()> {
    api.delete(&format!("{GROUP}/namespaces/{0}/clusters/{0}", plan.name)).map(drop)
}

/// What of the clusters is still in the management cluster.
///
/// Each kind that Cluster API or metal3 made for them is asked for; what the test itself made
/// without an owner goes with its namespace.
///
/// # Errors
/// When a kind cannot be listed.
pub(super) fn left_over(api: &mut Api) -> Result<Missing> {
    const METAL3: &str = "/apis/infrastructure.cluster.x-k8s.io/v1beta2";
    let paths = [
        format!("{GROUP}/clusters"),
        format!("{GROUP}/machines"),
        format!("{GROUP}/machinesets"),
        format!("{GROUP}/machinedeployments"),
        format!("{CONTROL_PLANES}/kubeadmcontrolplanes"),
        "/apis/bootstrap.cluster.x-k8s.io/v1beta2/kubeadmconfigs".to_owned(),
        format!("{METAL3}/metal3clusters"),
        format!("{METAL3}/metal3machines"),
        format!("{METAL3}/metal3datas"),
        format!("{METAL3}/metal3dataclaims"),
        "/apis/ipam.metal3.io/v1alpha1/ipclaims".to_owned(),
        "/apis/ipam.metal3.io/v1alpha1/ipaddresses".to_owned(),
        "/api/v1/secrets?labelSelector=cluster.x-k8s.io/cluster-name".to_owned(),
    ];
    let mut missing = Missing::new();
    for path in paths {
        for object in api.list(&path)? {
            let metadata = &object["metadata"];
            let path = path.rsplit('/').next().unwrap_or(&path);
            missing.push(format!("{path} {}/{}", metadata["namespace"], metadata["name"]));
        }
    }
    Ok(missing)
}
