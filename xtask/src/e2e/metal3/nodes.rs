//! The nodes of a workload cluster beside the hosts they are said to run on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::checks::Missing;
use super::hosts;
use crate::e2e::management::{Api, Kubectl};

/// The label by which CAPM3 finds the node of a host.
const UUID: &str = "metal3.io/uuid";

/// What is wrong with a cluster's nodes: each provisioned host has one node, which carries the
/// host's uid and the provider ID of its Metal3Machine, and there are no others.
///
/// # Errors
/// When the cluster's kubeconfig cannot be had, or its API server does not answer.
pub(super) fn wrong(api: &mut Api, name: &str, folder: &Path) -> Result<Missing> {
    let mut expected = BTreeMap::new();
    for host in hosts::of(api, name)? {
        if hosts::state(&host) == "provisioned" {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let metadata = &host["metadata"];
            let consumer = word(&host["spec"]["consumerRef"]["name"]);
            let provider_id = format!("metal3://{name}/{}/{consumer}", word(&metadata["name"]));
            expected.insert(word(&metadata["uid"]), provider_id);
        }
    }
    let mut missing = Missing::new();
    for node in list(api, name, folder)? {
        let named = &node["metadata"]["name"];
        let uuid = node["metadata"]["labels"][UUID].as_str().unwrap_or_default();
        let provider_id = &node["spec"]["providerID"];
        match expected.remove(uuid) {
            None => missing.push(format!("{name}: node {named} says {UUID}={uuid:?}: no host")),
            Some(wanted) if *provider_id != wanted => {
                missing.push(format!("{name}: node {named} is {provider_id}, not {wanted}"));
            }
            Some(_) => {}
        }
    }
    missing.extend(expected.values().map(|host| format!("{name}: no node for {host}")));
    Ok(missing)
}

/// The nodes, asked for by kubectl with the kubeconfig that KCP has written for users.
fn list(api: &mut Api, name: &str, folder: &Path) -> Result<Vec<Value>> {
    let secret = api.get(&format!("/api/v1/namespaces/{name}/secrets/{name}-kubeconfig"))?;
    let encoded = secret["data"]["value"].as_str().context("the Secret has no kubeconfig")?;
    let kubeconfig = folder.join(format!("{name}.kubeconfig"));
    fs::write(&kubeconfig, STANDARD.decode(encoded)?)?;
    let kubectl = Kubectl::new(&kubeconfig, &folder.join("workload"));
    let mut list: Value = serde_json::from_str(&kubectl.run(&["get", "nodes", "-o", "json"])?)?;
    match list["items"].take() {
        Value::Array(nodes) => Ok(nodes),
        other => anyhow::bail!("kubectl get nodes of {name} has {other} for items"),
    }
}
