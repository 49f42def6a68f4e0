use serde_json::{Value, json};

use super::super::tests::{Run, control_plane, named, start};
use super::*;
use crate::register::{NodeSpec, RegisterRequest, Registrar};

async fn with_node(run: &Run) -> Arc<Cluster> {
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    run.registry.put_node(&named("c"), control_plane("n")).await.unwrap();
    run.registry.known(&named("c")).unwrap()
}

/// Writes to the store itself, where nobody follows.
fn write(cluster: &Cluster, key: &Key, mut object: Value) {
    let mut put = |revision: u64| {
        object["metadata"]["resourceVersion"] = revision.to_string().into();
        Object::encode(&object)
    };
    let expect = cluster.store.get(key);
    let expect =
        expect.map_or(Expect::Absent, |object| Expect::Revision(object.meta.resource_version));
    cluster.store.commit(key, expect, Entry::Put(&mut put)).unwrap();
}

fn pod(cluster: &Cluster, name: &str, labels: &Value) -> Key {
    let key = Key::new(RESOURCES.pods, "default", name);
    let pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": labels},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Pending"},
    });
    write(cluster, &key, pod);
    key
}

fn read(cluster: &Cluster, key: &Key) -> Value {
    cluster.store.get(key).unwrap().value()
}

#[tokio::test]
async fn what_is_to_be_done_first_does_not_count_as_what_follows() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    let cluster = with_node(&run).await;
    let waits = pod(&cluster, "waits", &json!({}));
    let gone = Step::from(Key::new(RESOURCES.pods, "none", "gone"));
    let mut steps = vec![Step::from(waits.clone())];
    steps.extend((0..MAX_STEPS).map(|_| Step::from(gone.key.clone())));
    cluster.follow_all(steps);
    assert_eq!(read(&cluster, &waits)["status"]["phase"], "Running");
}

#[tokio::test]
async fn a_budget_counts_its_pods_when_all_of_them_run() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    let cluster = with_node(&run).await;
    let budget = Key::new(*BUDGETS, "default", "b");
    write(
        &cluster,
        &budget,
        json!({
            "kind": "PodDisruptionBudget", "apiVersion": "policy/v1",
            "metadata": {"name": "b", "namespace": "default", "generation": 1},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
        }),
    );
    let mut steps: Vec<Step> = Vec::new();
    for (name, app) in [("one", "a"), ("two", "a"), ("other", "b")] {
        steps.push(pod(&cluster, name, &json!({"app": app})).into());
    }
    let before = cluster.store.revision();
    cluster.follow_all(steps);
    let status = read(&cluster, &budget)["status"].clone();
    assert_eq!((&status["expectedPods"], &status["currentHealthy"]), (&json!(2), &json!(2)));
    assert_eq!(cluster.store.revision(), before + 4, "three pods and their budget, once");
}

#[tokio::test]
async fn the_written_pods_of_a_node_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    let cluster = with_node(&run).await;
    assert_eq!(cluster.written_pods_on("n"), []);
    let keys = ["a", "b"].map(|name| pod(&cluster, name, &json!({})));
    write(
        &cluster,
        &Key::new(ResourceId::of("", "configmaps"), "default", "m"),
        json!({
            "metadata": {"name": "m", "namespace": "default"}, "spec": {"nodeName": "n"},
        }),
    );
    assert_eq!(cluster.written_pods_on("n"), keys);
    assert_eq!(cluster.written_pods_on("m"), []);
}

/// The reconciler compares with the base: what a kill cuts off between the two is put again only
/// while the base is the old one.
#[tokio::test]
async fn a_stored_node_is_updated_before_the_base() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    let cluster = with_node(&run).await;
    let key = super::super::nodes::node_key("n");
    let mut node = read(&cluster, &key);
    node["metadata"]["annotations"]["mine"] = "1".into();
    write(&cluster, &key, node);
    let before = cluster.store.revision();
    let spec = NodeSpec { provider_id: Some("metal3://x".to_owned()), ..control_plane("n") };
    run.registry.put_node(&named("c"), spec).await.unwrap();
    let stored = cluster.store.get(&key).unwrap();
    assert_eq!(stored.value()["spec"]["providerID"], "metal3://x");
    assert_eq!(stored.meta.resource_version, before + 1);
    assert!(cluster.store.revision() > before + 1);
}
