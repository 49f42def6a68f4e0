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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{openapi, types::table};

    fn document(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("a generated document is JSON")
    }

    fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
        value[key].as_array().unwrap_or_else(|| panic!("{key} is a list"))
    }

    #[test]
    fn every_resource_has_a_type_and_a_document() {
        let discovery = document(discovery());
        let resources = discovery["resources"].as_object().expect("resources");
        let mut seen = 0;
        for (group_version, resource_list) in resources {
            assert_eq!(resource_list["groupVersion"], json!(group_version));
            let prefix = if group_version == "v1" { "api" } else { "apis" };
            assert!(openapi::v3(&format!("{prefix}/{group_version}")).is_some(), "{group_version}");
            for resource in list(resource_list, "resources") {
                let own = match (resource["group"].as_str(), resource["version"].as_str()) {
                    (Some(group), Some(version)) => format!("{group}/{version}"),
                    _ => group_version.clone(),
                };
                let kind = resource["kind"].as_str().expect("a kind");
                // Streams have options for a kind, and those are in the table too.
                assert!(table().root_of(&own, kind).is_some(), "{own} {kind}");
                let verbs = list(resource, "verbs");
                if verbs.contains(&json!("list")) {
                    assert!(
                        table().root_of(&own, &format!("{kind}List")).is_some(),
                        "{own} {kind}"
                    );
                }
                seen += 1;
            }
        }
        assert!(seen > 110, "only {seen} resources");
    }

    #[test]
    fn both_forms_of_discovery_agree() {
        let discovery = document(discovery());
        let groups: Vec<_> =
            list(&discovery, "groups").iter().map(|group| &group["name"]).collect();
        let aggregated: Vec<_> = list(&discovery, "aggregatedGroups")
            .iter()
            .map(|group| &group["metadata"]["name"])
            .collect();
        assert_eq!(groups, aggregated);
        assert!(groups.contains(&&json!("apiextensions.k8s.io")));
        let all =
            list(&discovery, "aggregatedCore").iter().chain(list(&discovery, "aggregatedGroups"));
        for group in all {
            for version in list(group, "versions") {
                let name = group["metadata"]["name"].as_str().expect("a name");
                let version_name = version["version"].as_str().expect("a version");
                let group_version = format!("{name}/{version_name}");
                let plain = &discovery["resources"][group_version.trim_start_matches('/')];
                let mut counted = 0;
                for resource in list(version, "resources") {
                    counted += 1 + resource["subresources"].as_array().map_or(0, Vec::len);
                }
                assert_eq!(counted, list(plain, "resources").len(), "{group_version}");
            }
        }
    }

    #[test]
    fn the_default_policy_is_whole() {
        let policy = document(rbac());
        let count =
            |kind: &str| list(&policy, "items").iter().filter(|item| item["kind"] == kind).count();
        for (kind, least) in
            [("ClusterRole", 60), ("ClusterRoleBinding", 40), ("Role", 5), ("RoleBinding", 5)]
        {
            assert!(count(kind) >= least, "{} of {kind}", count(kind));
        }
        for item in list(&policy, "items") {
            let (api_version, kind) = (&item["apiVersion"], &item["kind"]);
            let root = table()
                .root_of(api_version.as_str().expect("text"), kind.as_str().expect("text"))
                .expect("a built-in kind");
            assert_eq!(crate::types::check(item, root), Ok(()), "{}", item["metadata"]["name"]);
            assert!(crate::types::unknown_fields(item, root).is_empty());
        }
    }

    #[test]
    fn the_release_is_named() {
        assert!(release().starts_with("v1.") && !release().contains('\n'), "{:?}", release());
    }
}
