use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::manage::kinds::{BareMetalHost, Cluster, Machine, Metal3Machine};
use crate::manage::plan::{self, Leave, NodePlan};

fn name(name: &str) -> ObjectName {
    ObjectName::new("ns", name)
}

fn node(machine: &str) -> Work {
    Work::Node { cluster: name("c"), machine: machine.into() }
}

fn seen<O: serde::de::DeserializeOwned, K: for<'a> From<&'a O>>(object: Value) -> K {
    K::from(&serde_json::from_value::<O>(object).unwrap())
}

fn machine() -> SeenMachine {
    seen::<Machine, _>(json!({
        "metadata": {"namespace": "ns", "name": "m", "labels": {"a": "b"}},
        "spec": {
            "clusterName": "c", "version": "v1.36.0",
            "infrastructureRef": {
                "apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "Metal3Machine", "name": "x",
            },
        },
        "status": {"conditions": [{"type": "Ready"}]},
    }))
}

fn metal3() -> SeenMetal3Machine {
    seen::<Metal3Machine, _>(json!({
        "metadata": {"namespace": "ns", "name": "x", "ownerReferences": [
            // Another Machine: that of the machine-controller-manager.
            {"apiVersion": "machine.sapcloud.io/v1alpha1", "kind": "Machine", "name": "no", "uid": "1"},
            {"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Machine", "name": "m", "uid": "2"},
        ]},
        "spec": {"providerID": "metal3://ns/h/x"},
    }))
}

fn host(state: &str) -> SeenHost {
    seen::<BareMetalHost, _>(json!({
        "metadata": {"namespace": "ns", "name": "h", "uid": "uid"},
        "spec": {"consumerRef": {"kind": "Metal3Machine", "name": "x", "namespace": "ns"}},
        "status": {"provisioning": {"state": state, "ID": "1"}},
    }))
}

fn planned(view: &View) -> NodePlan {
    view.with_machine(&name("c"), &"m".into(), |parts| plan::node("m", parts, None))
}

#[test]
fn a_host_concerns_its_machine_whatever_comes_first() {
    let view = View::default();
    assert_eq!(view.apply(&name("h"), host("provisioned")), [], "its Metal3Machine is not known");
    assert_eq!(view.apply(&name("x"), metal3()), [], "its Machine is not known");
    assert_eq!(view.apply(&name("m"), machine()), [node("m")]);
    assert_eq!(planned(&view), NodePlan::Leave(Leave::NotListed));
    let held = |held: &str| HashSet::from([name(held)]);
    assert_eq!(view.listed::<SeenMachine>(&held("m")), []);
    assert_eq!(view.listed::<SeenMetal3Machine>(&held("x")), []);
    assert_eq!(view.listed::<SeenHost>(&held("h")), []);
    let NodePlan::Put(spec) = planned(&view) else { panic!("{:?}", planned(&view)) };
    assert_eq!(spec.provider_id.as_deref(), Some("metal3://ns/h/x"));
    assert_eq!(spec.uuid.as_deref(), Some("uid"));
    assert_eq!(spec.version.as_deref(), Some("v1.36.0"));

    assert_eq!(view.apply(&name("m"), machine()), [], "nothing that counts has changed");
    assert_eq!(view.apply(&name("h"), host("deprovisioning")), [node("m")]);
    assert_eq!(planned(&view), NodePlan::Leave(Leave::NotProvisioned));
    assert_eq!(view.delete::<SeenHost>(&name("h")), [node("m")]);
    assert_eq!(view.delete::<SeenMetal3Machine>(&name("x")), [node("m")]);
    assert_eq!(view.delete::<SeenMachine>(&name("m")), [node("m")]);
    let inner = view.inner.read();
    assert!(inner.machines_of.is_empty() && inner.host_of.is_empty(), "nothing is kept");
}

