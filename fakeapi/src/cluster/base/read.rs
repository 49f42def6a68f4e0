//! Finding objects by key, and walking them in order.

use std::borrow::Cow;
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use apiserver::storage::{Base, Key, Meta, Object, Scope};
use jiff::Timestamp;

use super::super::baseline::{RESOURCES, Stage};
use super::super::nodes::heartbeat::{beat_lease, beat_node};
use super::super::nodes::names::{DNS_PREFIX, number, spread, suffix};
use super::super::nodes::{NodeRecord, PodKind};
use super::ClusterBase;
use super::view::{View, pod_template};

pub(super) const LEASES: &str = "kube-node-lease";
pub(crate) const SYSTEM: &str = "kube-system";

/// A place in a list: namespace and name.
type Place<'a> = (&'a str, Cow<'a, str>);

/// An object that nodes bring, by its name.
pub(super) enum Derived<'a> {
    Node(&'a str),
    Lease(&'a str),
    Pod(PodKind, &'a str),
    Dns(u32),
}

impl Base for ClusterBase {
    fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.render(key, Timestamp::now().as_second(), None).map(Arc::new)
    }

    fn scan(
        &self,
        scope: Scope<'_>,
        after: Option<(&str, &str)>,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) {
        for (namespace, name) in self.places(scope, after) {
            if visit(namespace, &name).is_break() {
                return;
            }
        }
    }

    fn dependents(&self, uid: &str) -> Vec<Key> {
        self.owned_by(uid)
    }

    fn refresh(&self, key: &Key, object: &Object) -> Option<Arc<Object>> {
        self.refresh_at(key, object, Timestamp::now()).map(Arc::new)
    }
}

impl ClusterBase {
    /// A written Node or Lease of a node of the cluster's own, with the signs of life its kubelet
    /// has given up to `now`; `None` when they are there already, or it is something else.
    pub fn refresh_at(&self, key: &Key, object: &Object, now: Timestamp) -> Option<Object> {
        let now = now.as_second();
        let bytes = if key.resource == RESOURCES.nodes {
            let (name, _) = self.nodes.get(&key.name)?;
            beat_node(object.json(), &self.status_beat(name, now))?
        } else if key.resource == RESOURCES.leases && &*key.namespace == LEASES {
            let (name, node) = self.nodes.get(&key.name)?;
            beat_lease(object.json(), name, &self.renewal(name, node, now))?
        } else {
            return None;
        };
        let meta: Meta = object.meta.clone();
        Some(Object::from_parts(bytes.into(), object.rest(), meta))
    }

    /// The object under `key`; with a `revision` it shows that one in the place of its own.
    pub(super) fn render(&self, key: &Key, now: i64, revision: Option<u64>) -> Option<Object> {
        let mut view = match self.derived(key) {
            Some(derived) => self.derived_view(key, &derived, now)?,
            None => self.baseline_view(key, now)?,
        };
        view.revision = revision.unwrap_or(view.revision);
        Some(view.render())
    }

    fn baseline_view<'a>(&'a self, key: &'a Key, now: i64) -> Option<View<'a>> {
        let entry = self.baseline.find(key)?;
        let (created, origin) = match entry.stage {
            Stage::Bare => (self.facts.created.as_second(), 1),
            Stage::Activated => self.activation.map(|a| (a.at, a.first))?,
        };
        let origin = origin + u64::from(entry.position);
        Some(View {
            base: self,
            key,
            template: &entry.template,
            created,
            origin,
            revision: self.moved(key).unwrap_or(origin),
            now,
            node: None,
            index: 0,
        })
    }

    /// The revision of an object of the baseline whose status counts pods, once it has counted.
    fn moved(&self, key: &Key) -> Option<u64> {
        let activation = self.activation?;
        let keys = &self.baseline.keys;
        if *key == keys.daemonset {
            return Some(activation.daemonset).filter(|revision| *revision > 0);
        }
        let place = keys.dns().into_iter().position(|dns| dns == key)?;
        let place = u64::try_from(place).ok()?;
        (activation.dns > 0).then(|| activation.dns + place)
    }

    /// The uid of an object that came with activation.
    pub(super) fn baseline_uid(&self, key: &Key) -> uuid::Uuid {
        let first = self.activation.map_or(0, |activation| activation.first);
        let position = self.baseline.find(key).map_or(0, |entry| entry.position);
        self.uid(key, first + u64::from(position))
    }

    /// What nodes bring under `key`, by its name alone.
    pub(super) fn derived<'a>(&'a self, key: &'a Key) -> Option<Derived<'a>> {
        if key.resource == RESOURCES.nodes {
            return Some(Derived::Node(&key.name));
        }
        if key.resource == RESOURCES.leases && &*key.namespace == LEASES {
            return Some(Derived::Lease(&key.name));
        }
        if key.resource != RESOURCES.pods || &*key.namespace != SYSTEM {
            return None;
        }
        if key.name.starts_with(DNS_PREFIX) {
            let index = self.dns_names().position(|name| *name == *key.name)?;
            return Some(Derived::Dns(u32::try_from(index).ok()?));
        }
        PodKind::BY_NAME.into_iter().find_map(|kind| {
            let rest = key.name.strip_prefix(kind.prefix())?;
            let node = match kind {
                PodKind::KubeProxy => self.nodes.by_proxy(number(rest)?)?,
                _ => rest,
            };
            Some(Derived::Pod(kind, node))
        })
    }

    fn derived_view<'a>(
        &'a self,
        key: &'a Key,
        derived: &Derived<'a>,
        now: i64,
    ) -> Option<View<'a>> {
        let templates = &self.baseline.nodes;
        let view = |template, node: (&'a Arc<str>, &'a NodeRecord), revision| View {
            base: self,
            key,
            template,
            created: node.1.created,
            origin: node.1.origin,
            revision,
            now,
            node: Some((&**node.0, node.1)),
            index: 0,
        };
        Some(match *derived {
            Derived::Node(name) => {
                let node = self.nodes.get(name)?;
                let whole = self.nodes.always_ready(name);
                let template = if whole { &templates.node } else { &templates.fallen };
                view(template, node, node.1.revision)
            }
            Derived::Lease(name) => {
                let node = self.nodes.get(name)?;
                view(&templates.lease, node, node.1.origin + 1)
            }
            Derived::Pod(kind, name) => {
                let node = self.nodes.get(name)?;
                let revision = match kind {
                    PodKind::KubeProxy => node.1.pods,
                    PodKind::Etcd => self.nodes.etcd(name)?,
                    _ => self.nodes.etcd(name).map(|_| node.1.pods + kind.offset())?,
                };
                let view = view(pod_template(self, kind, name), node, revision);
                match self.nodes.renewed(name, kind) {
                    Some(renewed) => View {
                        created: renewed.since,
                        origin: renewed.origin,
                        revision: revision.max(renewed.origin),
                        ..view
                    },
                    None => view,
                }
            }
            Derived::Dns(index) => {
                let dns = self.dns.get(usize::try_from(index).ok()?)?;
                let node = self.nodes.get(&dns.node)?;
                View {
                    created: dns.since,
                    origin: dns.origin,
                    index,
                    ..view(&templates.dns, node, dns.revision)
                }
            }
        })
    }

    /// The names of coredns' pods.
    pub(super) fn dns_names(&self) -> impl Iterator<Item = String> {
        self.dns.iter().map(|pod| self.dns_name(pod.origin))
    }

    /// The name of the coredns pod that came at a revision.
    pub(super) fn dns_name(&self, origin: u64) -> String {
        format!("{DNS_PREFIX}{}", suffix(spread(self.name_seed(), origin)))
    }

    /// The places of all objects in `scope` after one, in order.
    fn places<'a>(
        &'a self,
        scope: Scope<'a>,
        after: Option<(&'a str, &'a str)>,
    ) -> impl Iterator<Item = Place<'a>> {
        let active = self.activation.is_some();
        let baseline = self.baseline.range(scope, after);
        let baseline = baseline
            .filter(move |entry| active || entry.stage == Stage::Bare)
            .map(|entry| (&*entry.key.namespace, Cow::Borrowed(&*entry.key.name)));
        merge(baseline.peekable(), self.derived_places(scope, after).peekable())
    }

    fn derived_places<'a>(
        &'a self,
        scope: Scope<'a>,
        after: Option<(&'a str, &'a str)>,
    ) -> Box<dyn Iterator<Item = Place<'a>> + 'a> {
        let in_namespace = |namespace| {
            let wanted = scope.namespace.is_none_or(|wanted| wanted == namespace);
            wanted.then(|| names_after(after, namespace)).flatten()
        };
        let places = |namespace, names: Box<dyn Iterator<Item = Cow<'a, str>> + 'a>| {
            Box::new(names.map(move |name| (namespace, name)))
        };
        if scope.resource == RESOURCES.nodes
            && let Some(from) = in_namespace("")
        {
            let names = self.nodes.names_from(from).map(Cow::Borrowed);
            return places("", Box::new(names));
        }
        if scope.resource == RESOURCES.leases
            && let Some(from) = in_namespace(LEASES)
        {
            let names = self.nodes.names_from(from).map(Cow::Borrowed);
            return places(LEASES, Box::new(names));
        }
        if scope.resource == RESOURCES.pods
            && let Some(from) = in_namespace(SYSTEM)
        {
            return places(SYSTEM, self.pod_names(from));
        }
        Box::new(std::iter::empty())
    }

    /// The names of pods from a bound on, in order.
    fn pod_names<'a>(
        &'a self,
        from: Bound<&'a str>,
    ) -> Box<dyn Iterator<Item = Cow<'a, str>> + 'a> {
        let mut dns: Vec<String> = self.dns_names().collect();
        dns.sort();
        let dns = dns
            .into_iter()
            .filter(move |name| (from, Bound::Unbounded).contains_str(name))
            .map(Cow::Owned);
        let kinds = PodKind::BY_NAME.into_iter().filter_map(move |kind| {
            let from = within(from, kind.prefix())?;
            let full = move |rest: &str| Cow::Owned(format!("{}{rest}", kind.prefix()));
            let names: Box<dyn Iterator<Item = Cow<'a, str>> + 'a> = match kind {
                PodKind::KubeProxy => {
                    let suffixes = self.nodes.proxies().map(suffix);
                    let later = suffixes
                        .skip_while(move |name| !(from, Bound::Unbounded).contains_str(name));
                    Box::new(later.map(move |rest| full(&rest)))
                }
                _ => Box::new(self.nodes.control_planes_from(from).map(full)),
            };
            Some(names)
        });
        Box::new(dns.chain(kinds.flatten()))
    }
}

