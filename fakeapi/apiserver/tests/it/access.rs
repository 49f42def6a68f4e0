//! Who may do what, and questions about it.

use apiserver::auth::User;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn grant(server: &Server, place: &str, kind: &str, name: &str, rules: Value, subject: Value) {
    let (of_roles, bindings) = match kind {
        "ClusterRole" => ("clusterroles", "clusterrolebindings"),
        _ => ("roles", "rolebindings"),
    };
    let role = json!({"metadata": {"name": name}, "rules": rules});
    server.post(&format!("{RBAC}{place}/{of_roles}"), &role).await.is(201);
    let binding = json!({
        "metadata": {"name": name}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
    });
    server.post(&format!("{RBAC}{place}/{bindings}"), &binding).await.is(201);
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name})
}

async fn granted() -> (Server, Server) {
    let server = Server::new();
    grant(
        &server,
        "",
        "ClusterRole",
        "reader",
        json!([
            {"apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "list"]},
            {"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]},
        ]),
        user("eve"),
    )
    .await;
    grant(&server, "/namespaces/default", "Role", "editor", json!([
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
    ]), user("eve")).await;
    let eve = server.as_user(Some(User::authenticated("eve", [])));
    (server, eve)
}

#[tokio::test]
async fn what_is_not_granted_is_refused_in_the_known_words() {
    let (_, eve) = granted().await;
    let answer = eve.get("/api/v1/nodes").await.refuses(
        403,
        "Forbidden",
        "nodes is forbidden: User \"eve\" cannot list resource \"nodes\" in API group \"\" at the \
         cluster scope",
    );
    assert_eq!(answer.at("/details"), json!({"kind": "nodes"}));
    eve.delete(&format!("{DEPLOYMENTS}/d")).await.refuses(
        403,
        "Forbidden",
        "deployments.apps \"d\" is forbidden: User \"eve\" cannot delete resource \"deployments\" \
         in API group \"apps\" in the namespace \"default\"",
    );
    eve.get(&format!("{PODS}/p/log")).await.refuses(
        403,
        "Forbidden",
        "pods \"p\" is forbidden: User \"eve\" cannot get resource \"pods/log\" in API group \"\" \
         in the namespace \"default\"",
    );
    eve.get("/version").await.refuses(
        403,
        "Forbidden",
        "forbidden: User \"eve\" cannot get path \"/version\"",
    );
}

#[tokio::test]
async fn what_is_granted_is_allowed() {
    let (_, eve) = granted().await;
    let cases: [(&str, &str, bool); 14] = [
        ("GET", "/api/v1/pods", true),
        ("GET", "/api/v1/namespaces/kube-system/pods", true),
        ("GET", "/api/v1/namespaces/kube-system/pods/p/status", true),
        ("GET", "/api/v1/pods?watch=1", false),
        ("DELETE", "/api/v1/namespaces/default/pods", false),
        ("GET", "/api/v1/namespaces/default/configmaps/mine", true),
        ("GET", "/api/v1/namespaces/default/configmaps/other", false),
        ("GET", "/api/v1/namespaces/default/configmaps", false),
        ("GET", "/api/v1/namespaces/kube-system/configmaps/mine", false),
        ("POST", "/api/v1/namespaces/default/secrets", true),
        ("POST", "/api/v1/namespaces/kube-system/secrets", false),
        ("GET", "/metrics", true),
        ("GET", "/logs/a/b", true),
        ("POST", "/metrics", false),
    ];
    for (method, path, allowed) in cases {
        let answer = eve.ask(method, path, &[], "").await;
        assert_eq!(answer.code != 403, allowed, "{method} {path}: {}", answer.code);
    }
    let by_name = "/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3Dmine";
    eve.get(by_name).await.is(200);
}

#[tokio::test]
async fn groups_and_service_accounts_are_subjects_too() {
    let server = Server::new();
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]}]);
    grant(
        &server,
        "",
        "ClusterRole",
        "group",
        rules.clone(),
        json!({"kind": "Group", "name": "readers"}),
    )
    .await;
    let account = json!({"kind": "ServiceAccount", "namespace": "default", "name": "bot"});
    grant(&server, "", "ClusterRole", "account", rules, account).await;
    let cases = [
        (User::authenticated("x", ["readers".to_owned()]), true),
        (User::authenticated("x", []), false),
        (User::authenticated("system:serviceaccount:default:bot", []), true),
        (User::authenticated("system:serviceaccount:kube-system:bot", []), false),
        (User::anonymous(), false),
    ];
    for (user, allowed) in cases {
        let name = user.name.clone();
        let answer = server.as_user(Some(user)).get("/api/v1/nodes").await;
        assert_eq!(answer.code == 200, allowed, "{name}");
    }
    server.as_user(Some(User::anonymous())).get("/api/v1/nodes").await.refuses(
        403,
        "Forbidden",
        "nodes is forbidden: User \"system:anonymous\" cannot list resource \"nodes\" in API group \
         \"\" at the cluster scope",
    );
    server.as_user(None).get("/api/v1/nodes").await.refuses(401, "Unauthorized", "Unauthorized");
}

