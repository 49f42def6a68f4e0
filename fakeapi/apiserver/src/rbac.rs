//! Role-based access control as `kubernetes/plugin/pkg/auth/authorizer/rbac` evaluates it: what
//! is not granted by a binding is refused.

use serde::Deserialize;

use crate::auth::User;
use crate::request::{RequestInfo, ResourceRequest};
use crate::storage::{Compacted, Key, PageRequest, ResourceId, Scope, Storage};

/// The group of all RBAC kinds.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// One rule of a role.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// What may be done; `*` for all.
    pub verbs: Vec<String>,
    /// In which groups.
    pub api_groups: Vec<String>,
    /// To which resources: `pods`, `pods/status`, `*/scale`, `*`.
    pub resources: Vec<String>,
    /// To which objects; empty for all.
    #[serde(rename = "resourceNames")]
    pub resource_names: Vec<String>,
    /// To which paths; `*` at the end for all below.
    #[serde(rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
}

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
struct Binding {
    #[serde(default)]
    subjects: Option<Vec<Subject>>,
    #[serde(rename = "roleRef")]
    role: RoleRef,
}

#[derive(Deserialize)]
struct RoleRef {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct Subject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

impl Subject {
    fn is(&self, user: &User) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.is_in(&self.name),
            "ServiceAccount" => {
                let mut parts = user.name.splitn(4, ':');
                (parts.next(), parts.next()) == (Some("system"), Some("serviceaccount"))
                    && parts.next() == self.namespace.as_deref()
                    && parts.next() == Some(self.name.as_str())
            }
            _ => false,
        }
    }
}

fn any(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

/// A request for resources as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What is to be done; any text, as reviews ask about any.
    pub verb: &'a str,
    /// In which group.
    pub group: &'a str,
    /// To which resource.
    pub resource: &'a str,
    /// To which subresource, "" for none.
    pub subresource: &'a str,
    /// To which object, "" for all.
    pub name: &'a str,
}

impl<'a> From<&'a ResourceRequest> for Wanted<'a> {
    fn from(request: &'a ResourceRequest) -> Self {
        Self {
            verb: request.verb.as_str(),
            group: &request.group,
            resource: &request.resource,
            subresource: &request.subresource,
            name: &request.name,
        }
    }
}

impl Rule {
    /// The rule that grants everything, `system:masters`' own.
    pub fn everything() -> Self {
        let all = || vec!["*".to_owned()];
        Self { verbs: all(), api_groups: all(), resources: all(), ..Self::default() }
    }

    /// Whether the rule grants a request for resources.
    pub fn grants(&self, wanted: &Wanted<'_>) -> bool {
        any(&self.verbs, wanted.verb)
            && any(&self.api_groups, wanted.group)
            && self.names_resource(wanted.resource, wanted.subresource)
            && (self.resource_names.is_empty()
                || self.resource_names.iter().any(|name| *name == wanted.name))
    }

    fn names_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|entry| match entry.split_once('/') {
            _ if entry == "*" => true,
            None => subresource.is_empty() && entry == resource,
            Some((of, sub)) => {
                !subresource.is_empty() && sub == subresource && (of == "*" || of == resource)
            }
        })
    }

    /// Whether the rule grants a verb (a method in lower case) on a path.
    pub fn grants_path(&self, verb: &str, path: &str) -> bool {
        any(&self.verbs, verb)
            && self.non_resource_urls.iter().any(|entry| match entry.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => entry == path,
            })
    }
}

/// The rules that bind a user, with the namespace each holds in (`None` for everywhere).
///
/// Only bindings that hold in `namespace` are read; `None` reads cluster-wide bindings alone.
///
/// # Errors
/// Never for a store that lists the present.
pub fn rules_of(
    storage: &dyn Storage,
    user: &User,
    namespace: Option<&str>,
) -> Result<Vec<Rule>, Compacted> {
    let mut rules = Vec::new();
    collect(storage, user, "clusterrolebindings", None, &mut rules)?;
    if let Some(namespace) = namespace {
        collect(storage, user, "rolebindings", Some(namespace), &mut rules)?;
    }
    Ok(rules)
}

fn collect(
    storage: &dyn Storage,
    user: &User,
    bindings: &str,
    namespace: Option<&str>,
    rules: &mut Vec<Rule>,
) -> Result<(), Compacted> {
    let scope = Scope { resource: ResourceId::of(GROUP, bindings), namespace };
    let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
    for object in storage.list(&page)?.objects {
        let Ok(binding) = serde_json::from_slice::<Binding>(object.json()) else {
            continue;
        };
        if binding.subjects.unwrap_or_default().iter().any(|subject| subject.is(user)) {
            rules.extend(role(storage, &binding.role, namespace.unwrap_or_default()));
        }
    }
    Ok(())
}

/// The rules of a role; a role that is not there has none.
fn role(storage: &dyn Storage, role: &RoleRef, namespace: &str) -> Vec<Rule> {
    let key = match role.kind.as_str() {
        "ClusterRole" => Key::new(ResourceId::of(GROUP, "clusterroles"), "", &role.name),
        "Role" => Key::new(ResourceId::of(GROUP, "roles"), namespace, &role.name),
        _ => return Vec::new(),
    };
    storage
        .get(&key)
        .and_then(|object| serde_json::from_slice::<Role>(object.json()).ok())
        .and_then(|role| role.rules)
        .unwrap_or_default()
}

/// Whether `user` may do what `request` says.
///
/// # Errors
/// As [`rules_of`].
pub fn allows(
    storage: &dyn Storage,
    user: &User,
    request: &RequestInfo,
    method: &str,
) -> Result<bool, Compacted> {
    if user.is_master() {
        return Ok(true);
    }
    match request {
        RequestInfo::Path(path) => {
            let verb = method.to_ascii_lowercase();
            Ok(rules_of(storage, user, None)?.iter().any(|rule| rule.grants_path(&verb, path)))
        }
        RequestInfo::Resource(request) => {
            let namespace = (!request.namespace.is_empty()).then_some(&*request.namespace);
            Ok(rules_of(storage, user, namespace)?.iter().any(|rule| rule.grants(&request.into())))
        }
    }
}

/// What the real server says to who may not.
pub fn refusal(user: &User, request: &RequestInfo, method: &str) -> String {
    match request {
        RequestInfo::Path(path) => {
            let verb = method.to_ascii_lowercase();
            format!("User \"{}\" cannot {verb} path \"{path}\"", user.name)
        }
        RequestInfo::Resource(r) => {
            let resource = if r.subresource.is_empty() {
                r.resource.clone()
            } else {
                format!("{}/{}", r.resource, r.subresource)
            };
            let place = if r.namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace \"{}\"", r.namespace)
            };
            format!(
                "User \"{}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}",
                user.name,
                r.verb.as_str(),
                r.group
            )
        }
    }
}
