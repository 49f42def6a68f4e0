mod changes;
mod golden;
mod health;
mod objects;
mod sequences;
mod walks;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use apiserver::storage::{
    Base, BaseChange, EventKind, Key, MemoryStore, NoLog, Object, ResourceId, Scope, Storage,
};
use jiff::Timestamp;
use k8s_openapi::api;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::baseline::{Baseline, DEFAULT_VERSION, RESOURCES};
use super::super::identity::CertificateAuthority;
use super::*;
use crate::register::{CONTROL_PLANE_LABEL, NodeHealth};

/// 2026-11-18T11:06:40Z
const NOW: i64 = 1_795_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).unwrap()
}

fn facts(addr: &str) -> Arc<ClusterFacts> {
    Arc::new(ClusterFacts {
        name: ClusterName::new("metal3", "test\"1"),
        addr: ClusterAddr(addr.parse().unwrap()),
        ca: CertificateAuthority::generate("kubernetes", at(0)).unwrap(),
        etcd_ca: CertificateAuthority::generate("etcd-ca", at(0)).unwrap(),
        seed: Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
        created: at(-60),
    })
}

fn baseline() -> Arc<Baseline> {
    static ONCE: LazyLock<Arc<Baseline>> =
        LazyLock::new(|| Arc::new(Baseline::new(br#"{"items":[]}"#).unwrap()));
    ONCE.clone()
}

fn cluster_at(addr: &str) -> ClusterBase {
    ClusterBase::new(facts(addr), baseline(), DEFAULT_VERSION)
}

fn cluster() -> ClusterBase {
    cluster_at("192.168.111.20:6443")
}

fn worker(name: &str) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        provider_id: Some(format!("metal3://metal3/{name}/x")),
        uuid: Some("0f6b8a40-0000-4000-8000-000000000001".to_owned()),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        version: None,
    }
}

fn control_plane(name: &str) -> NodeSpec {
    let mut spec = worker(name);
    spec.labels.insert(CONTROL_PLANE_LABEL.to_owned(), String::new());
    spec
}

/// A cluster of two control planes and two workers, and the revision after it.
fn populated() -> (ClusterBase, u64) {
    let mut base = cluster();
    let mut next = base.initial_revision() + 1;
    for spec in [control_plane("cp-1"), worker("w-1"), control_plane("cp-0"), worker("w-0")] {
        next += base.put_node(&spec, next, at(0)).unwrap().len() as u64;
    }
    (base, next)
}

fn pod(name: &str) -> Key {
    Key::new(RESOURCES.pods, "kube-system", name)
}

fn node(name: &str) -> Key {
    Key::new(RESOURCES.nodes, "", name)
}

fn lease(name: &str) -> Key {
    Key::new(RESOURCES.leases, "kube-node-lease", name)
}

fn config_map(namespace: &str, name: &str) -> Key {
    Key::new(RESOURCES.configmaps, namespace, name)
}

fn value(base: &ClusterBase, key: &Key) -> Value {
    base.get_at(key, at(0)).unwrap_or_else(|| panic!("no {key:?}")).value()
}

/// Every resource a base may hold something of.
fn resources() -> Vec<ResourceId> {
    [
        ("", "nodes"),
        ("", "pods"),
        ("coordination.k8s.io", "leases"),
        ("", "configmaps"),
        ("", "endpoints"),
        ("", "namespaces"),
        ("", "services"),
        ("", "serviceaccounts"),
        ("apps", "controllerrevisions"),
        ("apps", "daemonsets"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("discovery.k8s.io", "endpointslices"),
        ("flowcontrol.apiserver.k8s.io", "flowschemas"),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
        ("networking.k8s.io", "servicecidrs"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
        ("rbac.authorization.k8s.io", "roles"),
        ("rbac.authorization.k8s.io", "rolebindings"),
        ("scheduling.k8s.io", "priorityclasses"),
    ]
    .map(|(group, resource)| ResourceId::of(group, resource))
    .into()
}

fn scan(
    base: &ClusterBase,
    resource: ResourceId,
    namespace: Option<&str>,
    after: Option<(&str, &str)>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    base.scan(Scope { resource, namespace }, after, &mut |namespace, name| {
        found.push((namespace.to_owned(), name.to_owned()));
        ControlFlow::Continue(())
    });
    found
}

fn everything(base: &ClusterBase) -> Vec<Key> {
    let keys = resources().into_iter().flat_map(|resource| {
        let places = scan(base, resource, None, None);
        places.into_iter().map(move |(ns, name)| Key::new(resource, &ns, &name))
    });
    keys.collect()
}

/// What watchers are told must be what they then read.
fn check_changes(base: &ClusterBase, first: u64, changes: &[BaseChange]) {
    let mut newest = BTreeMap::new();
    for (revision, change) in (first..).zip(changes) {
        newest.insert(change.key.clone(), (revision, change));
    }
    for (key, (revision, change)) in newest {
        let object = base.get_at(&key, at(0));
        if change.kind == EventKind::Deleted {
            assert!(object.is_none(), "{key:?} is still there");
            assert_eq!(change.last.as_ref().unwrap().meta.resource_version, revision);
        } else {
            let object = object.unwrap_or_else(|| panic!("no {key:?}"));
            assert_eq!(object.meta.resource_version, revision, "{key:?}");
        }
        let modified = change.kind == EventKind::Modified;
        if let Some(last) = change.last.as_ref().filter(|_| modified) {
            assert!(last.meta.resource_version < revision, "{key:?}");
        }
        assert_eq!(change.last.is_none(), change.kind == EventKind::Added, "{key:?}");
    }
}

fn added(changes: &[BaseChange]) -> u64 {
    changes.iter().filter(|c| c.kind == EventKind::Added).count() as u64
}
