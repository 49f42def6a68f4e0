//! How objects are named inside a store.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use parking_lot::RwLock;

/// A group and resource ("apps", "deployments") as a small number.
///
/// The numbers are given in order of first use and mean the same in the whole process, never in
/// a file: write the names there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(u32);

#[derive(Default)]
struct Interner {
    ids: HashMap<(&'static str, &'static str), ResourceId, foldhash::fast::RandomState>,
    names: Vec<(&'static str, &'static str)>,
}

static INTERNER: LazyLock<RwLock<Interner>> = LazyLock::new(RwLock::default);

impl ResourceId {
    /// The number of a group and resource; the core group is "".
    ///
    /// Names live as long as the process: their count is bounded by the kinds that exist.
    ///
    /// # Panics
    /// When 2^32 kinds exist.
    pub fn of(group: &str, resource: &str) -> Self {
        if let Some(id) = INTERNER.read().ids.get(&(group, resource)) {
            return *id;
        }
        let mut interner = INTERNER.write();
        if let Some(id) = interner.ids.get(&(group, resource)) {
            return *id;
        }
        let next = u32::try_from(interner.names.len()).expect("fewer than 2^32 resources exist");
        let names: (&'static str, &'static str) =
            (Box::leak(group.into()), Box::leak(resource.into()));
        interner.names.push(names);
        interner.ids.insert(names, Self(next));
        Self(next)
    }

    /// The group; "" for the core group.
    pub fn group(self) -> &'static str {
        self.names().0
    }

    /// The resource, in plural as paths have it.
    pub fn resource(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        INTERNER.read().names[self.0 as usize]
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, resource) = self.names();
        if group.is_empty() { f.write_str(resource) } else { write!(f, "{resource}.{group}") }
    }
}

/// The name of one object: resource, namespace ("" for cluster-scoped kinds), name.
///
/// Keys order as lists do: by namespace, then name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// The kind of thing.
    pub resource: ResourceId,
    /// The namespace, "" for cluster-scoped kinds.
    pub namespace: Box<str>,
    /// The object's name.
    pub name: Box<str>,
}

impl Key {
    /// A key; `namespace` is "" for cluster-scoped kinds.
    pub fn new(resource: ResourceId, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.into(), name: name.into() }
    }

    /// The key's place in lists.
    pub fn position(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

/// What a list or a watch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The resource.
    pub resource: ResourceId,
    /// One namespace, or all (and cluster-scoped objects) with `None`.
    pub namespace: Option<&'a str>,
}

impl Scope<'_> {
    /// Whether `key` lies in this scope.
    pub fn covers(&self, key: &Key) -> bool {
        self.resource == key.resource && self.namespace.is_none_or(|ns| ns == &*key.namespace)
    }
}
