//! The kinds that a server serves: what discovery tells, and what every request is checked
//! against.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::storage::ResourceId;

/// One resource in one version of its group.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The group, "" for core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The plural name, as in paths.
    pub plural: String,
    /// The singular name.
    pub singular: String,
    /// The kind of its objects.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done, as discovery says it.
    pub verbs: Vec<String>,
    /// Short names for the command line.
    pub short_names: Vec<String>,
    /// `all` and the like.
    pub categories: Vec<String>,
    /// What hangs below an object.
    pub subresources: Vec<Subresource>,
    /// Where its objects are kept: the same for all versions.
    pub id: ResourceId,
}

/// One subresource.
#[derive(Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Its name: `status`, `scale`, ...
    pub name: String,
    /// Group of its kind; "" may also mean the parent's.
    pub group: String,
    /// Version of its kind, "" for the parent's.
    pub version: String,
    /// Its kind.
    pub kind: String,
    /// What can be done.
    pub verbs: Vec<String>,
}

impl Resource {
    /// Group and version as `apiVersion` has them.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The kind of its lists.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// The subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// Whether discovery names this verb.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

/// `v1` for the core group, `group/version` for others.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// One group with its versions, the preferred one first.
#[derive(Debug)]
pub struct Group {
    /// Its name, "" for core.
    pub name: String,
    /// Its versions with their resources.
    pub versions: Vec<(String, Vec<Arc<Resource>>)>,
}

type Index = HashMap<String, HashMap<String, HashMap<String, Arc<Resource>>>>;

/// All that a server serves.
#[derive(Debug)]
pub struct Catalog {
    groups: Vec<Group>,
    /// By group, version and plural: a look-up makes no text.
    index: Index,
}

/// A discovery document that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the aggregated discovery document cannot be read")]
pub struct CatalogError(#[from] serde_json::Error);

impl Catalog {
    /// Reads the generated discovery document: the items of the `APIGroupDiscoveryList`s
    /// (apidiscovery.k8s.io/v2) that `/api` and `/apis` serve.
    ///
    /// # Errors
    /// When the document is not of that form.
    pub fn from_discovery(document: &[u8]) -> Result<Self, CatalogError> {
        let document: wire::Document = serde_json::from_slice(document)?;
        let items = document.aggregated_core.into_iter().chain(document.aggregated_groups);
        let groups: Vec<Group> = items.map(wire::Group::read).collect();
        let mut index = Index::new();
        for resource in groups.iter().flat_map(|g: &Group| &g.versions).flat_map(|(_, r)| r) {
            let group = index.entry(resource.group.clone()).or_default();
            let version = group.entry(resource.version.clone()).or_default();
            version.insert(resource.plural.clone(), resource.clone());
        }
        Ok(Self { groups, index })
    }

    /// The groups in the order that discovery lists them, the core group first.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The resource at `/apis/{group}/{version}/{plural}`.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.index.get(group)?.get(version)?.get(plural)
    }

    /// The version in which objects of a resource are kept: the one that its group prefers.
    pub fn stored_as(&self, id: ResourceId) -> Option<&Arc<Resource>> {
        let group = self.groups.iter().find(|g| g.name == id.group())?;
        let resources = group.versions.iter().flat_map(|(_, resources)| resources);
        resources.into_iter().find(|r| r.id == id)
    }

    /// The resource whose objects are of this kind, in the version it is kept in.
    pub fn kind(&self, group: &str, kind: &str) -> Option<&Arc<Resource>> {
        let group = self.groups.iter().find(|g| g.name == group)?;
        group.versions.iter().flat_map(|(_, resources)| resources).find(|r| r.kind == kind)
    }

    /// Whether anything is served of a group.
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g.name == group)
    }

    /// Every resource whose objects can be listed, once each, in the version they are kept in.
    pub fn stored(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups
            .iter()
            .flat_map(|g| g.versions.iter().flat_map(|(_, r)| r))
            .filter(|r| r.allows("list"))
            .filter(|r| self.stored_as(r.id).is_some_and(|s| s.version == r.version))
    }
}

/// The document's own form.
mod wire {
    use super::{Arc, Deserialize, ResourceId};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Document {
        pub(super) aggregated_core: Vec<Group>,
        pub(super) aggregated_groups: Vec<Group>,
    }

    #[derive(Deserialize)]
    pub(super) struct Group {
        #[serde(default)]
        metadata: Metadata,
        versions: Vec<Version>,
    }

    #[derive(Default, Deserialize)]
    struct Metadata {
        #[serde(default)]
        name: String,
    }

    #[derive(Deserialize)]
    struct Version {
        version: String,
        #[serde(default)]
        resources: Vec<Resource>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Resource {
        #[serde(rename = "resource")]
        plural: String,
        #[serde(default)]
        response_kind: Kind,
        scope: String,
        #[serde(default, rename = "singularResource")]
        singular: String,
        #[serde(default)]
        verbs: Vec<String>,
        #[serde(default)]
        short_names: Vec<String>,
        #[serde(default)]
        categories: Vec<String>,
        #[serde(default)]
        subresources: Vec<Subresource>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Subresource {
        #[serde(rename = "subresource")]
        name: String,
        #[serde(default)]
        response_kind: Kind,
        #[serde(default)]
        verbs: Vec<String>,
    }

    #[derive(Default, Deserialize)]
    struct Kind {
        #[serde(default)]
        group: String,
        #[serde(default)]
        version: String,
        #[serde(default, rename = "kind")]
        name: String,
    }

    impl Group {
        pub(super) fn read(self) -> super::Group {
            let name = self.metadata.name;
            let versions = self
                .versions
                .into_iter()
                .map(|version| {
                    let resources = version.resources.into_iter();
                    let resources = resources.map(|r| r.read(&name, &version.version)).collect();
                    (version.version.clone(), resources)
                })
                .collect();
            super::Group { name, versions }
        }
    }

    impl Resource {
        fn read(self, group: &str, version: &str) -> Arc<super::Resource> {
            let subresources = self.subresources.into_iter().map(Subresource::read).collect();
            Arc::new(super::Resource {
                group: group.into(),
                version: version.into(),
                id: ResourceId::of(group, &self.plural),
                plural: self.plural,
                singular: self.singular,
                kind: self.response_kind.name,
                namespaced: self.scope == "Namespaced",
                verbs: self.verbs,
                short_names: self.short_names,
                categories: self.categories,
                subresources,
            })
        }
    }

    impl Subresource {
        fn read(self) -> super::Subresource {
            super::Subresource {
                name: self.name,
                group: self.response_kind.group,
                version: self.response_kind.version,
                kind: self.response_kind.name,
                verbs: self.verbs,
            }
        }
    }
}