/// Whether a text lies in a range of texts.
trait ContainsStr {
    fn contains_str(&self, text: &str) -> bool;
}

impl ContainsStr for (Bound<&str>, Bound<&str>) {
    fn contains_str(&self, text: &str) -> bool {
        std::ops::RangeBounds::<str>::contains(self, text)
    }
}

/// From where on the names of one namespace come after a place; `None` when none of them do.
fn names_after<'a>(after: Option<(&'a str, &'a str)>, namespace: &str) -> Option<Bound<&'a str>> {
    match after {
        Some((passed, name)) if passed == namespace => Some(Bound::Excluded(name)),
        Some((passed, _)) if passed > namespace => None,
        _ => Some(Bound::Unbounded),
    }
}

/// From where on what follows `prefix` comes, in names from a bound on; `None` when none do.
fn within<'a>(from: Bound<&'a str>, prefix: &str) -> Option<Bound<&'a str>> {
    let Bound::Excluded(name) = from else {
        return Some(Bound::Unbounded);
    };
    match name.strip_prefix(prefix) {
        Some(rest) => Some(Bound::Excluded(rest)),
        None if name < prefix => Some(Bound::Unbounded),
        None => None,
    }
}

/// Two walks in order as one.
fn merge<'a>(
    mut one: Peekable<impl Iterator<Item = Place<'a>>>,
    mut two: Peekable<impl Iterator<Item = Place<'a>>>,
) -> impl Iterator<Item = Place<'a>> {
    std::iter::from_fn(move || match (one.peek(), two.peek()) {
        (Some(a), Some(b)) if a > b => two.next(),
        (Some(_), _) => one.next(),
        (None, _) => two.next(),
    })
}
