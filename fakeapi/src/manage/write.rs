//! Writes a cluster's address into the management cluster.
//!
//! Nothing that is there already is overwritten: only empty fields and placeholders. What was read
//! before a change must still be there when it is made (`metadata.resourceVersion`).

use std::collections::HashMap;
use std::net::SocketAddr;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::discovery::oneshot;
use kube::error::DiscoveryError;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::error::WorkError;
use super::marks;
use super::seen::{Endpoint, Infrastructure, ObjectName, SeenCluster};

/// The management cluster's objects that addresses are written into.
pub(super) struct Writer {
    client: Client,
    /// Where kinds are served, by group and kind: asked once, and again when an object is missing.
    resources: Mutex<HashMap<(String, String), ApiResource>>,
}

impl Writer {
    pub(super) fn new(client: Client) -> Self {
        Self { client, resources: Mutex::default() }
    }

    /// What the infrastructure cluster says about the address; `Empty` as well when it is not
    /// there yet.
    pub(super) async fn infrastructure_says(
        &self,
        infrastructure: Option<&Infrastructure>,
    ) -> Result<Endpoint, WorkError> {
        let Some(at) = infrastructure else { return Ok(Endpoint::Empty) };
        let there = self.get(&at.group, &at.kind, &at.name).await?;
        Ok(there.map_or(Endpoint::Empty, |(_, object)| endpoint_of(&object)))
    }

    /// Writes the address wherever the Cluster wants it and it is not; true when everything is
    /// written, false when something is not there yet to write it into.
    pub(super) async fn write(
        &self,
        name: &ObjectName,
        cluster: &SeenCluster,
        address: SocketAddr,
    ) -> Result<bool, WorkError> {
        let destinations = cluster
            .destinations
            .clone()
            .map_err(|word| WorkError::Annotation { annotation: marks::WRITE_ENDPOINT, word })?;
        if let Endpoint::At(other) = cluster.endpoint
            && other != address
        {
            warn!(cluster = %name, %address, %other, "the Cluster has another address");
        }
        let mut all = true;
        if destinations.config_map {
            self.config_map(name, cluster, address).await?;
        }
        if destinations.topology && cluster.variable.is_none_or(Endpoint::is_open) {
            self.topology(name, address).await?;
        }
        // Once the Cluster has it, it came from there.
        if destinations.infrastructure && cluster.endpoint != Endpoint::At(address) {
            all &= self.infrastructure(name, cluster, address).await?;
        }
        self.cluster(name, cluster, address, all).await?;
        Ok(all)
    }

    /// What is written into the Cluster itself.
    async fn cluster(
        &self,
        name: &ObjectName,
        cluster: &SeenCluster,
        address: SocketAddr,
        unpause: bool,
    ) -> Result<(), WorkError> {
        let mut annotations = serde_json::Map::new();
        let mut spec = serde_json::Map::new();
        let wants = cluster.destinations.as_ref().is_ok_and(|wanted| wanted.annotation);
        if wants && cluster.annotated.as_deref() != Some(&*address.to_string()) {
            annotations.insert(marks::ENDPOINT.into(), address.to_string().into());
        }
        if cluster.endpoint == Endpoint::Placeholder {
            // Cluster API copies an address once: this one it copied, or the user wrote.
            spec.insert("controlPlaneEndpoint".into(), endpoint(address));
        }
        if unpause && cluster.unpause {
            annotations.insert(marks::UNPAUSE.into(), Value::Null);
            spec.insert("paused".into(), false.into());
        }
        if annotations.is_empty() && spec.is_empty() {
            return Ok(());
        }
        let mut patch = json!({ "metadata": { "uid": cluster.uid } });
        if !annotations.is_empty() {
            patch["metadata"]["annotations"] = annotations.into();
        }
        if !spec.is_empty() {
            patch["spec"] = spec.into();
        }
        let resource = self.resource(marks::CAPI_GROUP, "Cluster").await?;
        self.merge(&resource, name, &patch).await?;
        info!(cluster = %name, %address, "wrote the address into the Cluster");
        Ok(())
    }

    async fn infrastructure(
        &self,
        name: &ObjectName,
        cluster: &SeenCluster,
        address: SocketAddr,
    ) -> Result<bool, WorkError> {
        let Some(at) = &cluster.infrastructure else { return Ok(false) };
        let Some((resource, object)) = self.get(&at.group, &at.kind, &at.name).await? else {
            return Ok(false);
        };
        let there = endpoint_of(&object);
        if there == Endpoint::At(address) {
            return Ok(true);
        }
        let kind = &at.kind;
        if !there.is_open() {
            warn!(cluster = %name, %kind, %address, "the infrastructure has another address");
            return Ok(true);
        }
        let patch = json!({
            "metadata": { "resourceVersion": object.metadata.resource_version },
            "spec": { "controlPlaneEndpoint": endpoint(address) },
        });
        self.merge(&resource, &at.name, &patch).await?;
        info!(cluster = %name, %kind, %address, "wrote the address into the infrastructure");
        Ok(true)
    }

    async fn topology(&self, name: &ObjectName, address: SocketAddr) -> Result<(), WorkError> {
        let Some((resource, object)) = self.get(marks::CAPI_GROUP, "Cluster", name).await? else {
            return Ok(());
        };
        let Some(variables) = with_variable(&object.data["spec"]["topology"], address) else {
            return Ok(());
        };
        let patch = json!({
            "metadata": { "resourceVersion": object.metadata.resource_version },
            "spec": { "topology": { "variables": variables } },
        });
        self.merge(&resource, name, &patch).await?;
        info!(cluster = %name, %address, "wrote the address into the topology");
        Ok(())
    }

