//! How often each verb was asked of each resource.
//!
//! There are as many counters as kinds and verbs exist, however many clusters a server is. A
//! request costs a look-up and one relaxed addition.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::catalog::{Catalog, Resource};
use crate::request::{ResourceRequest, Verb};
use crate::storage::ResourceId;

/// All verbs, in the order of their counters.
const VERBS: [Verb; 9] = [
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Proxy,
    Verb::Update,
    Verb::Watch,
];

/// Counters of one resource or subresource, by verb.
type Counters = [AtomicU64; VERBS.len()];

/// Requests for documents: paths that are no resources.
#[derive(Debug, Default)]
struct Documents {
    /// `/` alone: what Cluster API asks to see whether a cluster is there.
    root: AtomicU64,
    /// All others.
    other: AtomicU64,
}

/// Counters of one resource.
#[derive(Debug, Default)]
struct Row {
    whole: Counters,
    subresources: Vec<(String, Counters)>,
}

/// Counters of all requests to one server.
#[derive(Debug)]
pub struct RequestCounts {
    rows: HashMap<ResourceId, Row, foldhash::fast::RandomState>,
    documents: Documents,
}

/// One figure that is not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestCount {
    /// The API group, "" for core.
    pub group: String,
    /// `pods`, `pods/eviction`; for documents `/`, or `/*` for all others.
    pub resource: String,
    /// The verb as RBAC rules have it.
    pub verb: &'static str,
    /// Requests begun since the start.
    pub count: u64,
}

impl RequestCounts {
    /// Counters for what `catalog` serves, all zero.
    pub(crate) fn new(catalog: &Catalog) -> Self {
        let mut rows = HashMap::<_, Row, _>::default();
        let versions = catalog.groups().iter().flat_map(|group| &group.versions);
        for resource in versions.flat_map(|(_, resources)| resources) {
            let row = rows.entry(resource.id).or_default();
            for subresource in &resource.subresources {
                if row.subresource(&subresource.name).is_none() {
                    row.subresources.push((subresource.name.clone(), Counters::default()));
                }
            }
        }
        Self { rows, documents: Documents::default() }
    }

    /// Counts a request for a resource that is served.
    pub(crate) fn resource(&self, resource: &Resource, request: &ResourceRequest) {
        let Some(row) = self.rows.get(&resource.id) else { return };
        let counters = match &*request.subresource {
            "" => Some(&row.whole),
            name => row.subresource(name),
        };
        let verb = VERBS.iter().position(|verb| *verb == request.verb);
        if let (Some(counters), Some(verb)) = (counters, verb) {
            counters[verb].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a request for a document.
    pub(crate) fn document(&self, path: &str) {
        let Documents { root, other } = &self.documents;
        let counter = if path == "/" { root } else { other };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What was asked at all, ordered by group and resource.
    pub fn read(&self) -> Vec<RequestCount> {
        let mut all = Vec::new();
        for (id, row) in &self.rows {
            let (group, plural) = (id.group(), id.resource());
            let whole = std::iter::once((plural.to_owned(), &row.whole));
            let parts = row.subresources.iter().map(|(name, c)| (format!("{plural}/{name}"), c));
            for (resource, counters) in whole.chain(parts) {
                for (verb, counter) in VERBS.iter().zip(counters) {
                    all.push(RequestCount {
                        group: group.to_owned(),
                        resource: resource.clone(),
                        verb: verb.as_str(),
                        count: counter.load(Ordering::Relaxed),
                    });
                }
            }
        }
        let Documents { root, other } = &self.documents;
        for (path, counter) in [("/", root), ("/*", other)] {
            all.push(RequestCount {
                group: String::new(),
                resource: path.to_owned(),
                verb: "get",
                count: counter.load(Ordering::Relaxed),
            });
        }
        all.retain(|one| one.count > 0);
        all.sort_by(|a, b| (&a.group, &a.resource, a.verb).cmp(&(&b.group, &b.resource, b.verb)));
        all
    }
}

impl Row {
    fn subresource(&self, name: &str) -> Option<&Counters> {
        self.subresources.iter().find(|(own, _)| own == name).map(|(_, counters)| counters)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::request::{Query, RequestInfo};
    use crate::server::ApiServer;

    #[test]
    fn requests_are_counted_by_resource_and_verb() {
        let server = ApiServer::new().unwrap();
        let counts = RequestCounts::new(server.catalog());
        for (method, path, query) in [
            (Method::GET, "/api/v1/pods", "watch=true"),
            (Method::GET, "/api/v1/pods", ""),
            (Method::GET, "/api/v1/namespaces/a/pods/p", ""),
            (Method::GET, "/api/v1/namespaces/a/pods/q", ""),
            (Method::POST, "/api/v1/namespaces/a/pods/p/eviction", ""),
            (Method::POST, "/api/v1/namespaces/a/pods/p/unheard-of", ""),
            (Method::PATCH, "/apis/apps/v1/namespaces/a/deployments/d", ""),
        ] {
            let info = RequestInfo::parse(&method, path, &Query::parse(Some(query)));
            let RequestInfo::Resource(request) = info else { panic!("{path} is no resource") };
            let catalog = server.catalog();
            let found = catalog.resource(&request.group, &request.version, &request.resource);
            counts.resource(found.unwrap(), &request);
        }
        for path in ["/", "/", "/apis", "/version"] {
            counts.document(path);
        }
        let read = counts.read();
        let read: Vec<_> =
            read.iter().map(|c| (&*c.group, &*c.resource, c.verb, c.count)).collect();
        assert_eq!(
            read,
            [
                ("", "/", "get", 2),
                ("", "/*", "get", 2),
                ("", "pods", "get", 2),
                ("", "pods", "list", 1),
                ("", "pods", "watch", 1),
                ("", "pods/eviction", "create", 1),
                ("apps", "deployments", "patch", 1),
            ]
        );
    }
}
