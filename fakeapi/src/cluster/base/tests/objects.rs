//! What objects look like.

use pretty_assertions::assert_eq;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::super::identity::ServingKey;
use super::*;

/// Decodes all objects of a resource, and fails for fields that the type does not know.
fn decodes<T: DeserializeOwned + Serialize>(base: &ClusterBase, group: &str, resource: &str) {
    let resource = ResourceId::of(group, resource);
    let places = scan(base, resource, None, None);
    assert!(!places.is_empty(), "{resource:?}");
    for (namespace, name) in places {
        let value = value(base, &Key::new(resource, &namespace, &name));
        let typed: T = serde_json::from_value(value.clone())
            .unwrap_or_else(|e| panic!("{resource:?} {name}: {e}"));
        let kept = serde_json::to_value(typed).unwrap();
        assert_kept(&value, &kept, &format!("{resource:?} {name}"));
    }
}

/// Fails when something of `value` but a null is not in `kept`.
fn assert_kept(value: &Value, kept: &Value, path: &str) {
    match (value, kept) {
        (Value::Object(value), Value::Object(kept)) => {
            for (key, value) in value.iter().filter(|(_, value)| !value.is_null()) {
                let kept = kept.get(key).unwrap_or_else(|| panic!("{path} has no {key}"));
                assert_kept(value, kept, &format!("{path}.{key}"));
            }
        }
        (Value::Array(value), Value::Array(kept)) => {
            assert_eq!(value.len(), kept.len(), "{path}");
            for (value, kept) in value.iter().zip(kept) {
                assert_kept(value, kept, path);
            }
        }
        _ => assert_eq!(value, kept, "{path}"),
    }
}

#[test]
fn every_object_is_what_its_key_and_its_metadata_say() {
    let (base, next) = populated();
    let mut uids = BTreeMap::new();
    for key in everything(&base) {
        let object = base.get_at(&key, at(7)).unwrap_or_else(|| panic!("no {key:?}"));
        let value = object.value();
        let metadata = &value["metadata"];
        assert_eq!(metadata["name"], *key.name);
        assert_eq!(
            metadata.get("namespace").map_or("", |ns| ns.as_str().unwrap()),
            &*key.namespace
        );
        let revision: u64 = metadata["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert_eq!(revision, object.meta.resource_version, "{key:?}");
        assert!(revision > 0 && revision < next, "{key:?}: {revision}");
        let reread = Object::encode(&value);
        assert_eq!(reread.meta, object.meta, "{key:?}");
        assert_eq!(reread.json(), object.json(), "{key:?} is encoded as the store encodes");
        assert_eq!(reread.rest(), object.rest());
        let uid = metadata["uid"].as_str().unwrap().to_owned();
        assert_eq!(Uuid::parse_str(&uid).unwrap().get_version_num(), 4);
        assert_eq!(uids.insert(uid, key), None);
        assert!(!value.to_string().contains(['«', '»']));
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
fn texts_inside_objects_are_what_tools_read() {
    let (base, _) = populated();
    let text = |namespace: &str, name: &str, key: &str| -> Value {
        let text =
            value(&base, &config_map(namespace, name))["data"][key].as_str().unwrap().to_owned();
        serde_saphyr::from_str(&text).unwrap()
    };
    let kubeadm = text("kube-system", "kubeadm-config", "ClusterConfiguration");
    assert_eq!(kubeadm["clusterName"], "test\"1");
    assert_eq!(kubeadm["controlPlaneEndpoint"], "192.168.111.20:6443");
    assert_eq!(kubeadm["kubernetesVersion"], "v1.36.3");
    assert_eq!(kubeadm["etcd"]["local"]["dataDir"], "/var/lib/etcd");
    assert_eq!(text("kube-system", "kubelet-config", "kubelet")["kind"], "KubeletConfiguration");
    assert_eq!(text("kube-system", "kube-proxy", "config.conf")["mode"], "");
    let proxy = text("kube-system", "kube-proxy", "kubeconfig.conf");
    assert_eq!(proxy["clusters"][0]["cluster"]["server"], "https://192.168.111.20:6443");
    let info = text("kube-public", "cluster-info", "kubeconfig");
    assert_eq!(info["clusters"][0]["cluster"]["server"], "https://192.168.111.20:6443");
    let root = value(&base, &config_map("default", "kube-root-ca.crt"));
    assert_eq!(root["data"]["ca.crt"], base.facts().ca.certificate_pem());
}

#[test]
fn kubeadms_configuration_is_of_its_release() {
    for (version, api, arguments, timeout) in [
        ("v1.28.15", "kubeadm.k8s.io/v1beta3", json!("Node,RBAC"), json!("4m0s")),
        ("v1.30.0", "kubeadm.k8s.io/v1beta3", Value::Null, json!("4m0s")),
        ("v1.31.0", "kubeadm.k8s.io/v1beta4", Value::Null, Value::Null),
    ] {
        let mut base = ClusterBase::new(facts("192.168.111.20:6443"), baseline(), version);
        base.put_node(&control_plane("cp"), base.initial_revision() + 1, at(0)).unwrap();
        let stored = value(&base, &config_map("kube-system", "kubeadm-config"));
        let text = stored["data"]["ClusterConfiguration"].as_str().unwrap();
        let read: Value = serde_saphyr::from_str(text).unwrap();
        assert_eq!(read["apiVersion"], api, "{version}");
        assert_eq!(read["kubernetesVersion"], version);
        assert_eq!(read["apiServer"]["extraArgs"]["authorization-mode"], arguments, "{version}");
        assert_eq!(read["apiServer"]["timeoutForControlPlane"], timeout, "{version}");
        let newer = api.ends_with('4');
        for field in ["encryptionAlgorithm", "certificateValidityPeriod", "proxy"] {
            assert_eq!(read.get(field).is_some(), newer, "{version} {field}");
        }
    }
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
    let renewed =
        |second| beats(&lease("w-0"), second)["spec"]["renewTime"].as_str().unwrap().to_owned();
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
    for (key, pointer) in
        [(node("w-0"), "/status/conditions/0/lastHeartbeatTime"), (lease("w-0"), "/spec/renewTime")]
    {
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
fn a_cluster_without_nodes_is_small() {
    assert!(size_of::<ClusterBase>() <= 320, "{}", size_of::<ClusterBase>());
}

#[test]
fn identities_are_for_who_has_them() {
    let (base, _) = populated();
    let key = ServingKey::generate().unwrap();
    base.facts().serving_identity(&key, at(0)).unwrap().keys_match().unwrap();
    assert!(base.etcd_identity(&key, "cp-0", at(0)).unwrap().is_some());
    assert!(base.etcd_identity(&key, "w-0", at(0)).unwrap().is_none());
    assert!(base.etcd_identity(&key, "nobody", at(0)).unwrap().is_none());
    let config: Value = serde_saphyr::from_str(&base.facts().kubeconfig(at(0)).unwrap()).unwrap();
    assert_eq!(config["clusters"][0]["cluster"]["server"], "https://192.168.111.20:6443");
    assert!(base.facts().secrets().contains("-etcd"));
}
