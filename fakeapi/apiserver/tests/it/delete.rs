//! Delete.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

#[tokio::test]
async fn the_answer_says_what_is_gone() {
    let server = Server::new();
    let made = server.config_map("c").await;
    let path = format!("{CONFIG_MAPS}/c");
    let answer = server.delete(&path).await.is(200);
    assert_eq!(
        answer.json(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "c", "kind": "configmaps", "uid": made["metadata"]["uid"]},
        })
    );
    server.delete(&path).await.refuses(404, "NotFound", "configmaps \"c\" not found");
    server.post(PODS, &pod("p")).await.is(201);
    let gone = server.delete_with(&format!("{PODS}/p"), &json!({"gracePeriodSeconds": 0})).await;
    let gone = gone.is(200).json();
    assert_eq!(gone["kind"], "Pod");
    assert!(gone["metadata"]["deletionTimestamp"].is_string());
    server.get(&format!("{PODS}/p")).await.is(404);
    let account = "/api/v1/namespaces/default/serviceaccounts";
    server.post(account, &json!({"metadata": {"name": "a"}})).await.is(201);
    let gone = server.delete(&format!("{account}/a")).await.is(200);
    assert_eq!(gone.at("/kind"), "ServiceAccount");
    assert_eq!(gone.at("/metadata/deletionTimestamp"), Value::Null);
}

#[tokio::test]
async fn preconditions_are_checked() {
    let server = Server::new();
    let made = server.config_map("c").await;
    let path = format!("{CONFIG_MAPS}/c");
    let uid = made["metadata"]["uid"].as_str().unwrap();
    server.delete_with(&path, &json!({"preconditions": {"uid": "other"}})).await.refuses(
        409,
        "Conflict",
        &format!(
            "Operation cannot be fulfilled on ConfigMap \"c\": the UID in the precondition (other) \
             does not match the UID in record ({uid}). The object might have been deleted and then \
             recreated"
        ),
    );
    server.delete_with(&path, &json!({"preconditions": {"resourceVersion": "1"}})).await.refuses(
        409,
        "Conflict",
        "Operation cannot be fulfilled on ConfigMap \"c\": the ResourceVersion in the precondition \
         (1) does not match the ResourceVersion in record (4). The object might have been modified",
    );
    let fits = json!({"preconditions": {"uid": uid, "resourceVersion": "4"}});
    server.delete_with(&path, &fits).await.is(200);
}

#[tokio::test]
async fn options_come_in_body_or_query() {
    let server = Server::new();
    server.config_map("c").await;
    let path = format!("{CONFIG_MAPS}/c");
    server.delete(&format!("{path}?dryRun=All")).await.is(200);
    server.delete_with(&path, &json!({"dryRun": ["All"]})).await.is(200);
    server.delete_with(&path, &json!({"dryRun": ["Maybe"]})).await.is(422);
    server.delete(&format!("{path}?propagationPolicy=Never")).await.refuses(
        422,
        "Invalid",
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \
         \"Never\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
    );
    server.delete_with(&path, &json!({"kind": "Pod"})).await.is(400);
    server.get(&path).await.is(200);
    let options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"},
    });
    let bytes = apiserver::protobuf::encode(&options, "v1", "DeleteOptions").unwrap();
    let headers = [("content-type", "application/vnd.kubernetes.protobuf")];
    server.ask("DELETE", &path, &headers, bytes).await.is(409);
    let options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background",
        "gracePeriodSeconds": null, "preconditions": null,
    });
    server.delete_with(&path, &options).await.is(200);
    server.get(&path).await.is(404);
}

#[tokio::test]
async fn a_collection_goes_by_its_selectors() {
    let server = Server::new();
    for name in ["a", "b", "c"] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"keep": (name == "b").to_string()});
        server.post(CONFIG_MAPS, &object).await.is(201);
    }
    let dry = server.delete(&format!("{CONFIG_MAPS}?dryRun=All")).await.is(200);
    assert_eq!(dry.names(), ["a", "b", "c"]);
    let gone = server.delete(&format!("{CONFIG_MAPS}?labelSelector=keep%3Dfalse")).await.is(200);
    assert_eq!(gone.at("/kind"), "ConfigMapList");
    assert_eq!(gone.names(), ["a", "c"]);
    assert_eq!(server.get(CONFIG_MAPS).await.names(), ["b"]);
    let gone = server.delete(&format!("{CONFIG_MAPS}?fieldSelector=metadata.name%3Db")).await;
    assert_eq!(gone.is(200).names(), ["b"]);
    server.delete("/api/v1/configmaps").await.is(405);
}

/// A pod on a node, as a scheduler leaves it.
async fn bound(server: &Server, name: &str) -> String {
    let mut object = pod(name);
    object["spec"]["nodeName"] = "n1".into();
    server.post(PODS, &object).await.is(201);
    format!("{PODS}/{name}")
}

#[tokio::test]
async fn a_pod_on_a_node_waits_for_its_kubelet() {
    let server = Server::new();
    let path = bound(&server, "p").await;
    let marked = server.delete(&path).await.is(200).json();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30, "what the pod says");
    assert_eq!(marked["metadata"]["generation"], 2);
    let end = marked["metadata"]["deletionTimestamp"].as_str().unwrap().to_owned();
    let again = server.delete_with(&path, &json!({"gracePeriodSeconds": 60})).await.is(200);
    assert_eq!(again.json(), marked, "nobody grants more");
    let less = server.delete_with(&path, &json!({"gracePeriodSeconds": 10})).await.is(200).json();
    assert_eq!(less["metadata"]["deletionGracePeriodSeconds"], 10);
    assert_eq!(less["metadata"]["generation"], 2);
    let second = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let sooner = less["metadata"]["deletionTimestamp"].as_str().unwrap();
    assert_eq!(second(&end) - second(sooner), 20);
    server.delete_with(&path, &json!({"gracePeriodSeconds": 0})).await.is(200);
    server.get(&path).await.is(404);

    let path = bound(&server, "q").await;
    let marked = server.delete(&format!("{path}?gracePeriodSeconds=-5")).await.is(200);
    assert_eq!(marked.at("/metadata/deletionGracePeriodSeconds"), 1);
    let path = bound(&server, "done").await;
    let done = json!({"status": {"phase": "Succeeded"}});
    server.patch(&format!("{path}/status"), MERGE, &done).await.is(200);
    server.delete(&path).await.is(200);
    server.get(&path).await.is(404);
}