    async fn config_map(
        &self,
        name: &ObjectName,
        cluster: &SeenCluster,
        address: SocketAddr,
    ) -> Result<(), WorkError> {
        let map = format!("{}-endpoint", name.name);
        let version = self.resource(marks::CAPI_GROUP, "Cluster").await?.api_version;
        let wanted = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": map,
                "labels": { marks::CLUSTER_NAME_LABEL: &*name.name },
                // It goes with the Cluster.
                "ownerReferences": [{
                    "apiVersion": version, "kind": "Cluster",
                    "name": &*name.name, "uid": cluster.uid,
                }],
            },
            "data": {
                "host": address.ip().to_string(),
                "port": address.port().to_string(),
                "endpoint": address.to_string(),
            },
        });
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &name.namespace);
        let params = PatchParams::apply(marks::FIELD_MANAGER).force();
        let applied = api.patch(&map, &params, &Patch::Apply(&wanted)).await;
        applied.map_err(|source| refused(format!("ConfigMap {map}"), source))?;
        Ok(())
    }

    /// An object and where its kind is served; `None` when either is not there.
    async fn get(
        &self,
        group: &str,
        kind: &str,
        name: &ObjectName,
    ) -> Result<Option<(ApiResource, DynamicObject)>, WorkError> {
        let resource = match self.resource(group, kind).await {
            Ok(resource) => resource,
            Err(WorkError::Management { source, .. }) if is_missing(&source) => return Ok(None),
            Err(error) => return Err(error),
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &name.namespace, &resource);
        let found = api.get_opt(&name.name).await;
        let found = found.map_err(|source| refused(format!("{kind} {}", name.name), source))?;
        if found.is_none() {
            // The version may be served no more, as well.
            self.resources.lock().remove(&(group.to_owned(), kind.to_owned()));
        }
        Ok(found.map(|object| (resource, object)))
    }

    async fn merge(
        &self,
        resource: &ApiResource,
        name: &ObjectName,
        patch: &Value,
    ) -> Result<(), WorkError> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &name.namespace, resource);
        let params = PatchParams {
            field_manager: Some(marks::FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let patched = api.patch(&name.name, &params, &Patch::Merge(patch)).await;
        patched.map_err(|source| refused(format!("{} {}", resource.kind, name.name), source))?;
        Ok(())
    }

    async fn resource(&self, group: &str, kind: &str) -> Result<ApiResource, WorkError> {
        let key = (group.to_owned(), kind.to_owned());
        if let Some(known) = self.resources.lock().get(&key) {
            return Ok(known.clone());
        }
        let asked = oneshot::group(&self.client, group).await;
        let found = asked.map_err(|source| refused(format!("API group {group}"), source))?;
        let missing = || kube::Error::Discovery(DiscoveryError::MissingKind(kind.to_owned()));
        let (resource, _) = found
            .recommended_kind(kind)
            .ok_or_else(|| refused(format!("kind {kind} of {group}"), missing()))?;
        self.resources.lock().insert(key, resource.clone());
        Ok(resource)
    }
}

fn refused(what: String, source: kube::Error) -> WorkError {
    WorkError::Management { what, source }
}

/// Whether a kind is not served.
fn is_missing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 404,
        kube::Error::Discovery(_) => true,
        _ => false,
    }
}

fn endpoint(address: SocketAddr) -> Value {
    json!({ "host": address.ip().to_string(), "port": address.port() })
}

fn endpoint_of(object: &DynamicObject) -> Endpoint {
    Endpoint::of_value(&object.data["spec"]["controlPlaneEndpoint"])
}

/// The variables of a topology with the address among them; `None` when nothing is to be changed.
/// A list is replaced as a whole by a merge patch, so all of them are here.
fn with_variable(topology: &Value, address: SocketAddr) -> Option<Value> {
    let topology = topology.as_object()?;
    let mut variables = match topology.get("variables") {
        Some(Value::Array(variables)) => variables.clone(),
        _ => Vec::new(),
    };
    let ours = variables.iter_mut().find(|variable| variable["name"] == marks::ENDPOINT_VARIABLE);
    match ours {
        Some(variable) if Endpoint::of_value(&variable["value"]).is_open() => {
            let value = &mut variable["value"];
            if !value.is_object() {
                *value = json!({});
            }
            value["host"] = address.ip().to_string().into();
            value["port"] = address.port().into();
        }
        Some(_) => return None,
        None => {
            let name = marks::ENDPOINT_VARIABLE;
            variables.push(json!({ "name": name, "value": endpoint(address) }));
        }
    }
    Some(variables.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_filled_in_or_added_and_others_stay() {
        let address: SocketAddr = "10.1.2.3:6443".parse().unwrap();
        let full = json!({"host": "10.1.2.3", "port": 6443});
        let other = json!({"name": "image", "value": {"url": "x"}});
        for (topology, wanted) in [
            (json!(null), None),
            (json!({"class": "c"}), Some(json!([{"name": "controlPlaneEndpoint", "value": full}]))),
            (
                json!({"variables": [other, {"name": "controlPlaneEndpoint",
                    "value": {"host": "0.0.0.0", "port": 6443, "more": 1}}]}),
                Some(json!([other, {"name": "controlPlaneEndpoint",
                    "value": {"host": "10.1.2.3", "port": 6443, "more": 1}}])),
            ),
            (
                json!({"variables": [{"name": "controlPlaneEndpoint", "value": ""}]}),
                Some(json!([{"name": "controlPlaneEndpoint", "value": full}])),
            ),
            (
                json!({"variables": [{"name": "controlPlaneEndpoint",
                    "value": {"host": "10.9.9.9", "port": 1}}]}),
                None,
            ),
        ] {
            assert_eq!(with_variable(&topology, address), wanted, "{topology}");
        }
    }
}
