//! Whole objects, as a reader of the code wants to see them once.

use pretty_assertions::assert_eq;

use super::*;

fn owner(base: &ClusterBase) -> Value {
    let uid = value(base, &node("cp-0"))["metadata"]["uid"].clone();
    json!([{"apiVersion": "v1", "controller": true, "kind": "Node", "name": "cp-0", "uid": uid}])
}

#[test]
fn a_control_plane_node() {
    let (base, _) = populated();
    let got = value(&base, &node("cp-0"));
    assert_eq!(
        got,
        json!({
            "kind": "Node", "apiVersion": "v1",
            "metadata": {
                "name": "cp-0",
                "uid": got["metadata"]["uid"],
                "resourceVersion": got["metadata"]["resourceVersion"],
                "creationTimestamp": "2026-11-18T11:06:40Z",
                "annotations": {
                    "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock",
                    "node.alpha.kubernetes.io/ttl": "0",
                    "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                },
                "labels": {
                    "a": "b",
                    "beta.kubernetes.io/arch": "amd64",
                    "beta.kubernetes.io/os": "linux",
                    "cluster.x-k8s.io/control-plane": "",
                    "kubernetes.io/arch": "amd64",
                    "kubernetes.io/hostname": "cp-0",
                    "kubernetes.io/os": "linux",
                    "metal3.io/uuid": "0f6b8a40-0000-4000-8000-000000000001",
                    "node-role.kubernetes.io/control-plane": "",
                    "node.kubernetes.io/exclude-from-external-load-balancers": "",
                },
            },
            "spec": {
                "podCIDR": "10.128.2.0/24", "podCIDRs": ["10.128.2.0/24"],
                "providerID": "metal3://metal3/cp-0/x",
                "taints": [{"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"}],
            },
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": "172.18.0.12"},
                    {"type": "Hostname", "address": "cp-0"},
                ],
                "allocatable": {"cpu": "8", "ephemeral-storage": "92446451251", "hugepages-1Gi": "0",
                    "hugepages-2Mi": "0", "memory": "32675924Ki", "pods": "110"},
                "capacity": {"cpu": "8", "ephemeral-storage": "100310844Ki", "hugepages-1Gi": "0",
                    "hugepages-2Mi": "0", "memory": "32778324Ki", "pods": "110"},
                "conditions": [
                    {"type": "MemoryPressure", "status": "False", "lastHeartbeatTime": "2026-11-18T11:06:40Z",
                        "lastTransitionTime": "2026-11-18T11:06:40Z", "reason": "KubeletHasSufficientMemory",
                        "message": "kubelet has sufficient memory available"},
                    {"type": "DiskPressure", "status": "False", "lastHeartbeatTime": "2026-11-18T11:06:40Z",
                        "lastTransitionTime": "2026-11-18T11:06:40Z", "reason": "KubeletHasNoDiskPressure",
                        "message": "kubelet has no disk pressure"},
                    {"type": "PIDPressure", "status": "False", "lastHeartbeatTime": "2026-11-18T11:06:40Z",
                        "lastTransitionTime": "2026-11-18T11:06:40Z", "reason": "KubeletHasSufficientPID",
                        "message": "kubelet has sufficient PID available"},
                    {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-18T11:06:40Z",
                        "lastTransitionTime": "2026-11-18T11:06:40Z", "reason": "KubeletReady",
                        "message": "kubelet is posting ready status"},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                "images": [
                    {"names": ["registry.k8s.io/kube-proxy:v1.36.3"], "sizeBytes": 31_929_115},
                    {"names": ["registry.k8s.io/coredns/coredns:v1.14.2"], "sizeBytes": 22_384_805},
                    {"names": ["registry.k8s.io/pause:3.10.2"], "sizeBytes": 320_448},
                ],
                "nodeInfo": {
                    "architecture": "amd64",
                    "bootID": got["status"]["nodeInfo"]["bootID"],
                    "containerRuntimeVersion": "containerd://2.2.1",
                    "kernelVersion": "6.12.48+deb13-amd64",
                    "kubeProxyVersion": "",
                    "kubeletVersion": "v1.36.3",
                    "machineID": got["status"]["nodeInfo"]["machineID"],
                    "operatingSystem": "linux",
                    "osImage": "Debian GNU/Linux 13 (trixie)",
                    "systemUUID": "0f6b8a40-0000-4000-8000-000000000001",
                },
            },
        })
    );
    assert_eq!(got["status"]["nodeInfo"]["machineID"].as_str().unwrap().len(), 32);
}

