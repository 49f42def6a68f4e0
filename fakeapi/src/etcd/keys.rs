//! Where kube-apiserver keeps objects in etcd.
//!
//! `/registry/<resource>/<namespace>/<name>` for the kinds that are built in, with the group
//! before the resource for those of `CustomResourceDefinitions` and of the two servers that are
//! built into kube-apiserver; a few of the oldest kinds have names of their own
//! (`pkg/registry/core/rest/storage_core.go` and `pkg/kubeapiserver/default_storage_factory_builder.go`
//! of Kubernetes).

use std::sync::Arc;

use apiserver::catalog::{Catalog, Resource};
use apiserver::storage::Key;

/// What all keys of kube-apiserver begin with.
const REGISTRY: &str = "/registry";

/// The groups whose kinds are kept under their group.
const BY_GROUP: [&str; 2] = ["apiextensions.k8s.io", "apiregistration.k8s.io"];

/// Where the objects of a kind are.
pub(super) struct Place {
    pub(super) resource: Arc<Resource>,
    /// Ends with "/".
    pub(super) prefix: String,
}

impl Place {
    /// The key of an object.
    pub(super) fn key(&self, object: &Key) -> Vec<u8> {
        let Self { prefix, .. } = self;
        let key = if object.namespace.is_empty() {
            format!("{prefix}{}", object.name)
        } else {
            format!("{prefix}{}/{}", object.namespace, object.name)
        };
        key.into_bytes()
    }

    /// The first key that does not begin with the prefix any more, yet sorts after all that do.
    fn end(&self) -> Vec<u8> {
        let mut end = self.prefix.clone().into_bytes();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        end
    }
}

/// The kinds, in the order of their keys.
pub(super) fn places(catalog: &Catalog) -> Vec<Place> {
    let place = |resource: &Arc<Resource>| Place {
        resource: resource.clone(),
        prefix: format!("{REGISTRY}/{}/", folder(&resource.group, &resource.plural)),
    };
    let mut places: Vec<Place> = catalog.stored().map(place).collect();
    places.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    // Some kinds are served by two groups and stored once.
    places.dedup_by(|a, b| a.prefix == b.prefix);
    places
}

fn folder(group: &str, plural: &str) -> String {
    match (group, plural) {
        ("", "nodes") => "minions".to_owned(),
        ("", "services") => "services/specs".to_owned(),
        ("", "endpoints") => "services/endpoints".to_owned(),
        ("", "replicationcontrollers") => "controllers".to_owned(),
        ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
        _ if BY_GROUP.contains(&group) => format!("{group}/{plural}"),
        _ => plural.to_owned(),
    }
}

/// A range of keys: one key, all from one on, or those from one to before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    start: Vec<u8>,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The start alone.
    Single,
    /// None.
    Open,
    /// Before this key.
    Before(Vec<u8>),
}

impl Range {
    /// The range that a key and an end say in etcd's requests.
    pub(super) fn new(key: &[u8], end: &[u8]) -> Self {
        // A key of one zero byte is the first that there can be.
        let start = if key == [0] { Vec::new() } else { key.to_vec() };
        let end = match end {
            [] => End::Single,
            [0] => End::Open,
            end => End::Before(end.to_vec()),
        };
        Self { start, end }
    }

    /// Whether a key lies in it.
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => key == self.start,
            End::Open => *key >= *self.start,
            End::Before(end) => *key >= *self.start && *key < **end,
        }
    }

    /// Whether objects of a kind may lie in it.
    pub(super) fn meets(&self, place: &Place) -> bool {
        let after = place.end() > self.start;
        match &self.end {
            End::Single => self.start.starts_with(place.prefix.as_bytes()),
            End::Open => after,
            End::Before(end) => after && place.prefix.as_bytes() < &**end,
        }
    }

    /// The only object of a kind that may lie in it, if it is one key's.
    pub(super) fn object(&self, place: &Place) -> Option<Key> {
        if self.end != End::Single {
            return None;
        }
        let rest = self.start.strip_prefix(place.prefix.as_bytes())?;
        let rest = std::str::from_utf8(rest).ok()?;
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) if place.resource.namespaced => (namespace, name),
            None if !place.resource.namespaced => ("", rest),
            _ => return None,
        };
        Some(Key::new(place.resource.id, namespace, name))
    }

    /// The only namespace of a kind that lies in it, if there is one.
    pub(super) fn namespace(&self, place: &Place) -> Option<&str> {
        if !place.resource.namespaced {
            return None;
        }
        let rest = self.start.strip_prefix(place.prefix.as_bytes())?;
        let length = rest.iter().position(|byte| *byte == b'/')?;
        let namespace = std::str::from_utf8(&rest[..length]).ok()?;
        let mut last = place.prefix.clone().into_bytes();
        last.extend_from_slice(&rest[..length]);
        last.push(b'/' + 1);
        let alone = match &self.end {
            End::Single => true,
            End::Open => false,
            End::Before(end) => *end <= last,
        };
        alone.then_some(namespace)
    }
}

#[cfg(test)]
mod tests {
    use apiserver::ApiServer;

    use super::*;

    #[test]
    fn kinds_are_where_kube_apiserver_keeps_them() {
        let api = ApiServer::new().unwrap();
        let places = places(api.catalog());
        let of = |group: &str, plural: &str| {
            let found =
                places.iter().find(|p| p.resource.group == group && p.resource.plural == plural);
            found.map(|place| place.prefix.as_str())
        };
        for (group, plural, prefix) in [
            ("", "pods", "/registry/pods/"),
            ("", "nodes", "/registry/minions/"),
            ("", "services", "/registry/services/specs/"),
            ("", "endpoints", "/registry/services/endpoints/"),
            ("apps", "deployments", "/registry/deployments/"),
            ("coordination.k8s.io", "leases", "/registry/leases/"),
            (
                "apiextensions.k8s.io",
                "customresourcedefinitions",
                "/registry/apiextensions.k8s.io/customresourcedefinitions/",
            ),
        ] {
            assert_eq!(of(group, plural), Some(prefix));
        }
        assert!(places.is_sorted_by(|a, b| a.prefix < b.prefix));
    }

    #[test]
    fn ranges_are_etcds() {
        let api = ApiServer::new().unwrap();
        let places = places(api.catalog());
        let pods = places.iter().find(|place| place.prefix == "/registry/pods/").unwrap();
        let one = Range::new(b"/registry/pods/a/b", b"");
        assert!(one.contains(b"/registry/pods/a/b") && !one.contains(b"/registry/pods/a/bc"));
        assert_eq!(one.namespace(pods), Some("a"));
        let prefix = Range::new(b"/registry/pods/a/", b"/registry/pods/a0");
        assert!(prefix.contains(b"/registry/pods/a/b") && !prefix.contains(b"/registry/pods/b/b"));
        assert_eq!(prefix.namespace(pods), Some("a"));
        let all = Range::new(b"/registry/pods/", b"/registry/pods0");
        assert_eq!(all.namespace(pods), None);
        assert_eq!(places.iter().filter(|place| all.meets(place)).count(), 1);
        for everything in [Range::new(&[0], &[0]), Range::new(b"/registry/", b"/registry0")] {
            assert!(places.iter().all(|place| everything.meets(place)), "{everything:?}");
        }
        assert!(!Range::new(b"/other", b"").meets(pods));
    }
}
