//! The JSON of the control port, from the caller's side.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::behaviour::Report;
use crate::register::{CaPem, ClusterName, ClusterSummary, NodeSpec, RegisterRequest};

/// Where a registered cluster is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Registered {
    /// `namespace/name`.
    pub resource_name: String,
    /// Its IP.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A page of clusters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// In order of their names.
    pub clusters: Vec<ClusterSummary>,
    /// What to ask the next page with; empty after the last.
    #[serde(rename = "continue")]
    pub next: String,
}

/// What became of one item of an array.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Outcome {
    /// `namespace/name`; empty when the item was not readable.
    pub resource_name: String,
    /// The node, for nodes.
    pub node_name: Option<String>,
    /// The cluster's IP, when one was registered.
    pub host: Option<String>,
    /// The cluster's port, when one was registered.
    pub port: Option<u16>,
    /// The HTTP code it would have had alone, when it failed.
    pub code: Option<u16>,
    /// Why it failed; absent when it did not.
    pub error: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Nodes {
    pub(super) nodes: Vec<NodeSpec>,
}

/// The body that registers a cluster.
pub(super) fn registration(name: &ClusterName, request: &RegisterRequest) -> Value {
    let RegisterRequest { address, ca, etcd_ca, version, labels } = request;
    let mut body = named(name);
    let mut put = |key: &str, text: Option<String>| {
        if let Some(text) = text {
            body.insert(key.to_owned(), text.into());
        }
    };
    let certificate = |ca: &CaPem| STANDARD.encode(&ca.certificate);
    let key = |ca: &CaPem| STANDARD.encode(&ca.key);
    put("caCert", ca.as_ref().map(certificate));
    put("caKey", ca.as_ref().map(key));
    put("etcdCert", etcd_ca.as_ref().map(certificate));
    put("etcdKey", etcd_ca.as_ref().map(key));
    put("address", address.map(|address| address.to_string()));
    put("version", version.clone());
    if let Some(labels) = labels {
        body.insert("labels".to_owned(), encode(labels));
    }
    body.into()
}

/// Who leads etcd.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Leader {
    pub(super) node_name: String,
}

/// Rules of behaviour.
#[derive(Deserialize)]
pub(super) struct Reports {
    pub(super) behaviours: Vec<Report>,
}

/// The body that adds or changes a node.
pub(super) fn node(name: &ClusterName, node: &NodeSpec) -> Value {
    let NodeSpec { name: node, provider_id, uuid, labels, version } = node;
    let mut body = named(name);
    body.insert("nodeName".to_owned(), node.clone().into());
    body.insert("providerID".to_owned(), provider_id.clone().into());
    body.insert("uuid".to_owned(), uuid.clone().into());
    body.insert("labels".to_owned(), encode(labels));
    body.insert("k8sversion".to_owned(), version.clone().into());
    body.into()
}

/// `value` as JSON.
pub(super) fn encode(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("maps of texts and plain enums always encode")
}

fn named(name: &ClusterName) -> Map<String, Value> {
    Map::from_iter([
        ("cluster".to_owned(), name.name.clone().into()),
        ("namespace".to_owned(), name.namespace.clone().into()),
    ])
}
