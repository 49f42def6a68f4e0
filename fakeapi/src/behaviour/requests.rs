//! Which requests to an API server are meant, in the words of RBAC's rules.

use apiserver::rbac;
use apiserver::request::RequestInfo;
use http::Method;
use serde::{Deserialize, Serialize};

use super::selector::check_texts;
use super::validate::{Faults, Path};

/// Which requests are meant: those that an RBAC rule with these fields would grant. A field that
/// is absent stands for all; so does `*`.
///
/// Naming API groups or resources leaves out all paths that are no resources (`/`, `/version`,
/// discovery); naming such paths leaves out all resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Requests {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; of paths
    /// that are no resources, the method in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<String>,
    /// API groups, "" for the core group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// `pods`, `pods/status`, `*/scale`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names of objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resources; `*` at the end for all below.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

impl Requests {
    /// As a rule to match with.
    pub(super) fn rule(&self) -> rbac::Rule {
        let or_all = |list: &[String]| match list {
            [] => vec!["*".to_owned()],
            list => list.to_vec(),
        };
        let of_resources = !(self.api_groups.is_empty()
            && self.resources.is_empty()
            && self.resource_names.is_empty());
        let of_paths = !self.non_resource_urls.is_empty();
        // Whoever names neither means both.
        let (resources, paths) = (of_resources || !of_paths, of_paths || !of_resources);
        let only = |wanted: bool, list: &[String]| if wanted { or_all(list) } else { Vec::new() };
        rbac::Rule {
            verbs: or_all(&self.verbs),
            api_groups: only(resources, &self.api_groups),
            resources: only(resources, &self.resources),
            resource_names: self.resource_names.clone(),
            non_resource_urls: only(paths, &self.non_resource_urls),
        }
    }

    pub(super) fn check(&self, at: &Path<'_>, faults: &mut Faults) {
        for (field, texts) in [
            ("verbs", &self.verbs),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ] {
            check_texts(texts, &at.field(field), faults);
        }
        // "" is the core group.
        let named: Vec<String> =
            self.api_groups.iter().filter(|group| !group.is_empty()).cloned().collect();
        check_texts(&named, &at.field("apiGroups"), faults);
        for (index, verb) in self.verbs.iter().enumerate() {
            faults.unless(
                VERBS.contains(&verb.as_str()),
                &at.field("verbs").item(index),
                format!("{verb:?} is no verb; known are {}", VERBS.join(", ")),
            );
        }
        for (index, path) in self.non_resource_urls.iter().enumerate() {
            let at = at.field("nonResourceURLs");
            faults.unless(path.starts_with(['/', '*']), &at.item(index), "must begin with /");
        }
    }
}

/// Verbs of resources, and methods of other paths.
const VERBS: [&str; 13] = [
    "*",
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "head",
    "options",
    "post",
    "put",
];

/// Whether a request is meant.
pub(super) fn grants(rule: &rbac::Rule, method: &Method, request: &RequestInfo) -> bool {
    match request {
        RequestInfo::Resource(request) => rule.grants(&request.into()),
        RequestInfo::Path(path) => rule.grants_path(&method.as_str().to_ascii_lowercase(), path),
    }
}

#[cfg(test)]
mod tests {
    use apiserver::request::Query;

    use super::*;

    fn means(requests: &str, method: &Method, uri: &str) -> bool {
        let requests: Requests = serde_json::from_str(requests).unwrap();
        let (path, query) = uri.split_once('?').map_or((uri, None), |(p, q)| (p, Some(q)));
        let request = RequestInfo::parse(method, path, &Query::parse(query));
        grants(&requests.rule(), method, &request)
    }

    #[test]
    fn requests_are_matched_as_rbac_does() {
        let nodes = "/api/v1/nodes";
        for (requests, method, uri, expected) in [
            ("{}", Method::GET, nodes, true),
            ("{}", Method::GET, "/", true),
            (r#"{"verbs":["list"]}"#, Method::GET, nodes, true),
            (r#"{"verbs":["list"]}"#, Method::GET, "/api/v1/nodes/n", false),
            (r#"{"verbs":["watch"]}"#, Method::GET, "/api/v1/nodes?watch=1", true),
            (r#"{"verbs":["get"]}"#, Method::GET, "/", true),
            (r#"{"resources":["nodes"]}"#, Method::GET, nodes, true),
            (r#"{"resources":["nodes"]}"#, Method::PATCH, "/api/v1/nodes/n/status", false),
            (r#"{"resources":["nodes/status"]}"#, Method::PATCH, "/api/v1/nodes/n/status", true),
            (r#"{"resources":["nodes"]}"#, Method::GET, "/", false),
            (r#"{"apiGroups":[""]}"#, Method::GET, nodes, true),
            (r#"{"apiGroups":["apps"]}"#, Method::GET, nodes, false),
            (r#"{"resourceNames":["n"]}"#, Method::GET, "/api/v1/nodes/n", true),
            (r#"{"resourceNames":["n"]}"#, Method::GET, "/api/v1/nodes/m", false),
            (r#"{"nonResourceURLs":["/"]}"#, Method::GET, "/", true),
            (r#"{"nonResourceURLs":["/"]}"#, Method::GET, nodes, false),
            (r#"{"nonResourceURLs":["/api*"]}"#, Method::GET, "/apis", true),
        ] {
            assert_eq!(means(requests, &method, uri), expected, "{requests} {method} {uri}");
        }
    }
}
