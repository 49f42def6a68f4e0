//! Documents of the Kubernetes release the crate impersonates, made by `cargo xtask gen`.
//!
//! They are embedded, so that a program built with this crate needs no files beside it. NOTICE
//! names their sources.

/// The release, such as `v1.36.3`, with a line end.
pub(crate) const RELEASE: &str = include_str!("RELEASE");

/// The type table as compressed text; [`crate::types`] documents and reads it.
pub(crate) static TYPES: &[u8] = include_bytes!("types.txt.gz");

/// The OpenAPI v2 document, compressed JSON.
pub(crate) static OPENAPI_V2_JSON: &[u8] = include_bytes!("openapi/v2.json.gz");

/// The OpenAPI v2 document, compressed protobuf (gnostic's `openapi.v2.Document`).
pub(crate) static OPENAPI_V2_PROTO: &[u8] = include_bytes!("openapi/v2.pb.gz");

// The list of OpenAPI v3 documents: path, digest, compressed JSON.
include!("openapi_v3.rs");

/// The Kubernetes release the documents are of, such as `v1.36.3`.
pub fn release() -> &'static str {
    RELEASE.trim_end()
}

/// What a real server answers to discovery, as one JSON object:
///
/// - `groups`: the items of `APIGroupList` in the real server's order;
/// - `resources`: the `APIResourceList` of each group version, by `v1` or `group/version`;
/// - `aggregatedCore`, `aggregatedGroups`: the items of `APIGroupDiscoveryList` (v2) for `/api`
///   and `/apis`.
///
/// Only what is served by default is in it.
pub fn discovery() -> &'static [u8] {
    include_bytes!("discovery.json")
}

/// The roles and bindings a fresh cluster holds, as a JSON `List` whose items carry their `kind`.
pub fn rbac() -> &'static [u8] {
    include_bytes!("rbac.json")
}
