//! The objects of the management cluster, down to the fields that count.
//!
//! Each struct reads all served versions of its kind: where v1beta1 and v1beta2 differ, both
//! fields are there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::Deserialize;
use serde_json::Value;

/// An object with the fields of its spec and status that count.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(bound = "S: Deserialize<'de> + Default, T: Deserialize<'de> + Default")]
pub(super) struct Watched<S, T> {
    /// Its metadata.
    #[serde(default)]
    pub(super) metadata: ObjectMeta,
    /// Its spec.
    #[serde(default)]
    pub(super) spec: S,
    /// Its status.
    #[serde(default)]
    pub(super) status: T,
}

impl<S, T> Resource for Watched<S, T> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// `cluster.x-k8s.io` Cluster.
pub(super) type Cluster = Watched<ClusterSpec, Nothing>;

/// `cluster.x-k8s.io` Machine.
pub(super) type Machine = Watched<MachineSpec, MachineStatus>;

/// `infrastructure.cluster.x-k8s.io` Metal3Machine.
pub(super) type Metal3Machine = Watched<Metal3MachineSpec, Nothing>;

/// `metal3.io` BareMetalHost.
pub(super) type BareMetalHost = Watched<HostSpec, HostStatus>;

/// A part of which nothing counts.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Nothing {}

/// A Cluster's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClusterSpec {
    /// Whether controllers leave it alone.
    pub(super) paused: Option<bool>,
    /// Where its API server is.
    pub(super) control_plane_endpoint: EndpointField,
    /// Its infrastructure cluster.
    pub(super) infrastructure_ref: Option<Reference>,
    /// How it is made by a `ClusterClass`.
    pub(super) topology: Option<Topology>,
}

/// An address as Cluster API writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct EndpointField {
    /// An IP or a name.
    pub(super) host: String,
    /// A port.
    pub(super) port: i64,
}

/// A reference to an object: v1beta2 names a group, v1beta1 a group and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Reference {
    /// The kind.
    pub(super) kind: String,
    /// The name.
    pub(super) name: String,
    /// v1beta2: the group.
    pub(super) api_group: String,
    /// v1beta1: the group and version.
    pub(super) api_version: String,
    /// The namespace, where it is not that of the referring object.
    pub(super) namespace: Option<String>,
}

impl Reference {
    /// The group, whichever way it is written.
    pub(super) fn group(&self) -> &str {
        if self.api_group.is_empty() {
            self.api_version.split_once('/').map_or("", |(group, _)| group)
        } else {
            &self.api_group
        }
    }
}

/// A Cluster's topology.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Topology {
    /// The Kubernetes version.
    pub(super) version: Option<String>,
    /// The variables of its `ClusterClass`.
    pub(super) variables: Vec<Variable>,
}

/// A variable of a topology.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Variable {
    /// Its name.
    pub(super) name: String,
    /// Its value.
    pub(super) value: Value,
}

/// A Machine's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MachineSpec {
    /// The Cluster it belongs to, in its namespace.
    pub(super) cluster_name: String,
    /// The Kubernetes version.
    pub(super) version: Option<String>,
    /// What the node will be found by.
    #[serde(rename = "providerID")]
    pub(super) provider_id: Option<String>,
    /// Its infrastructure machine.
    pub(super) infrastructure_ref: Reference,
}

/// A Machine's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MachineStatus {
    /// v1beta2: what was done once.
    pub(super) initialization: Option<Initialization>,
    /// v1beta1: whether the infrastructure machine is ready.
    pub(super) infrastructure_ready: Option<bool>,
}

/// What was done once for a Machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Initialization {
    /// Whether the infrastructure machine was provisioned.
    pub(super) infrastructure_provisioned: Option<bool>,
}

/// A Metal3Machine's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metal3MachineSpec {
    /// What the node will be found by.
    #[serde(rename = "providerID")]
    pub(super) provider_id: Option<String>,
}

/// A BareMetalHost's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HostSpec {
    /// Who uses it.
    pub(super) consumer_ref: Option<Reference>,
}

/// A BareMetalHost's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HostStatus {
    /// How far it is.
    pub(super) provisioning: Provisioning,
}

/// How far a host is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Provisioning {
    /// `provisioned` when it runs what its user wants.
    pub(super) state: String,
}

/// Labels of an object.
pub(super) type Labels = BTreeMap<String, String>;
