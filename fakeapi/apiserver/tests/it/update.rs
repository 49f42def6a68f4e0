//! Update.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest \
                        version and try again";

#[tokio::test]
async fn a_stale_write_is_refused_and_an_unconditional_one_is_not() {
    let server = Server::new();
    let path = format!("{CONFIG_MAPS}/c");
    let first = server.config_map("c").await;
    let mut second = first.clone();
    second["data"] = json!({"a": "2"});
    let second = server.put(&path, &second).await.is(200).json();
    assert!(revision(&second) > revision(&first));
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    let answer = server.put(&path, &first).await.refuses(
        409,
        "Conflict",
        &format!("Operation cannot be fulfilled on configmaps \"c\": {MODIFIED}"),
    );
    assert_eq!(answer.at("/details"), json!({"name": "c", "kind": "configmaps"}));
    let third = server.put(&path, &config_map("c")).await.is(200).json();
    assert_eq!(third["data"], json!({"a": "1"}));
    assert_eq!(third["metadata"]["creationTimestamp"], first["metadata"]["creationTimestamp"]);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    server.post(lease, &json!({"metadata": {"name": "l"}})).await.is(201);
    server.put(&format!("{lease}/l"), &json!({"metadata": {"name": "l"}})).await.refuses(
        422,
        "Invalid",
        "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: \
         must be specified for an update",
    );
}

#[tokio::test]
async fn nothing_new_is_no_change() {
    let server = Server::new();
    let path = format!("{CONFIG_MAPS}/c");
    let first = server.config_map("c").await;
    let mut same = first.clone();
    same["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    same["metadata"]["labels"] = json!({});
    same["binaryData"] = Value::Null;
    assert_eq!(server.put(&path, &same).await.is(200).json(), first);
    let dry = server.put(&format!("{path}?dryRun=All"), &config_map("c")).await.is(200).json();
    assert_eq!(dry, first);
    let mut other = first.clone();
    other["data"] = json!({"b": "1"});
    let dry = server.put(&format!("{path}?dryRun=All"), &other).await.is(200).json();
    assert_eq!(dry["data"], json!({"b": "1"}));
    assert_eq!(server.get(&path).await.json(), first);
}

#[tokio::test]
async fn names_and_uids_must_fit() {
    let server = Server::new();
    let path = format!("{CONFIG_MAPS}/c");
    let first = server.config_map("c").await;
    server.put(&path, &config_map("d")).await.refuses(
        400,
        "BadRequest",
        "the name of the object (d) does not match the name on the URL (c)",
    );
    let mut other = first.clone();
    other["metadata"]["uid"] = "other".into();
    let answer = server.put(&path, &other).await.is(409);
    assert_eq!(answer.at("/reason"), "Conflict");
    let tail = format!(
        "Precondition failed: UID in precondition: other, UID in object meta: {}",
        first["metadata"]["uid"].as_str().unwrap()
    );
    assert!(answer.message().ends_with(&tail), "{}", answer.message());
    server.put(&format!("{CONFIG_MAPS}/x"), &config_map("x")).await.refuses(
        404,
        "NotFound",
        "configmaps \"x\" not found",
    );
    let role = json!({"metadata": {"name": "r"}, "rules": []});
    let role = server.put("/apis/rbac.authorization.k8s.io/v1/clusterroles/r", &role).await;
    assert!(role.is(201).at("/metadata/uid").is_string(), "a PUT may create roles");
}

#[tokio::test]
async fn status_and_spec_are_kept_apart() {
    let server = Server::new();
    let path = format!("{DEPLOYMENTS}/d");
    let mut sent = deployment("d");
    sent["status"] = json!({"replicas": 7});
    let first = server.post(DEPLOYMENTS, &sent).await.is(201).json();
    assert_eq!(first["status"], json!({}), "not at creation");
    let mut next = first.clone();
    next["spec"]["replicas"] = 5.into();
    next["status"] = json!({"replicas": 7});
    let spec = server.put(&path, &next).await.is(200).json();
    assert_eq!((&spec["spec"]["replicas"], &spec["status"]), (&json!(5), &json!({})));
    assert_eq!(spec["metadata"]["generation"], 2);
    let mut next = spec.clone();
    next["spec"]["replicas"] = 9.into();
    next["metadata"]["labels"] = json!({"a": "b"});
    next["status"] = json!({"replicas": 3, "observedGeneration": 2});
    let status = server.put(&format!("{path}/status"), &next).await.is(200).json();
    assert_eq!(status["spec"]["replicas"], 5);
    assert_eq!(status["status"]["replicas"], 3);
    assert_eq!(status["metadata"]["generation"], 2);
    assert_eq!(status["metadata"].get("labels"), None);
    let mut labelled = status.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let labelled = server.put(&path, &labelled).await.is(200).json();
    assert_eq!(labelled["metadata"]["generation"], 2, "metadata is no spec");
    assert_eq!(server.get(&format!("{path}/status")).await.json(), labelled);
}

#[tokio::test]
async fn some_fields_stay_as_they_were_made() {
    let server = Server::new();
    server.post(DEPLOYMENTS, &deployment("d")).await.is(201);
    let mut other = deployment("d");
    other["spec"]["selector"] = json!({"matchLabels": {"app": "x"}});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "x"});
    server.put(&format!("{DEPLOYMENTS}/d"), &other).await.refuses(
        422,
        "Invalid",
        "Deployment.apps \"d\" is invalid: spec.selector: Invalid value: \
         {\"matchLabels\":{\"app\":\"x\"}}: field is immutable",
    );
    let mut fixed = config_map("c");
    fixed["immutable"] = true.into();
    server.post(CONFIG_MAPS, &fixed).await.is(201);
    fixed["data"] = json!({"a": "2"});
    server.put(&format!("{CONFIG_MAPS}/c"), &fixed).await.refuses(
        422,
        "Invalid",
        "ConfigMap \"c\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
    );
    fixed["data"] = json!({"a": "1"});
    fixed["metadata"]["labels"] = json!({"l": "1"});
    server.put(&format!("{CONFIG_MAPS}/c"), &fixed).await.is(200);
    let secret = json!({"metadata": {"name": "s"}, "type": "a/b"});
    server.post(SECRETS, &secret).await.is(201);
    let secret = json!({"metadata": {"name": "s"}, "type": "a/c"});
    server.put(&format!("{SECRETS}/s"), &secret).await.refuses(
        422,
        "Invalid",
        "Secret \"s\" is invalid: type: Invalid value: \"a/c\": field is immutable",
    );
}