#[tokio::test]
async fn reviews_answer_as_requests_are_judged() {
    let (server, eve) = granted().await;
    let authz = "/apis/authorization.k8s.io/v1";
    grant(&server, "", "ClusterRole", "basic", json!([
        {"apiGroups": ["authorization.k8s.io", "authentication.k8s.io"], "resources": ["*"], "verbs": ["create"]},
    ]), user("eve")).await;
    let ask = |verb: &str, resource: &str, namespace: &str| {
        json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "spec": {"resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace}}})
    };
    for (verb, resource, namespace, allowed) in [
        ("list", "pods", "", true),
        ("delete", "pods", "", false),
        ("create", "secrets", "default", true),
    ] {
        let path = format!("{authz}/selfsubjectaccessreviews");
        let answer = eve.post(&path, &ask(verb, resource, namespace)).await.is(201);
        assert_eq!(answer.at("/status/allowed"), allowed, "{verb} {resource}");
        assert_eq!(answer.at("/spec/resourceAttributes/verb"), verb);
    }
    let path = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/logs/x"}}});
    let answer = eve.post(&format!("{authz}/selfsubjectaccessreviews"), &path).await.is(201);
    assert_eq!(answer.at("/status/allowed"), true);
    eve.post(&format!("{authz}/selfsubjectaccessreviews"), &json!({"spec": {}})).await.is(422);
    let other = json!({"spec": {"user": "eve", "resourceAttributes": {"verb": "get", "resource": "nodes"}}});
    let answer = server.post(&format!("{authz}/subjectaccessreviews"), &other).await.is(201);
    assert_eq!(answer.at("/status"), json!({"allowed": false}));
    let local = json!({
        "metadata": {"namespace": "default"},
        "spec": {"user": "eve", "resourceAttributes": {"verb": "create", "resource": "secrets", "namespace": "default"}},
    });
    let path = format!("{authz}/namespaces/default/localsubjectaccessreviews");
    assert_eq!(server.post(&path, &local).await.is(201).at("/status/allowed"), true);
    let rules = json!({"spec": {"namespace": "default"}});
    let answer = eve.post(&format!("{authz}/selfsubjectrulesreviews"), &rules).await.is(201);
    let resources = answer.at("/status/resourceRules");
    assert!(
        resources.as_array().unwrap().iter().any(|rule| rule["resourceNames"] == json!(["mine"]))
    );
    assert_eq!(
        answer.at("/status/nonResourceRules/0/nonResourceURLs"),
        json!(["/metrics", "/logs/*"])
    );
    let who =
        eve.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).await.is(201);
    assert_eq!(
        who.at("/status/userInfo"),
        json!({"username": "eve", "groups": ["system:authenticated"]})
    );
    let review = json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "status": {}});
    let bytes =
        apiserver::protobuf::encode(&review, "authentication.k8s.io/v1", "SelfSubjectReview")
            .unwrap();
    let headers = [("content-type", "application/vnd.kubernetes.protobuf")];
    eve.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &headers, bytes)
        .await
        .is(201);
}
