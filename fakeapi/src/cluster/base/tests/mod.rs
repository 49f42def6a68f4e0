mod golden;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use apiserver::storage::{
    Base, BaseChange, EventKind, Key, MemoryStore, NoLog, Object, ResourceId, Scope, Storage,
};
use jiff::Timestamp;
use k8s_openapi::api;
use pretty_assertions::assert_eq;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::baseline::{Baseline, DEFAULT_VERSION, RESOURCES};
use super::super::identity::CertificateAuthority;
use super::*;
use crate::register::CONTROL_PLANE_LABEL;

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
        LazyLock::new(|| Arc::new(Baseline::new(b"[]").unwrap()));
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
    spec.labels
        .insert(CONTROL_PLANE_LABEL.to_owned(), String::new());
    spec
}

/// A cluster of two control planes and two workers, and the revision after it.
fn populated() -> (ClusterBase, u64) {
    let mut base = cluster();
    let mut next = base.initial_revision() + 1;
    for spec in [
        control_plane("cp-1"),
        worker("w-1"),
        control_plane("cp-0"),
        worker("w-0"),
    ] {
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
    base.get_at(key, at(0))
        .unwrap_or_else(|| panic!("no {key:?}"))
        .value()
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
        (
            "flowcontrol.apiserver.k8s.io",
            "prioritylevelconfigurations",
        ),
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
    base.scan(
        Scope {
            resource,
            namespace,
        },
        after,
        &mut |namespace, name| {
            found.push((namespace.to_owned(), name.to_owned()));
            ControlFlow::Continue(())
        },
    );
    found
}

fn everything(base: &ClusterBase) -> Vec<Key> {
    let keys = resources().into_iter().flat_map(|resource| {
        let places = scan(base, resource, None, None);
        places
            .into_iter()
            .map(move |(ns, name)| Key::new(resource, &ns, &name))
    });
    keys.collect()
}

#[test]
fn every_object_is_what_its_key_and_its_metadata_say() {
    let (base, next) = populated();
    let mut uids = BTreeMap::new();
    for key in everything(&base) {
        let object = base
            .get_at(&key, at(7))
            .unwrap_or_else(|| panic!("no {key:?}"));
        let value = object.value();
        let metadata = &value["metadata"];
        assert_eq!(metadata["name"], *key.name);
        assert_eq!(
            metadata
                .get("namespace")
                .map_or("", |ns| ns.as_str().unwrap()),
            &*key.namespace
        );
        let revision: u64 = metadata["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(revision, object.meta.resource_version, "{key:?}");
        assert!(revision > 0 && revision < next, "{key:?}: {revision}");
        let reread = Object::encode(&value);
        assert_eq!(reread.meta, object.meta, "{key:?}");
        assert_eq!(
            reread.json(),
            object.json(),
            "{key:?} is encoded as the store encodes"
        );
        assert_eq!(reread.rest(), object.rest());
        let uid = metadata["uid"].as_str().unwrap().to_owned();
        assert_eq!(Uuid::parse_str(&uid).unwrap().get_version_num(), 4);
        assert_eq!(uids.insert(uid, key), None);
        assert!(!value.to_string().contains(['«', '»']));
    }
}

fn decodes<T: DeserializeOwned>(base: &ClusterBase, group: &str, resource: &str) {
    let resource = ResourceId::of(group, resource);
    let places = scan(base, resource, None, None);
    assert!(!places.is_empty(), "{resource:?}");
    for (namespace, name) in places {
        let value = value(base, &Key::new(resource, &namespace, &name));
        serde_json::from_value::<T>(value).unwrap_or_else(|e| panic!("{resource:?} {name}: {e}"));
    }
}

#[test]
fn typed_clients_read_everything() {
    for addr in ["192.168.111.20:6443", "[fd00::5]:6443"] {
        let mut base = cluster_at(addr);
        base.put_node(&control_plane("cp"), 100, at(0)).unwrap();
        decodes::<api::core::v1::Node>(&base, "", "nodes");
        decodes::<api::core::v1::Pod>(&base, "", "pods");
        decodes::<api::coordination::v1::Lease>(&base, "coordination.k8s.io", "leases");
        decodes::<api::core::v1::ConfigMap>(&base, "", "configmaps");
        decodes::<api::core::v1::Endpoints>(&base, "", "endpoints");
        decodes::<api::core::v1::Namespace>(&base, "", "namespaces");
        decodes::<api::core::v1::Service>(&base, "", "services");
        decodes::<api::core::v1::ServiceAccount>(&base, "", "serviceaccounts");
        decodes::<api::apps::v1::ControllerRevision>(&base, "apps", "controllerrevisions");
        decodes::<api::apps::v1::DaemonSet>(&base, "apps", "daemonsets");
        decodes::<api::apps::v1::Deployment>(&base, "apps", "deployments");
        decodes::<api::apps::v1::ReplicaSet>(&base, "apps", "replicasets");
        decodes::<api::discovery::v1::EndpointSlice>(&base, "discovery.k8s.io", "endpointslices");
        let flow = "flowcontrol.apiserver.k8s.io";
        decodes::<api::flowcontrol::v1::FlowSchema>(&base, flow, "flowschemas");
        decodes::<api::flowcontrol::v1::PriorityLevelConfiguration>(
            &base,
            flow,
            "prioritylevelconfigurations",
        );
        decodes::<api::networking::v1::ServiceCIDR>(&base, "networking.k8s.io", "servicecidrs");
        let rbac = "rbac.authorization.k8s.io";
        decodes::<api::rbac::v1::ClusterRole>(&base, rbac, "clusterroles");
        decodes::<api::rbac::v1::ClusterRoleBinding>(&base, rbac, "clusterrolebindings");
        decodes::<api::rbac::v1::Role>(&base, rbac, "roles");
        decodes::<api::rbac::v1::RoleBinding>(&base, rbac, "rolebindings");
        decodes::<api::scheduling::v1::PriorityClass>(
            &base,
            "scheduling.k8s.io",
            "priorityclasses",
        );
    }
}

#[test]
fn walks_are_in_order_and_go_on_from_anywhere() {
    let (base, _) = populated();
    for resource in resources() {
        let all = scan(&base, resource, None, None);
        assert!(all.is_sorted(), "{resource:?}: {all:?}");
        for (at, (namespace, name)) in all.iter().enumerate() {
            let after = Some((namespace.as_str(), name.as_str()));
            assert_eq!(scan(&base, resource, None, after), all[at + 1..], "{name}");
            let mine: Vec<_> = all[at + 1..]
                .iter()
                .filter(|(ns, _)| ns == namespace)
                .cloned()
                .collect();
            assert_eq!(scan(&base, resource, Some(namespace), after), mine);
            // From a name that is not there.
            let before = format!("{}\u{1}", &name[..name.len() - 1]);
            let rest = scan(&base, resource, None, Some((namespace, &before)));
            let expected: Vec<_> = all
                .iter()
                .filter(|(ns, n)| (ns, n) > (namespace, &before))
                .cloned()
                .collect();
            assert_eq!(rest, expected, "{before}");
        }
        assert!(scan(&base, resource, Some("nowhere"), None).is_empty());
    }
    assert_eq!(scan(&base, RESOURCES.pods, None, None).len(), 2 + 2 * 4 + 4);
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
            assert_eq!(
                change.last.as_ref().unwrap().meta.resource_version,
                revision
            );
        } else {
            let object = object.unwrap_or_else(|| panic!("no {key:?}"));
            assert_eq!(object.meta.resource_version, revision, "{key:?}");
        }
        let modified = change.kind == EventKind::Modified;
        if let Some(last) = change.last.as_ref().filter(|_| modified) {
            assert!(last.meta.resource_version < revision, "{key:?}");
        }
        assert_eq!(
            change.last.is_none(),
            change.kind == EventKind::Added,
            "{key:?}"
        );
    }
}

