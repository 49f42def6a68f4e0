//! Documents of the Kubernetes release the crate impersonates, made by `cargo xtask gen`.
//!
//! They are embedded, so that a program built with this crate needs no files beside it. NOTICE
//! names their sources.

/// The release, such as `v1.36.3`, with a line end.
pub(crate) const RELEASE: &str = include_str!("RELEASE");

/// The type table as compressed text; [`crate::types`] documents and reads it.
pub(crate) static TYPES: &[u8] = include_bytes!("types.txt.gz");

// OPENAPI_V2_JSON and OPENAPI_V2_PROTO (gnostic's `openapi.v2.Document`): digest and compressed
// document. OPENAPI_V3: path, digest and compressed document of each, sorted by path.
include!("openapi.rs");

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
