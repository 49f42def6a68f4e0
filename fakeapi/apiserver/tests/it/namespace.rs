//! The life of namespaces.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

const NAMESPACES: &str = "/api/v1/namespaces";

async fn namespace(server: &Server, name: &str) -> Value {
    server.post(NAMESPACES, &json!({"metadata": {"name": name}})).await.is(201).json()
}

#[tokio::test]
async fn a_new_namespace_is_furnished() {
    let server = Server::new();
    let bare = namespace(&server, "bare").await;
    assert_eq!(bare["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "bare"}));
    assert_eq!(bare["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(bare["status"], json!({"phase": "Active"}));
    let accounts = server.get("/api/v1/namespaces/bare/serviceaccounts").await;
    assert_eq!(accounts.names(), ["default"]);
    assert_eq!(server.get("/api/v1/namespaces/bare/configmaps").await.names(), [""; 0]);
    server.config_map("kube-root-ca.crt").await;
    namespace(&server, "full").await;
    let copy = server.get("/api/v1/namespaces/full/configmaps/kube-root-ca.crt").await.is(200);
    assert_eq!(copy.at("/data"), json!({"a": "1"}));
    assert_eq!(copy.at("/metadata/namespace"), "full");
    let wrong = server.post(NAMESPACES, &json!({"metadata": {"name": "a.b"}})).await.is(422);
    assert_eq!(wrong.at("/details/causes/0/field"), "metadata.name");
}

#[tokio::test]
async fn a_deleted_namespace_takes_its_objects_along() {
    let server = Server::new();
    namespace(&server, "x").await;
    server.post("/api/v1/namespaces/x/configmaps", &config_map("c")).await.is(201);
    server.post("/apis/apps/v1/namespaces/x/deployments", &deployment("d")).await.is(201);
    let mut watch = server
        .watch("/api/v1/namespaces?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dx")
        .await;
    assert_eq!(watch.seen().await.0, "ADDED");
    let marked = server.delete("/api/v1/namespaces/x").await.is(200).json();
    assert_eq!(
        (&marked["kind"], &marked["status"]["phase"]),
        (&json!("Namespace"), &json!("Terminating"))
    );
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    server.get("/api/v1/namespaces/x").await.is(404);
    assert_eq!(server.get("/api/v1/namespaces/x/configmaps").await.names(), [""; 0]);
    assert_eq!(server.get("/apis/apps/v1/deployments").await.names(), [""; 0]);
    assert_eq!(watch.seen().await.0, "MODIFIED");
    assert_eq!(watch.seen().await.0, "DELETED");
}

#[tokio::test]
async fn nothing_new_in_a_namespace_that_is_going() {
    let server = Server::new();
    namespace(&server, "x").await;
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.post("/api/v1/namespaces/x/configmaps", &held).await.is(201);
    server.delete("/api/v1/namespaces/x").await.is(200);
    assert_eq!(server.get("/api/v1/namespaces/x/configmaps").await.names(), ["held"]);
    let answer = server.post("/api/v1/namespaces/x/configmaps", &config_map("c")).await.refuses(
        403,
        "Forbidden",
        "configmaps \"c\" is forbidden: unable to create new content in namespace x because it is \
         being terminated",
    );
    assert_eq!(
        answer.at("/details/causes/0"),
        json!({
            "reason": "NamespaceTerminating", "message": "namespace x is being terminated",
            "field": "metadata.namespace",
        })
    );
    server.delete("/api/v1/namespaces/x").await.is(200);
    server.get("/api/v1/namespaces/x").await.is(200);
    let free = json!({"metadata": {"finalizers": []}});
    server.patch("/api/v1/namespaces/x/configmaps/held", MERGE, &free).await.is(200);
    server.get("/api/v1/namespaces/x").await.is(404);
}

#[tokio::test]
async fn some_namespaces_cannot_go() {
    let server = Server::new();
    for name in ["default", "kube-system"] {
        server.delete(&format!("{NAMESPACES}/{name}")).await.refuses(
            403,
            "Forbidden",
            &format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted"),
        );
    }
    server.delete(NAMESPACES).await.is(405);
}

#[tokio::test]
async fn finalize_and_status_change_their_part_alone() {
    let server = Server::new();
    let mut held = namespace(&server, "x").await;
    held["spec"]["finalizers"] = json!(["kubernetes", "example.com/mine"]);
    let plain = server.put("/api/v1/namespaces/x", &held).await.is(200);
    assert_eq!(plain.at("/spec/finalizers"), json!(["kubernetes"]), "only finalize changes these");
    held["metadata"]["resourceVersion"] = plain.at("/metadata/resourceVersion");
    let mine = server.put("/api/v1/namespaces/x/finalize", &held).await.is(200);
    assert_eq!(mine.at("/spec/finalizers"), json!(["kubernetes", "example.com/mine"]));
    server.delete("/api/v1/namespaces/x").await.is(200);
    let left = server.get("/api/v1/namespaces/x").await.is(200).json();
    assert_eq!(left["spec"]["finalizers"], json!(["example.com/mine"]));
    let mut free = left.clone();
    free["spec"]["finalizers"] = json!([]);
    server.put("/api/v1/namespaces/x/finalize", &free).await.is(200);
    server.get("/api/v1/namespaces/x").await.is(404);
}