#[test]
fn a_worker_without_anything() {
    let (mut base, next) = populated();
    let spec = NodeSpec { name: "bare".to_owned(), ..NodeSpec::default() };
    base.put_node(&spec, next, at(0)).unwrap();
    let got = value(&base, &node("bare"));
    assert_eq!(got["spec"], json!({"podCIDR": "10.128.4.0/24", "podCIDRs": ["10.128.4.0/24"]}));
    assert_eq!(
        got["metadata"]["labels"],
        json!({
            "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "bare", "kubernetes.io/os": "linux",
        })
    );
    let system = got["status"]["nodeInfo"]["systemUUID"].as_str().unwrap();
    assert!(Uuid::parse_str(system).is_ok());
}

#[test]
fn the_lease_of_a_node() {
    let (base, _) = populated();
    let got = value(&base, &lease("cp-0"));
    let uid = value(&base, &node("cp-0"))["metadata"]["uid"].clone();
    let renewed = got["spec"]["renewTime"].as_str().unwrap();
    assert_eq!(renewed.len(), 27);
    assert!(renewed.starts_with("2026-11-18T11:06:40."), "not before the node: {renewed}");
    assert_eq!(
        got,
        json!({
            "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
            "metadata": {
                "name": "cp-0", "namespace": "kube-node-lease",
                "uid": got["metadata"]["uid"],
                "resourceVersion": got["metadata"]["resourceVersion"],
                "creationTimestamp": "2026-11-18T11:06:40Z",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "cp-0", "uid": uid}],
            },
            "spec": {"holderIdentity": "cp-0", "leaseDurationSeconds": 40, "renewTime": renewed},
        })
    );
}

#[test]
fn the_etcd_pod_of_a_control_plane() {
    let (base, _) = populated();
    let got = value(&base, &pod("etcd-cp-0"));
    let hash = got["metadata"]["annotations"]["kubernetes.io/config.hash"].clone();
    assert_eq!(
        got["metadata"],
        json!({
            "name": "etcd-cp-0", "namespace": "kube-system",
            "uid": got["metadata"]["uid"],
            "resourceVersion": got["metadata"]["resourceVersion"],
            "creationTimestamp": "2026-11-18T11:06:40Z",
            "annotations": {
                "etcd.inmemory.infrastructure.cluster.x-k8s.io/cluster-id": base.etcd_cluster_id().to_string(),
                "etcd.inmemory.infrastructure.cluster.x-k8s.io/member-id": base.etcd_member_id("cp-0").unwrap().to_string(),
                "kubeadm.kubernetes.io/etcd.advertise-client-urls": "https://172.18.0.12:2379",
                "kubernetes.io/config.hash": hash,
                "kubernetes.io/config.mirror": hash,
                "kubernetes.io/config.seen": "2026-11-18T11:06:40.000000Z",
                "kubernetes.io/config.source": "file",
            },
            "labels": {"component": "etcd", "tier": "control-plane"},
            "ownerReferences": owner(&base),
        })
    );
    let spec = &got["spec"];
    assert_eq!(spec["nodeName"], "cp-0");
    assert_eq!(spec["hostNetwork"], true);
    assert_eq!(spec["priorityClassName"], "system-node-critical");
    assert_eq!(spec["containers"][0]["image"], "registry.k8s.io/etcd:3.6.8-0");
    let status = &got["status"];
    assert_eq!(status["phase"], "Running");
    assert_eq!(status["podIP"], "172.18.0.12");
    let kinds: Vec<&Value> =
        status["conditions"].as_array().unwrap().iter().map(|c| &c["type"]).collect();
    assert_eq!(
        kinds,
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    );
    assert_eq!(status["containerStatuses"][0]["ready"], true);
    let leader = value(&base, &pod("etcd-cp-1"));
    let from = &leader["metadata"]["annotations"]["etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from"];
    assert_eq!(from, "2026-11-18T11:06:40Z");
}
