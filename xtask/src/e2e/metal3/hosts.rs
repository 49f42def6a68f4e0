//! BareMetalHosts: made as a user would, and looked at.

use anyhow::Result;
use serde_json::Value;

use super::checks::Missing;
use super::plan::Plan;
use super::template::manifest;
use crate::e2e::management::{Api, Kubectl};

/// All of them, in all namespaces.
const ALL: &str = "/apis/metal3.io/v1alpha1/baremetalhosts";

/// Applies the namespace of a cluster and the hosts in it.
///
/// # Errors
/// When one is refused.
pub(super) fn create(kubectl: &Kubectl, plan: &Plan) -> Result<()> {
    let name = &plan.name;
    let mut text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    for number in 0..plan.hosts {
        let values = [
            ("NAMESPACE", name.as_str()),
            ("HOST", &format!("{name}-host-{number}")),
            ("MAC", &plan.mac(number)),
        ];
        text.push_str("---\n");
        text.push_str(&manifest("host", &values)?);
    }
    kubectl.apply(text.as_bytes())
}

/// The hosts of a namespace.
///
/// # Errors
/// When they cannot be listed.
pub(super) fn of(api: &mut Api, namespace: &str) -> Result<Vec<Value>> {
    api.list(&format!("/apis/metal3.io/v1alpha1/namespaces/{namespace}/baremetalhosts"))
}

/// Which hosts are not available, and how many are missing until there are `wanted`.
///
/// # Errors
/// When they cannot be listed.
pub(super) fn unavailable(api: &mut Api, wanted: usize) -> Result<Missing> {
    let hosts = api.list(ALL)?;
    let mut missing: Missing = hosts
        .iter()
        .filter(|host| state(host) != "available" || !host["spec"]["consumerRef"].is_null())
        .map(|host| {
            let name = &host["metadata"]["name"];
            let error = host["status"]["errorMessage"].as_str().unwrap_or_default();
            format!("{name} is {:?}, used by {} {error}", state(host), host["spec"]["consumerRef"])
        })
        .collect();
    if hosts.len() != wanted {
        missing.push(format!("there are {} hosts of {wanted}", hosts.len()));
    }
    Ok(missing)
}

/// How far a host is.
pub(super) fn state(host: &Value) -> &str {
    host["status"]["provisioning"]["state"].as_str().unwrap_or_default()
}
