//! Nodes whose kubelets fare otherwise.

use pretty_assertions::assert_eq;

use super::*;

fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap().clone()
}

fn at_time(base: &ClusterBase, key: &Key, second: i64) -> Value {
    base.get_at(key, at(second)).unwrap().value()
}

#[test]
fn a_silent_kubelet_shows_in_node_lease_pods_and_counts() {
    let (mut base, next) = populated();
    let changes = base.set_health("cp-1", NodeHealth::Unreachable, next, at(400)).unwrap();
    check_changes(&base, next, &changes);
    let lost = at_time(&base, &node("cp-1"), 4000);
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"] {
        assert_eq!(
            condition(&lost, kind),
            json!({
                "type": kind, "status": "Unknown", "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastHeartbeatTime": "2026-11-18T11:11:40Z",
                "lastTransitionTime": "2026-11-18T11:13:20Z",
            })
        );
    }
    let taint = |effect| {
        json!({"effect": effect, "key": "node.kubernetes.io/unreachable",
            "timeAdded": "2026-11-18T11:13:20Z"})
    };
    let role = json!({"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"});
    assert_eq!(lost["spec"]["taints"], json!([role, taint("NoSchedule"), taint("NoExecute")]));
    let renewed = |base: &ClusterBase, second| {
        at_time(base, &lease("cp-1"), second)["spec"]["renewTime"].clone()
    };
    assert!(renewed(&base, 4000).as_str().unwrap() <= "2026-11-18T11:13:20.999999Z");
    assert_eq!(renewed(&base, 4000), renewed(&base, 400));
    let etcd = at_time(&base, &pod("etcd-cp-1"), 4000);
    assert_eq!(condition(&etcd, "Ready")["status"], "False");
    assert_eq!(condition(&etcd, "Ready")["lastTransitionTime"], "2026-11-18T11:13:20Z");
    assert_eq!(condition(&etcd, "ContainersReady")["status"], "True");
    let daemonset = value(&base, &Key::new(RESOURCES.daemonsets, "kube-system", "kube-proxy"));
    assert_eq!(daemonset["status"]["numberReady"], 3);
    assert_eq!(daemonset["status"]["numberUnavailable"], 1);
    // coredns runs on the oldest control plane, which is this one.
    let deployment = value(&base, &Key::new(RESOURCES.deployments, "kube-system", "coredns"));
    assert_eq!(deployment["status"]["availableReplicas"], 0);
    let endpoints = value(&base, &Key::new(RESOURCES.endpoints, "kube-system", "kube-dns"));
    assert_eq!(endpoints["subsets"][0]["notReadyAddresses"].as_array().unwrap().len(), 2);
    assert_eq!(base.unwell().collect::<Vec<_>>(), [("cp-1", NodeHealth::Unreachable)]);

    let next = next + changes.len() as u64;
    let changes = base.set_health("cp-1", NodeHealth::Ready, next, at(5000)).unwrap();
    check_changes(&base, next, &changes);
    let back = at_time(&base, &node("cp-1"), 5000);
    assert_eq!(back["spec"]["taints"], json!([role]));
    assert_eq!(
        condition(&back, "Ready"),
        json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
            "lastHeartbeatTime": "2026-11-18T12:30:00Z",
            "lastTransitionTime": "2026-11-18T12:30:00Z",
        })
    );
    assert_ne!(renewed(&base, 5000), renewed(&base, 5060));
    let etcd = value(&base, &pod("etcd-cp-1"));
    assert_eq!(condition(&etcd, "Ready")["status"], "True");
    assert_eq!(condition(&etcd, "Ready")["lastTransitionTime"], "2026-11-18T12:30:00Z");
}

#[test]
fn a_kubelet_that_is_not_ready_goes_on_speaking() {
    let (mut base, next) = populated();
    let changes = base.set_health("w-0", NodeHealth::NotReady, next, at(400)).unwrap();
    assert_eq!(changes.len(), 1, "nothing but the Node");
    check_changes(&base, next, &changes);
    let ill = at_time(&base, &node("w-0"), 400 + 301);
    assert_eq!(
        condition(&ill, "Ready"),
        json!({
            "type": "Ready", "status": "False", "reason": "KubeletNotReady",
            "message": "container runtime is down",
            "lastHeartbeatTime": "2026-11-18T11:18:20Z",
            "lastTransitionTime": "2026-11-18T11:13:20Z",
        })
    );
    assert_eq!(condition(&ill, "DiskPressure")["lastTransitionTime"], "2026-11-18T11:06:40Z");
    assert_eq!(ill["spec"]["taints"][1]["key"], "node.kubernetes.io/not-ready");
    let again = base.set_health("w-0", NodeHealth::NotReady, next + 1, at(500)).unwrap();
    assert!(again.is_empty(), "it fares so already");
    assert!(base.set_health("nobody", NodeHealth::Ready, next + 1, at(500)).is_none());
}