#[test]
fn what_a_list_does_not_hold_is_gone() {
    let view = View::default();
    for machine_name in ["m1", "m2", "m3"] {
        view.apply(&name(machine_name), machine());
    }
    let held = HashSet::from([name("m2")]);
    let mut gone = view.listed::<SeenMachine>(&held);
    gone.sort_by_key(|work| format!("{work}"));
    assert_eq!(gone, [node("m1"), node("m3")]);
    assert_eq!(view.nodes_of(&name("c")), [node("m2")]);
    assert!(view.is_listed(Kind::Machine));
    view.unlisted::<SeenMachine>();
    assert!(!view.is_listed(Kind::Machine));
    assert_eq!(view.count(Kind::Machine), 1, "a CRD that is gone takes nothing along");
}

#[test]
fn a_host_that_changes_hands_concerns_both() {
    let view = View::default();
    let mut other = machine();
    other.infrastructure.as_mut().unwrap().name = name("y");
    view.apply(&name("m"), machine());
    view.apply(&name("n"), other);
    view.apply(&name("x"), metal3());
    view.apply(&name("y"), SeenMetal3Machine { machine: Some("n".into()), ..metal3() });
    view.apply(&name("h"), host("provisioned"));
    let handed = SeenHost { consumer: Some(name("y")), ..host("provisioned") };
    let mut work = view.apply(&name("h"), handed);
    work.sort_by_key(|work| format!("{work}"));
    assert_eq!(work, [node("m"), node("n")]);
    let host_of = |machine: &str| {
        view.with_machine(&name("c"), &machine.into(), |parts| parts.host.is_some())
    };
    assert_eq!((host_of("m"), host_of("n")), (false, true));
}

#[test]
fn a_cluster_that_goes_paused_is_remembered_and_one_that_comes_back_is_not() {
    let view = View::default();
    let cluster = |paused: bool| -> SeenCluster {
        seen::<Cluster, _>(json!({
            "metadata": {"namespace": "ns", "name": "c", "uid": "u"},
            "spec": {"paused": paused, "controlPlaneEndpoint": {"host": "", "port": 0}},
        }))
    };
    view.apply(&name("m"), machine());
    assert_eq!(view.apply(&name("c"), cluster(true)), [Work::Cluster(name("c"))]);
    let resumed = view.apply(&name("c"), cluster(false));
    assert_eq!(resumed, [Work::Cluster(name("c")), node("m")], "what was held up goes on");
    view.apply(&name("c"), cluster(true));
    view.delete::<SeenCluster>(&name("c"));
    assert!(view.went_paused(&name("c")));
    let paused = || view.with_machine(&name("c"), &"m".into(), |parts| parts.paused);
    assert!(paused(), "its nodes stay, though its Machines go");
    view.apply(&name("c"), cluster(false));
    assert!(!view.went_paused(&name("c")) && !paused());
}

#[test]
fn both_versions_of_the_kinds_are_read() {
    let old: SeenCluster = seen::<Cluster, _>(json!({
        "metadata": {"namespace": "ns", "name": "c", "uid": "u"},
        "spec": {
            "controlPlaneEndpoint": {"host": "10.0.0.1", "port": 6443},
            "infrastructureRef": {
                "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1",
                "kind": "Metal3Cluster", "name": "i", "namespace": "ns",
            },
            "topology": {"class": "c", "version": "v1.36.0", "variables": [
                {"name": "n", "value": 3},
                {"name": "controlPlaneEndpoint", "value": {"host": "0.0.0.0", "port": 6443}},
            ]},
        },
    }));
    let at = old.infrastructure.unwrap();
    assert_eq!((&*at.group, &*at.kind), ("infrastructure.cluster.x-k8s.io", "Metal3Cluster"));
    let endpoint = crate::manage::seen::Endpoint::At("10.0.0.1:6443".parse().unwrap());
    assert_eq!(old.endpoint, endpoint);
    assert_eq!(old.variable, Some(crate::manage::seen::Endpoint::Placeholder));
    assert!(old.destinations.unwrap().topology);

    let ready = |status: Value| -> SeenMachine {
        seen::<Machine, _>(json!({"metadata": {"namespace": "ns", "name": "m"}, "status": status}))
    };
    assert!(ready(json!({"infrastructureReady": true})).provisioned);
    assert!(ready(json!({"initialization": {"infrastructureProvisioned": true}})).provisioned);
    assert!(!ready(json!({"initialization": {}})).provisioned);
    assert!(!ready(json!({})).provisioned);
}
