//! What goes with an owner.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

/// A ConfigMap in `default` that `owners` own.
async fn owned(server: &Server, name: &str, owners: &[(&Value, bool)]) -> Value {
    let reference = |(owner, block): &(&Value, bool)| {
        json!({
            "apiVersion": owner["apiVersion"], "kind": owner["kind"],
            "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": block,
        })
    };
    let mut object = config_map(name);
    object["metadata"]["ownerReferences"] = owners.iter().map(reference).collect();
    server.post(CONFIG_MAPS, &object).await.is(201).json()
}

async fn names(server: &Server) -> String {
    server.get(CONFIG_MAPS).await.names().join(" ")
}

fn path(name: &str) -> String {
    format!("{CONFIG_MAPS}/{name}")
}

#[tokio::test]
async fn dependents_go_after_their_owner_down_the_chain() {
    let server = Server::new();
    let root = server.config_map("root").await;
    let mut above = owned(&server, "d0", &[(&root, true)]).await;
    for index in 1..200 {
        above = owned(&server, &format!("d{index}"), &[(&above, false)]).await;
    }
    server.config_map("other").await;
    server.delete(&path("root")).await.is(200);
    assert_eq!(names(&server).await, "other");
}

#[tokio::test]
async fn who_has_another_owner_stays() {
    let server = Server::new();
    let (a, b) = (server.config_map("a").await, server.config_map("b").await);
    owned(&server, "both", &[(&a, false), (&b, false)]).await;
    server.delete(&path("a")).await.is(200);
    assert_eq!(names(&server).await, "b both");
    let left = server.get(&path("both")).await.at("/metadata/ownerReferences");
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["name"], "b");
    server.delete(&path("b")).await.is(200);
    assert_eq!(names(&server).await, "");
}

#[tokio::test]
async fn orphans_forget_their_owner() {
    let server = Server::new();
    let owner = server.config_map("owner").await;
    owned(&server, "child", &[(&owner, true)]).await;
    let options = json!({"propagationPolicy": "Orphan"});
    let marked = server.delete_with(&path("owner"), &options).await.is(200);
    assert_eq!(marked.at("/metadata/finalizers"), json!(["orphan"]));
    assert_eq!(names(&server).await, "child");
    assert_eq!(server.get(&path("child")).await.at("/metadata/ownerReferences"), Value::Null);
    let alone = server.delete_with(&path("child"), &options).await.is(200);
    assert!(alone.at("/metadata/deletionTimestamp").is_string());
    assert_eq!(names(&server).await, "", "nothing is ever left with our finalizer");
}

#[tokio::test]
async fn an_owner_in_the_foreground_waits_for_who_blocks_it() {
    let server = Server::new();
    let owner = server.config_map("owner").await;
    let middle = owned(&server, "middle", &[(&owner, true)]).await;
    let mut leaf = owned(&server, "leaf", &[(&middle, true)]).await;
    leaf["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.put(&path("leaf"), &leaf).await.is(200);
    let options = json!({"propagationPolicy": "Foreground"});
    let marked = server.delete_with(&path("owner"), &options).await.is(200);
    assert_eq!(marked.at("/metadata/finalizers"), json!(["foregroundDeletion"]));
    assert_eq!(names(&server).await, "leaf middle owner");
    assert!(server.get(&path("leaf")).await.at("/metadata/deletionTimestamp").is_string());
    let free = json!({"metadata": {"finalizers": null}});
    server.patch(&path("leaf"), MERGE, &free).await.is(200);
    assert_eq!(names(&server).await, "");
}

#[tokio::test]
async fn who_does_not_block_is_not_waited_for() {
    let server = Server::new();
    let owner = server.config_map("owner").await;
    let mut child = owned(&server, "child", &[(&owner, false)]).await;
    child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.put(&path("child"), &child).await.is(200);
    let options = json!({"propagationPolicy": "Foreground"});
    server.delete_with(&path("owner"), &options).await.is(200);
    assert_eq!(names(&server).await, "child");
    assert!(server.get(&path("child")).await.at("/metadata/deletionTimestamp").is_string());
}

#[tokio::test]
async fn a_changed_reference_is_a_changed_owner() {
    let server = Server::new();
    let (a, b) = (server.config_map("a").await, server.config_map("b").await);
    owned(&server, "child", &[(&a, false)]).await;
    let moved = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": b["metadata"]["uid"],
    }]}});
    server.patch(&path("child"), MERGE, &moved).await.is(200);
    server.delete(&path("a")).await.is(200);
    assert_eq!(names(&server).await, "b child");
    server.delete(&path("b")).await.is(200);
    assert_eq!(names(&server).await, "");
}

#[tokio::test]
async fn a_node_takes_its_pods_lease_along_and_a_job_leaves_its_pods() {
    let server = Server::new();
    let node = server.post("/api/v1/nodes", &json!({"metadata": {"name": "n"}})).await.json();
    let lease = json!({"metadata": {"name": "n", "ownerReferences": [{
        "apiVersion": "v1", "kind": "Node", "name": "n", "uid": node["metadata"]["uid"],
    }]}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    server.post(leases, &lease).await.is(201);
    server.delete("/api/v1/nodes/n").await.is(200);
    server.get(&format!("{leases}/n")).await.is(404);

    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let template = deployment("x")["spec"]["template"].clone();
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": template}});
    let job = server.post(jobs, &job).await.is(201).json();
    owned(&server, "of-job", &[(&job, true)]).await;
    server.delete(&format!("{jobs}/j")).await.is(200);
    assert_eq!(names(&server).await, "of-job");
}
