//! Kubelets that fare otherwise, for what clients have written to and over a restart.

use apiserver::storage::{Entry, Expect, Key, Object, ResourceId, Storage};
use serde_json::{Value, json};

use super::*;
use crate::register::{NodeHealth, RegisterError, RegisterRequest, Registrar};

fn key(resource: &str, namespace: &str, name: &str) -> Key {
    Key::new(ResourceId::of("", resource), namespace, name)
}

fn read(run: &Run, key: &Key) -> Value {
    run.registry.known(&named("c")).unwrap().store.get(key).unwrap().value()
}

/// Writes to an object as a client does.
fn write(run: &Run, key: &Key, edit: impl Fn(&mut Value)) {
    let cluster = run.registry.known(&named("c")).unwrap();
    let current = cluster.store.get(key).unwrap();
    let mut value = current.value();
    edit(&mut value);
    let mut put = |revision: u64| {
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        Object::encode(&value)
    };
    let expect = Expect::Revision(current.meta.resource_version);
    cluster.store.commit(key, expect, Entry::Put(&mut put)).unwrap();
}

fn status(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == kind).unwrap();
    found["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_clients_wrote_shows_it_too_and_a_restart_keeps_it() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    run.registry.put_node(&named("c"), control_plane("n")).await.unwrap();
    let (node, pod) = (key("nodes", "", "n"), key("pods", "kube-system", "etcd-n"));
    for key in [&node, &pod] {
        write(&run, key, |object| object["metadata"]["annotations"]["mine"] = json!("1"));
    }
    let unknown = run.registry.set_node_health(&named("c"), "x", NodeHealth::NotReady).await;
    assert!(matches!(unknown, Err(RegisterError::UnknownNode { .. })), "{unknown:?}");
    run.registry.set_node_health(&named("c"), "n", NodeHealth::Unreachable).await.unwrap();
    let check = |run: &Run| {
        let lost = read(run, &node);
        assert_eq!(lost["metadata"]["annotations"]["mine"], "1");
        assert_eq!(status(&lost, "Ready"), "Unknown");
        assert_eq!(lost["spec"]["taints"].as_array().unwrap().len(), 3);
        assert_eq!(status(&read(run, &pod), "Ready"), "False");
        assert_eq!(
            status(&read(run, &key("pods", "kube-system", "kube-apiserver-n")), "Ready"),
            "False"
        );
        let unwell = run.registry.unwell(&named("c")).unwrap();
        assert_eq!(unwell, BTreeMap::from([("n".to_owned(), NodeHealth::Unreachable)]));
        lost
    };
    let before = check(&run);
    drop(run);
    let run = start(directory.path(), None);
    assert_eq!(check(&run), before);
    run.registry.set_node_health(&named("c"), "n", NodeHealth::Ready).await.unwrap();
    assert_eq!(status(&read(&run, &node), "Ready"), "True");
    assert_eq!(read(&run, &node)["spec"]["taints"].as_array().unwrap().len(), 1);
    assert_eq!(status(&read(&run, &pod), "Ready"), "True");
    assert!(run.registry.unwell(&named("c")).unwrap().is_empty());
}

#[tokio::test]
async fn pods_on_a_silent_node_end_when_its_kubelet_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    run.registry.put_node(&named("c"), control_plane("n")).await.unwrap();
    run.registry.set_node_health(&named("c"), "n", NodeHealth::Unreachable).await.unwrap();
    let pod = key("pods", "default", "p");
    let cluster = run.registry.known(&named("c")).unwrap();
    let mut put = |revision: u64| {
        Object::encode(&json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {
                "name": "p", "namespace": "default", "uid": "u",
                "resourceVersion": revision.to_string(),
                "deletionTimestamp": "2026-11-21T09:00:00Z", "deletionGracePeriodSeconds": 1,
            },
            "spec": {"nodeName": "n", "containers": [{"name": "c"}]}, "status": {"phase": "Running"},
        }))
    };
    cluster.storage().commit(&pod, Expect::Absent, Entry::Put(&mut put)).unwrap();
    drop(cluster);
    drop(run);
    let run = start(directory.path(), None);
    let there = |run: &Run| run.registry.known(&named("c")).unwrap().store.get(&pod).is_some();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert!(there(&run), "nobody stops it");
    run.registry.set_node_health(&named("c"), "n", NodeHealth::Ready).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while there(&run) {
        assert!(std::time::Instant::now() < deadline, "it stays");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