fn told(changes: &[BaseChange]) -> Vec<String> {
    let line = |c: &BaseChange| format!("{:?} {:?} {}", c.kind, c.key.resource, c.key.name);
    changes.iter().map(line).collect()
}

#[test]
fn nothing_of_kubeadm_shows_before_the_first_control_plane() {
    let mut base = cluster();
    let kubeadm = config_map("kube-system", "kubeadm-config");
    assert!(base.get_at(&kubeadm, at(0)).is_none());
    let namespaces = scan(&base, ResourceId::of("", "namespaces"), None, None);
    assert_eq!(namespaces.len(), 4);
    let before = everything(&base);
    assert_eq!(before.len() as u64, base.initial_revision());
    let revisions: Vec<u64> = before
        .iter()
        .map(|key| base.get_at(key, at(0)).unwrap().meta.resource_version)
        .collect();
    assert_eq!(revisions.iter().max(), Some(&base.initial_revision()));

    let first = base.initial_revision() + 1;
    assert_eq!(
        base.put_node(&worker("w"), first, at(0)).unwrap_err(),
        NotActivated
    );
    assert_eq!(everything(&base), before);
    assert!(!base.active());

    let changes = base.put_node(&control_plane("cp"), first, at(0)).unwrap();
    assert!(base.active());
    check_changes(&base, first, &changes);
    assert_eq!(
        everything(&base).len() as u64,
        base.initial_revision() + added(&changes)
    );
    assert!(base.activate(None, 1000, at(0)).is_empty());
}

