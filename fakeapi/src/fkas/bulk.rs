//! Many registrations or nodes in one request, for callers that start with thousands.
//!
//! The answer is 200 with one entry an item, in the order of the request; an item that failed
//! carries the code and the text it would have had alone.

use serde::Serialize;

use super::error::ControlError;
use crate::addr::ClusterAddr;
use crate::register::ClusterName;

/// What became of one item.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    resource_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Entry {
    /// An item about a cluster; nothing failed yet.
    pub(super) fn cluster(name: &ClusterName) -> Self {
        Self { resource_name: name.to_string(), ..Self::default() }
    }

    /// An item about a node; nothing failed yet.
    pub(super) fn node(name: &ClusterName, node: &str) -> Self {
        Self { node_name: Some(node.to_owned()), ..Self::cluster(name) }
    }

    /// Where the cluster is served.
    pub(super) fn at(self, address: ClusterAddr) -> Self {
        Self { host: Some(address.ip().to_string()), port: Some(address.port()), ..self }
    }

    /// Why the item failed.
    pub(super) fn failed(self, error: &ControlError) -> Self {
        Self { code: Some(error.status().as_u16()), error: Some(error.item_text()), ..self }
    }
}