#[tokio::test]
async fn the_last_finalizer_taken_away_ends_a_deleted_object() {
    let server = Server::new();
    let path = format!("{CONFIG_MAPS}/c");
    let mut held = config_map("c");
    held["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    server.post(CONFIG_MAPS, &held).await.is(201);
    let marked = server.delete(&path).await.is(200).json();
    assert_eq!(marked["kind"], "ConfigMap");
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    let again = server.delete(&path).await.is(200).json();
    assert_eq!(revision(&again), revision(&marked), "deleting again changes nothing");
    let mut less = again.clone();
    less["metadata"]["finalizers"] = json!(["example.com/b"]);
    let less = server.put(&path, &less).await.is(200).json();
    let mut none = less.clone();
    none["metadata"]["finalizers"] = json!([]);
    let mut watch =
        server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", revision(&less))).await;
    server.put(&path, &none).await.is(200);
    server.get(&path).await.is(404);
    assert_eq!(watch.seen().await.0, "DELETED");
    let mut late = config_map("d");
    late["metadata"]["finalizers"] = json!(["example.com/a"]);
    server.post(CONFIG_MAPS, &late).await.is(201);
    server.delete(&format!("{CONFIG_MAPS}/d")).await.is(200);
    let mut more = server.get(&format!("{CONFIG_MAPS}/d")).await.json();
    more["metadata"]["finalizers"] = json!(["example.com/a", "example.com/new"]);
    let answer = server.put(&format!("{CONFIG_MAPS}/d"), &more).await;
    answer.refuses(
        422,
        "Invalid",
        "ConfigMap \"d\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be \
         added if the object is being deleted, found new finalizers []string{\"example.com/new\"}",
    );
}
