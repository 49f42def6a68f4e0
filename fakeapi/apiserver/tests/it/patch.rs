//! Patch.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

#[tokio::test]
async fn each_kind_of_patch_changes_its_way() {
    let server = Server::new();
    server.config_map("c").await;
    let path = format!("{CONFIG_MAPS}/c");
    let merged = server.patch(&path, MERGE, &json!({"data": {"b": "2", "a": null}})).await.is(200);
    assert_eq!(merged.at("/data"), json!({"b": "2"}));
    let operations = json!([
        {"op": "test", "path": "/data/b", "value": "2"},
        {"op": "add", "path": "/metadata/labels", "value": {"l": "1"}},
    ]);
    let patched = server.patch(&path, JSON_PATCH, &operations).await.is(200);
    assert_eq!(patched.at("/metadata/labels"), json!({"l": "1"}));
    server.post(DEPLOYMENTS, &deployment("d")).await.is(201);
    let strategic = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "c", "env": [{"name": "E", "value": "1"}]}, {"name": "side", "image": "b"},
    ]}}}});
    let path = format!("{DEPLOYMENTS}/d");
    let patched = server.patch(&path, STRATEGIC, &strategic).await.is(200).json();
    let containers = patched["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let found: Vec<_> =
        containers.iter().map(|c| (c["name"].clone(), c["image"].clone())).collect();
    assert_eq!(found.len(), 2);
    assert!(found.contains(&(json!("c"), json!("nginx"))), "{found:?}");
    assert_eq!(patched["metadata"]["generation"], 2);
    let same = server.patch(&path, STRATEGIC, &strategic).await.is(200).json();
    assert_eq!(same, patched, "nothing new, no new revision");
}

#[tokio::test]
async fn patches_that_cannot_be_are_refused() {
    let server = Server::new();
    let first = server.config_map("c").await;
    let path = format!("{CONFIG_MAPS}/c");
    let missing = server.patch(&format!("{CONFIG_MAPS}/x"), MERGE, &json!({})).await;
    missing.refuses(404, "NotFound", "configmaps \"x\" not found");
    let answer = server.patch(&path, "application/json", &json!({})).await.is(415);
    assert!(answer.message().starts_with(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json"
    ));
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"x": "y"}});
    for kind in [MERGE, STRATEGIC] {
        let answer = server.patch(&path, kind, &stale).await.is(409);
        assert_eq!(answer.at("/reason"), "Conflict");
    }
    let current = json!({"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}});
    server.patch(&path, MERGE, &current).await.is(200);
    let uid = json!({"metadata": {"uid": "other"}});
    server.patch(&path, MERGE, &uid).await.is(409);
    let failed = json!([{"op": "test", "path": "/data/a", "value": "9"}]);
    let answer = server.patch(&path, JSON_PATCH, &failed).await.is(422);
    assert_eq!(answer.at("/reason"), "Invalid");
    let answer =
        server.patch(&path, JSON_PATCH, &json!([{"op": "remove", "path": "/data/zz"}])).await;
    assert_eq!(answer.is(422).at("/reason"), "Invalid");
    for (kind, body) in [(JSON_PATCH, json!({"a": 1})), (MERGE, json!([])), (STRATEGIC, json!(3))] {
        server.patch(&path, kind, &body).await.is(400);
    }
    let named = server.patch(&path, MERGE, &json!({"metadata": {"name": "other"}})).await.is(400);
    assert_eq!(named.at("/reason"), "BadRequest");
    let invalid = json!({"metadata": {"labels": {"a b": "c"}}});
    server.patch(&path, MERGE, &invalid).await.is(422);
    let wrong = server.patch(&path, MERGE, &json!({"data": {"a": 1}})).await.is(400);
    assert_eq!(wrong.at("/reason"), "BadRequest");
    assert_eq!(server.get(&path).await.json(), first, "nothing of this changed it");
}

#[tokio::test]
async fn patches_that_name_no_revision_all_arrive() {
    let server = Server::new();
    server.config_map("c").await;
    let path = format!("{CONFIG_MAPS}/c");
    let patches = (0..32).map(|index| {
        let (server, path) = (server.clone(), path.clone());
        tokio::spawn(async move {
            let change = json!({"data": {format!("k{index}"): "x"}});
            server.patch(&path, MERGE, &change).await.is(200);
        })
    });
    futures::future::join_all(patches).await.into_iter().for_each(|done| done.unwrap());
    assert_eq!(server.get(&path).await.at("/data").as_object().unwrap().len(), 33);
}

#[tokio::test]
async fn a_status_patch_touches_the_status_alone() {
    let server = Server::new();
    let node = json!({"metadata": {"name": "n"}});
    server.post("/api/v1/nodes", &node).await.is(201);
    let patch = json!({
        "metadata": {"annotations": {"a": "b"}}, "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let url = "/api/v1/nodes/n/status";
    let patched = server.patch(url, STRATEGIC, &patch).await.is(200).json();
    assert_eq!(patched["spec"], json!({}));
    assert_eq!(patched["metadata"]["annotations"], json!({"a": "b"}), "a kubelet does this");
    assert_eq!(patched["status"]["conditions"][0]["type"], "Ready");
    let more = json!({"status": {"conditions": [{"type": "DiskPressure", "status": "False"}]}});
    let patched = server.patch(url, STRATEGIC, &more).await.is(200).json();
    assert_eq!(patched["status"]["conditions"].as_array().unwrap().len(), 2, "merged by type");
    let cordon = json!({"spec": {"unschedulable": true}});
    let patched = server.patch("/api/v1/nodes/n", STRATEGIC, &cordon).await.is(200);
    assert_eq!(patched.at("/spec/unschedulable"), true);
    let patched =
        server.patch("/api/v1/nodes/n", STRATEGIC, &json!({"spec": {"unschedulable": null}})).await;
    assert_eq!(patched.at("/spec/unschedulable"), Value::Null);
}