fn added(changes: &[BaseChange]) -> u64 {
    changes
        .iter()
        .filter(|c| c.kind == EventKind::Added)
        .count() as u64
}

#[test]
fn nodes_come_change_and_go() {
    let (mut base, next) = populated();
    let proxy = scan(&base, RESOURCES.pods, None, None);
    let changes = base.put_node(&worker("w-2"), next, at(1)).unwrap();
    check_changes(&base, next, &changes);
    let new: Vec<_> = scan(&base, RESOURCES.pods, None, None)
        .into_iter()
        .filter(|p| !proxy.contains(p))
        .collect();
    let new = &new[0].1;
    assert_eq!(
        told(&changes),
        [
            "Modified daemonsets.apps kube-proxy".to_owned(),
            "Added nodes w-2".to_owned(),
            "Added leases.coordination.k8s.io w-2".to_owned(),
            format!("Added pods {new}"),
        ]
    );
    let daemonset = Key::new(RESOURCES.daemonsets, "kube-system", "kube-proxy");
    assert_eq!(value(&base, &daemonset)["status"]["numberReady"], 5);

    let next = next + changes.len() as u64;
    assert!(
        base.put_node(&worker("w-2"), next, at(2))
            .unwrap()
            .is_empty()
    );
    let mut spec = NodeSpec {
        name: "w-2".to_owned(),
        ..NodeSpec::default()
    };
    spec.labels.insert("new".to_owned(), "1".to_owned());
    let changes = base.put_node(&spec, next, at(2)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(told(&changes), ["Modified nodes w-2"]);
    let labels = &value(&base, &node("w-2"))["metadata"]["labels"];
    assert_eq!((&labels["new"], &labels["a"]), (&json!("1"), &json!("b")));

    let next = next + 1;
    spec.version = Some("v1.37.0".to_owned());
    let changes = base.put_node(&spec, next, at(3)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(
        told(&changes),
        [
            "Modified nodes w-2".to_owned(),
            format!("Modified pods {new}")
        ]
    );
    assert_eq!(
        value(&base, &node("w-2"))["status"]["nodeInfo"]["kubeletVersion"],
        "v1.37.0"
    );
    assert_eq!(
        &**base.version(),
        DEFAULT_VERSION,
        "workers do not make the API server newer"
    );

    let next = next + 2;
    let changes = base.remove_node("w-2", next, at(4)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(changes.len(), 4);
    assert!(base.remove_node("w-2", next, at(4)).is_none());
    assert_eq!(scan(&base, RESOURCES.pods, None, None), proxy);
}

#[test]
fn a_node_that_comes_again_is_another_one() {
    let (mut base, next) = populated();
    let uid = |base: &ClusterBase| value(base, &node("w-0"))["metadata"]["uid"].clone();
    let old = uid(&base);
    base.remove_node("w-0", next, at(1)).unwrap();
    base.put_node(&worker("w-0"), next + 10, at(2)).unwrap();
    assert_ne!(uid(&base), old);
    assert_eq!(
        value(&base, &node("w-0"))["spec"]["podCIDR"],
        "10.128.3.0/24"
    );
}

#[test]
fn a_worker_becomes_a_control_plane() {
    let (mut base, next) = populated();
    let mut spec = control_plane("w-0");
    spec.version = Some("v1.37.1".to_owned());
    let changes = base.put_node(&spec, next, at(1)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(added(&changes), 4);
    assert_eq!(&**base.version(), "v1.37.1");
    let taint = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
    assert_eq!(value(&base, &node("w-0"))["spec"]["taints"], taint);
    let next = next + changes.len() as u64;
    spec.version = Some("v1.38.0".to_owned());
    let changes = base.put_node(&spec, next, at(1)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(changes.len(), 6);
}

fn leaders(base: &ClusterBase) -> Vec<String> {
    let pods = scan(base, RESOURCES.pods, None, None);
    let etcd = pods
        .into_iter()
        .map(|(_, name)| name)
        .filter(|name| name.starts_with("etcd-"));
    etcd.filter(|name| {
        value(base, &pod(name))["metadata"]["annotations"]
            .get("etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from")
            .is_some()
    })
    .collect()
}

#[test]
fn exactly_one_etcd_member_leads() {
    let (mut base, next) = populated();
    assert_eq!(leaders(&base), ["etcd-cp-1"]);
    let changes = base.move_leader("cp-0", next, at(5)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(leaders(&base), ["etcd-cp-0"]);
    assert_eq!(base.etcd_leader(), Some("cp-0"));
    assert!(base.move_leader("cp-0", next, at(5)).unwrap().is_empty());
    assert!(base.move_leader("w-0", next, at(5)).is_none());
    let next = next + 2;
    let changes = base.remove_node("cp-0", next, at(6)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(leaders(&base), ["etcd-cp-1"]);
    assert_ne!(base.etcd_member_id("cp-1").unwrap(), 0);
    assert_eq!(base.etcd_member_id("w-0"), None);
}

#[test]
fn coredns_moves_when_its_node_goes() {
    let (mut base, mut next) = populated();
    let hosts = |base: &ClusterBase| -> Vec<String> {
        let names: Vec<String> = base.dns_names().collect();
        names
            .iter()
            .map(|name| {
                value(base, &pod(name))["spec"]["nodeName"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(hosts(&base), ["cp-1", "cp-1"]);
    for (gone, host) in [
        ("cp-1", Some("cp-0")),
        ("cp-0", Some("w-1")),
        ("w-1", Some("w-0")),
        ("w-0", None),
    ] {
        let changes = base.remove_node(gone, next, at(6)).unwrap();
        check_changes(&base, next, &changes);
        next += changes.len() as u64;
        assert_eq!(hosts(&base), host.map_or(vec![], |host| vec![host; 2]));
    }
    let deployment = Key::new(RESOURCES.deployments, "kube-system", "coredns");
    let status = &value(&base, &deployment)["status"];
    assert_eq!(
        (&status["readyReplicas"], &status["unavailableReplicas"]),
        (&json!(0), &json!(2))
    );
    let changes = base.put_node(&worker("w"), next, at(7)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(value(&base, &deployment)["status"]["readyReplicas"], 2);
}

#[test]
fn what_was_written_down_comes_back() {
    let (mut base, next) = populated();
    base.remove_node("w-1", next, at(1)).unwrap();
    base.move_leader("cp-0", next + 10, at(2)).unwrap();
    let text = serde_json::to_string(&base.state()).unwrap();
    let state: BaseState = serde_json::from_str(&text).unwrap();
    assert_eq!(state, base.state());
    let again = ClusterBase::from_state(base.facts().clone(), baseline(), state);
    assert_eq!(everything(&again), everything(&base));
    for key in everything(&base) {
        let (a, b) = (
            base.get_at(&key, at(99)).unwrap(),
            again.get_at(&key, at(99)).unwrap(),
        );
        assert_eq!(a.value(), b.value());
    }
    assert_eq!(again.version(), base.version());
    let idle = serde_json::to_string(&cluster().state()).unwrap();
    assert_eq!(idle, r#"{"version":"v1.36.3"}"#);
}

#[test]
fn signs_of_life_move_with_time_and_only_they_do() {
    let (base, _) = populated();
    let beats = |key: &Key, second| -> Value { base.get_at(key, at(second)).unwrap().value() };
    let ready = |second| {
        beats(&node("w-0"), second)["status"]["conditions"][3]["lastHeartbeatTime"].clone()
    };
    assert_eq!(ready(0), "2026-11-18T11:06:40Z");
    assert_eq!(ready(299), "2026-11-18T11:06:40Z");
    assert_eq!(ready(300), "2026-11-18T11:11:40Z");
    let renewed = |second| {
        beats(&lease("w-0"), second)["spec"]["renewTime"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let texts: std::collections::BTreeSet<String> = (100..120).map(renewed).collect();
    assert!(texts.len() == 3 || texts.len() == 2, "{texts:?}");
    assert!(renewed(100).as_str() <= "2026-11-18T11:08:21");
    assert!(renewed(100).as_str() > "2026-11-18T11:08:10");
    let mut early = beats(&node("w-0"), 0);
    let late = beats(&node("w-0"), 700);
    for condition in early["status"]["conditions"].as_array_mut().unwrap() {
        condition["lastHeartbeatTime"] = "2026-11-18T11:16:40Z".into();
    }
    assert_eq!(early, late);
}

#[test]
fn a_written_node_goes_on_beating() {
    let (base, _) = populated();
    for (key, pointer) in [
        (node("w-0"), "/status/conditions/0/lastHeartbeatTime"),
        (lease("w-0"), "/spec/renewTime"),
    ] {
        let mut written = value(&base, &key);
        written["metadata"]["annotations"]["mine"] = "kept".into();
        let stored = Object::encode(&written);
        let fresh = base.refresh_at(&key, &stored, at(3000)).unwrap();
        let now = base.get_at(&key, at(3000)).unwrap().value();
        assert_eq!(fresh.value().pointer(pointer), now.pointer(pointer));
        assert_eq!(fresh.value()["metadata"]["annotations"]["mine"], "kept");
        assert_eq!(fresh.meta, stored.meta);
        assert!(base.refresh_at(&key, &fresh, at(3000)).is_none());
        let stranger = Key::new(key.resource, &key.namespace, "stranger");
        assert!(base.refresh_at(&stranger, &stored, at(3000)).is_none());
    }
}

#[test]
fn texts_inside_objects_are_what_tools_read() {
    let (base, _) = populated();
    let text = |namespace: &str, name: &str, key: &str| -> Value {
        let text = value(&base, &config_map(namespace, name))["data"][key]
            .as_str()
            .unwrap()
            .to_owned();
        serde_saphyr::from_str(&text).unwrap()
    };
    let kubeadm = text("kube-system", "kubeadm-config", "ClusterConfiguration");
    assert_eq!(kubeadm["clusterName"], "test\"1");
    assert_eq!(kubeadm["controlPlaneEndpoint"], "192.168.111.20:6443");
    assert_eq!(kubeadm["kubernetesVersion"], "v1.36.3");
    assert_eq!(kubeadm["etcd"]["local"]["dataDir"], "/var/lib/etcd");
    assert_eq!(
        text("kube-system", "kubelet-config", "kubelet")["kind"],
        "KubeletConfiguration"
    );
    assert_eq!(text("kube-system", "kube-proxy", "config.conf")["mode"], "");
    let proxy = text("kube-system", "kube-proxy", "kubeconfig.conf");
    assert_eq!(
        proxy["clusters"][0]["cluster"]["server"],
        "https://192.168.111.20:6443"
    );
    let info = text("kube-public", "cluster-info", "kubeconfig");
    assert_eq!(
        info["clusters"][0]["cluster"]["server"],
        "https://192.168.111.20:6443"
    );
    let root = value(&base, &config_map("default", "kube-root-ca.crt"));
    assert_eq!(root["data"]["ca.crt"], base.facts().ca.certificate_pem());
}

#[test]
fn a_store_over_it_tells_watchers_what_they_can_read() {
    let base = cluster();
    let first = base.initial_revision();
    let store = MemoryStore::new(base, NoLog, first);
    let put = |spec: &NodeSpec| {
        store
            .change_base(|base, first| base.put_node(spec, first, at(0)))
            .unwrap();
    };
    put(&control_plane("cp"));
    put(&worker("w"));
    let (events, _) = store.changes(RESOURCES.nodes, first, 100).unwrap();
    let names: Vec<&str> = events.iter().map(|event| &*event.key.name).collect();
    assert_eq!(names, ["cp", "w"]);
    for event in &events {
        assert_eq!(event.revision, event.object.meta.resource_version);
    }
    let gone =
        |base: &mut ClusterBase, first| base.remove_node("w", first, at(1)).ok_or("not there");
    store.change_base(gone).unwrap();
    assert!(store.get(&node("w")).is_none());
    let (events, _) = store.changes(RESOURCES.nodes, first, 100).unwrap();
    assert_eq!(events.last().unwrap().kind, EventKind::Deleted);
    let scan = store.with_base(|base| scan(base, RESOURCES.pods, None, None));
    assert_eq!(scan.len(), 2 + 4 + 1);
}

#[test]
fn a_cluster_without_nodes_is_small() {
    assert!(
        size_of::<ClusterBase>() <= 320,
        "{}",
        size_of::<ClusterBase>()
    );
}
