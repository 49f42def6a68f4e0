//! Scale, eviction, binding.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

#[tokio::test]
async fn scale_is_a_view_of_replicas() {
    let server = Server::new();
    server.post(DEPLOYMENTS, &deployment("d")).await.is(201);
    let path = format!("{DEPLOYMENTS}/d/scale");
    let scale = server.get(&path).await.is(200).json();
    assert_eq!((&scale["kind"], &scale["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
    assert_eq!(scale["spec"], json!({"replicas": 1}));
    assert_eq!(scale["status"], json!({"replicas": 0, "selector": "app=d"}));
    let patched = server.patch(&path, MERGE, &json!({"spec": {"replicas": 3}})).await.is(200);
    assert_eq!(patched.at("/spec/replicas"), 3);
    let deployment = server.get(&format!("{DEPLOYMENTS}/d")).await.json();
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(deployment["metadata"]["generation"], 2);
    server.put(&path, &scale).await.is(409);
    let mut next = patched.json();
    next["spec"]["replicas"] = 5.into();
    assert_eq!(server.put(&path, &next).await.is(200).at("/spec/replicas"), 5);
    next["spec"]["replicas"] = (-1).into();
    let answer = server.put(&path, &next).await.is(422);
    assert_eq!(
        answer.message(),
        "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than \
         or equal to 0"
    );
    server.patch(&path, "application/json", &json!({})).await.is(415);
    server.get(&format!("{DEPLOYMENTS}/x/scale")).await.is(404);
    server.get(&format!("{DEPLOYMENTS}/d/nothing")).await.is(404);
    server.get(&format!("{CONFIG_MAPS}/c/scale")).await.is(404);
    server.delete(&path).await.is(405);
}

fn eviction(name: &str) -> Value {
    json!({"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name, "namespace": "default"}})
}

#[tokio::test]
async fn an_evicted_pod_is_gone() {
    let server = Server::new();
    for name in ["a", "b"] {
        server.post(PODS, &pod(name)).await.is(201);
    }
    let mut dry = eviction("a");
    dry["deleteOptions"] = json!({"dryRun": ["All"]});
    server.post(&format!("{PODS}/a/eviction"), &dry).await.is(201);
    server.get(&format!("{PODS}/a")).await.is(200);
    let answer = server.post(&format!("{PODS}/a/eviction"), &eviction("a")).await.is(201);
    assert_eq!(answer.at("/status"), "Success");
    assert_eq!(answer.at("/code"), 201);
    server.get(&format!("{PODS}/a")).await.is(404);
    let answer = server.post(&format!("{PODS}/a/eviction"), &eviction("a")).await;
    answer.refuses(404, "NotFound", "pods \"a\" not found");
    server.post(&format!("{PODS}/b/eviction"), &eviction("other")).await.is(400);
    let bytes = apiserver::protobuf::encode(&eviction("b"), "policy/v1", "Eviction").unwrap();
    let headers = [("content-type", "application/vnd.kubernetes.protobuf")];
    server.ask("POST", &format!("{PODS}/b/eviction"), &headers, bytes).await.is(201);
    server.get(&format!("{PODS}/b")).await.is(404);
}

#[tokio::test]
async fn a_budget_protects_its_pods() {
    let server = Server::new();
    server.post(PODS, &pod("a")).await.is(201);
    let running = |ready: &str| json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
    server.patch(&format!("{PODS}/a/status"), MERGE, &running("True")).await.is(200);
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({
        "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
    });
    server.post(budgets, &budget).await.is(201);
    let status = |allowed: i64| {
        json!({"status": {
            "disruptionsAllowed": allowed, "desiredHealthy": 1, "currentHealthy": 1,
            "expectedPods": 1, "observedGeneration": 1,
        }})
    };
    server.patch(&format!("{budgets}/b/status"), MERGE, &status(0)).await.is(200);
    let path = format!("{PODS}/a/eviction");
    let answer = server.post(&path, &eviction("a")).await.refuses(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
    );
    assert_eq!(
        answer.at("/details/causes/0"),
        json!({
            "reason": "DisruptionBudget",
            "message": "The disruption budget b needs 1 healthy pods and has 1 currently",
        })
    );
    assert_eq!(answer.header("retry-after"), "", "clients would try again by themselves");
    let mut second = budget.clone();
    second["metadata"]["name"] = "b2".into();
    server.post(budgets, &second).await.is(201);
    let answer = server.post(&path, &eviction("a")).await.is(500);
    assert!(answer.message().contains("more than one PodDisruptionBudget"));
    server.delete(&format!("{budgets}/b2")).await.is(200);
    server.patch(&format!("{budgets}/b/status"), MERGE, &status(1)).await.is(200);
    server.post(&path, &eviction("a")).await.is(201);
    // One that serves nobody goes while enough others are healthy, or when the budget says so.
    server.post(PODS, &pod("a")).await.is(201);
    server.patch(&format!("{PODS}/a/status"), MERGE, &running("False")).await.is(200);
    let none = json!({"status": {"disruptionsAllowed": 0, "currentHealthy": 0}});
    server.patch(&format!("{budgets}/b/status"), MERGE, &none).await.is(200);
    server.post(&path, &eviction("a")).await.is(429);
    let always = json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}});
    server.patch(&format!("{budgets}/b"), MERGE, &always).await.is(200);
    server.post(&path, &eviction("a")).await.is(201);
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let server = Server::new();
    server.post(PODS, &pod("a")).await.is(201);
    let binding = json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}});
    let path = format!("{PODS}/a/binding");
    server.post(&path, &json!({"metadata": {"name": "a"}})).await.is(422);
    server.post(&path, &binding).await.is(201);
    let bound = server.get(&format!("{PODS}/a")).await;
    assert_eq!(bound.at("/spec/nodeName"), "n1");
    assert_eq!(bound.at("/status/conditions/0/type"), "PodScheduled");
    let again = server.post(&path, &binding).await.is(409);
    assert!(
        again.message().contains("pod a is already assigned to node \"n1\""),
        "{}",
        again.message()
    );
}
