//! What a request is about, read from its method, path and query alone.
//!
//! The rules are those of `k8s.io/apiserver/pkg/endpoints/request` (`RequestInfo`), which every
//! authorizer relies on.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Make an object.
    Create,
    /// Remove an object.
    Delete,
    /// Remove all objects that match.
    DeleteCollection,
    /// Read one object.
    Get,
    /// Read all objects that match.
    List,
    /// Change an object in part.
    Patch,
    /// Connect to a `proxy` subresource or the like.
    Proxy,
    /// Replace an object.
    Update,
    /// Follow all objects that match.
    Watch,
}

impl Verb {
    /// The verb as RBAC rules have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Proxy => "proxy",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// A request for resources of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRequest {
    /// What is to be done.
    pub verb: Verb,
    /// The API group, "" for the core group.
    pub group: String,
    /// The version of the group.
    pub version: String,
    /// The namespace, "" for none or all.
    pub namespace: String,
    /// The resource, in plural.
    pub resource: String,
    /// The object's name, "" for a collection.
    pub name: String,
    /// The subresource, "" for none.
    pub subresource: String,
    /// What follows the subresource in the path.
    pub rest: String,
}

/// A request as its path tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestInfo {
    /// It is about resources.
    Resource(ResourceRequest),
    /// It is about something else: discovery, health, documents. The verb of such a request is
    /// its method in lower case.
    Path(String),
}

impl RequestInfo {
    /// Reads a request's method, path and query.
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let parts: Vec<Cow<'_, str>> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy())
            .collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Self::Path(path.to_owned()),
        };
        let mut request = ResourceRequest {
            verb: verb_of(method),
            group: group.into(),
            version: version.into(),
            namespace: String::new(),
            resource: String::new(),
            name: String::new(),
            subresource: String::new(),
            rest: String::new(),
        };
        request.read(rest);
        request.settle(query);
        Self::Resource(request)
    }
}

fn verb_of(method: &Method) -> Verb {
    match *method {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ => Verb::Get,
    }
}

impl ResourceRequest {
    /// Takes the path behind the version apart.
    fn read(&mut self, parts: &[&str]) {
        let parts = match parts {
            ["watch", rest @ ..] if !rest.is_empty() => {
                self.verb = Verb::Watch;
                rest
            }
            _ => parts,
        };
        // `/namespaces/x` is the namespace itself, and so are its own subresources.
        let parts = match parts {
            ["namespaces", namespace, rest @ ..] => {
                (*namespace).clone_into(&mut self.namespace);
                match rest {
                    [] | ["status" | "finalize", ..] => parts,
                    rest => rest,
                }
            }
            _ => parts,
        };
        let part = |index: usize| parts.get(index).copied().unwrap_or_default().to_owned();
        self.resource = part(0);
        self.name = part(1);
        self.subresource = part(2);
        self.rest = parts.get(3..).unwrap_or_default().join("/");
    }

    /// A request without a name is about a collection; so is a GET that wants to watch.
    fn settle(&mut self, query: &Query) {
        if self.name.is_empty() {
            match self.verb {
                Verb::Get => self.verb = Verb::List,
                Verb::Delete => self.verb = Verb::DeleteCollection,
                _ => {}
            }
        }
        if matches!(self.verb, Verb::List | Verb::Get)
            && self.subresource.is_empty()
            && query.flag("watch")
        {
            self.verb = Verb::Watch;
        }
    }

    /// The group and version as `apiVersion` has them.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// The query of a request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query string, `None` for none.
    pub fn parse(query: Option<&str>) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect();
        Self(pairs)
    }

    /// The first value of a parameter, when it is there and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next().filter(|value| !value.is_empty())
    }

    /// Every value of a parameter.
    pub fn all<'a, 'k>(&'a self, key: &'k str) -> impl Iterator<Item = &'a str> + use<'a, 'k> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A boolean parameter as `runtime.Convert_Slice_string_To_bool` reads it: anything but
    /// "false" and "0" is true, also nothing after the name.
    pub fn flag(&self, key: &str) -> bool {
        self.all(key)
            .next()
            .is_some_and(|value| !(value == "0" || value.eq_ignore_ascii_case("false")))
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn info(method: &str, uri: &str) -> String {
        let (path, query) = uri.split_once('?').map_or((uri, None), |(p, q)| (p, Some(q)));
        let method = method.parse().unwrap();
        match RequestInfo::parse(&method, path, &Query::parse(query)) {
            RequestInfo::Path(path) => format!("path {path}"),
            RequestInfo::Resource(r) => format!(
                "{} {}/{} ns={} {} {} {} {}",
                r.verb.as_str(),
                r.group,
                r.version,
                r.namespace,
                r.resource,
                r.name,
                r.subresource,
                r.rest
            ),
        }
    }

    #[test]
    fn paths_are_read_as_the_real_server_reads_them() {
        let cases = [
            ("GET", "/", "path /"),
            ("GET", "/api/v1", "path /api/v1"),
            ("GET", "/apis/apps/v1", "path /apis/apps/v1"),
            ("GET", "/api/v1/nodes", "list /v1 ns= nodes   "),
            ("GET", "/api/v1/nodes/n1", "get /v1 ns= nodes n1  "),
            ("GET", "/api/v1/nodes?watch=1", "watch /v1 ns= nodes   "),
            ("GET", "/api/v1/nodes?watch=false", "list /v1 ns= nodes   "),
            ("GET", "/api/v1/nodes?watch", "watch /v1 ns= nodes   "),
            ("GET", "/api/v1/watch/nodes", "watch /v1 ns= nodes   "),
            ("DELETE", "/api/v1/nodes", "deletecollection /v1 ns= nodes   "),
            ("PUT", "/api/v1/nodes/n/status", "update /v1 ns= nodes n status "),
            ("GET", "/api/v1/namespaces", "list /v1 ns= namespaces   "),
            ("GET", "/api/v1/namespaces/x", "get /v1 ns=x namespaces x  "),
            ("PUT", "/api/v1/namespaces/x/finalize", "update /v1 ns=x namespaces x finalize "),
            ("POST", "/api/v1/namespaces/x/pods", "create /v1 ns=x pods   "),
            ("POST", "/api/v1/namespaces/x/pods/p/eviction", "create /v1 ns=x pods p eviction "),
            ("GET", "/api/v1/namespaces/x/pods/p/proxy/a/b", "get /v1 ns=x pods p proxy a/b"),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/x/deployments/d",
                "patch apps/v1 ns=x deployments d  ",
            ),
            ("GET", "/api/v1/namespaces/x/configmaps/a%2Fb", "get /v1 ns=x configmaps a/b  "),
        ];
        for (method, uri, expected) in cases {
            assert_eq!(info(method, uri), expected, "{method} {uri}");
        }
    }

    #[test]
    fn a_query_is_decoded() {
        let query = Query::parse(Some("labelSelector=a%3Db%2Cc&x=1+2&command=a&command=b&e="));
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert_eq!(query.get("x"), Some("1 2"));
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(query.get("e"), None);
        assert!(query.flag("e"), "a name without a value is true");
    }
}
