//! What watchers are told.

use pretty_assertions::assert_eq;

use super::*;
use crate::cluster::members::MemberChange;

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
    let revisions: Vec<u64> =
        before.iter().map(|key| base.get_at(key, at(0)).unwrap().meta.resource_version).collect();
    assert_eq!(revisions.iter().max(), Some(&base.initial_revision()));

    let first = base.initial_revision() + 1;
    assert_eq!(base.put_node(&worker("w"), first, at(0)).unwrap_err(), NotActivated);
    assert_eq!(everything(&base), before);
    assert!(!base.active());

    let changes = base.put_node(&control_plane("cp"), first, at(0)).unwrap();
    assert!(base.active());
    check_changes(&base, first, &changes);
    assert_eq!(everything(&base).len() as u64, base.initial_revision() + added(&changes));
    assert!(base.activate(None, 1000, at(0)).is_empty());
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
    assert!(base.put_node(&worker("w-2"), next, at(2)).unwrap().is_empty());
    let mut spec = NodeSpec { name: "w-2".to_owned(), ..NodeSpec::default() };
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
    assert_eq!(told(&changes), ["Modified nodes w-2".to_owned(), format!("Modified pods {new}")]);
    assert_eq!(value(&base, &node("w-2"))["status"]["nodeInfo"]["kubeletVersion"], "v1.37.0");
    assert_eq!(&**base.version(), DEFAULT_VERSION, "workers do not make the API server newer");

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
    assert_eq!(value(&base, &node("w-0"))["spec"]["podCIDR"], "10.128.3.0/24");
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
    let etcd = pods.into_iter().map(|(_, name)| name).filter(|name| name.starts_with("etcd-"));
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
            .map(|name| value(base, &pod(name))["spec"]["nodeName"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(hosts(&base), ["cp-1", "cp-1"]);
    for (gone, host) in
        [("cp-1", Some("cp-0")), ("cp-0", Some("w-1")), ("w-1", Some("w-0")), ("w-0", None)]
    {
        let changes = base.remove_node(gone, next, at(6)).unwrap();
        check_changes(&base, next, &changes);
        next += changes.len() as u64;
        assert_eq!(hosts(&base), host.map_or(vec![], |host| vec![host; 2]));
    }
    let deployment = Key::new(RESOURCES.deployments, "kube-system", "coredns");
    let status = &value(&base, &deployment)["status"];
    assert_eq!((&status["readyReplicas"], &status["unavailableReplicas"]), (&json!(0), &json!(2)));
    let endpoints = Key::new(RESOURCES.endpoints, "kube-system", "kube-dns");
    assert_eq!(value(&base, &endpoints)["subsets"], json!([]));
    let changes = base.put_node(&worker("w"), next, at(7)).unwrap();
    check_changes(&base, next, &changes);
    assert_eq!(value(&base, &deployment)["status"]["readyReplicas"], 2);
    let address = &value(&base, &endpoints)["subsets"][0]["addresses"][1];
    let pod_key = pod(address["targetRef"]["name"].as_str().unwrap());
    let target = value(&base, &pod_key);
    assert_eq!(address["ip"], target["status"]["podIP"]);
    assert_eq!(address["targetRef"]["uid"], target["metadata"]["uid"]);
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
        let (a, b) = (base.get_at(&key, at(99)).unwrap(), again.get_at(&key, at(99)).unwrap());
        assert_eq!(a.value(), b.value());
    }
    assert_eq!(again.version(), base.version());
    let idle = serde_json::to_string(&cluster().state()).unwrap();
    assert_eq!(idle, r#"{"version":"v1.36.3"}"#);
}

#[test]
fn a_store_over_it_tells_watchers_what_they_can_read() {
    let base = cluster();
    let first = base.initial_revision();
    let store = MemoryStore::new(base, NoLog, first);
    let put = |spec: &NodeSpec| {
        store.change_base(|base, first| base.put_node(spec, first, at(0))).unwrap();
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

/// A log may be replayed on a snapshot that was taken just after.
#[test]
fn a_member_that_is_added_again_is_the_same() {
    let mut base = cluster();
    base.put_node(&control_plane("n"), 1, at(0)).unwrap();
    let peer_urls = vec!["https://x:2380".to_owned()];
    let add = MemberChange::Add { peer_urls, learner: true };
    for _ in 0..2 {
        base.change_members(&add, 100, at(1));
        assert_eq!(base.members(&|_| Noted::default()).list.len(), 2);
    }
}
