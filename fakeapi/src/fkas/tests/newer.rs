//! What FKAS could not do.

use pretty_assertions::assert_eq;
use serde_json::Value;

use super::Server;
use crate::register::Fault;

async fn filled(count: usize) -> Server {
    let server = Server::start();
    for number in 0..count {
        let body = format!(r#"{{"cluster":"c{number}","namespace":"n/s"}}"#);
        server.ask("POST", "/register", &body).await;
    }
    server
}

#[tokio::test]
async fn clusters_are_listed_by_page() {
    let server = filled(5).await;
    let mut names = Vec::new();
    let mut target = "/register?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let (status, text) = server.ask_short("GET", &target, "").await;
        assert_eq!(status, 200);
        let page: Value = serde_json::from_str(&text).unwrap();
        let clusters = page["clusters"].as_array().unwrap();
        names.extend(clusters.iter().map(|cluster| cluster["name"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["continue"].as_str().unwrap() {
            "" => break,
            next => target = format!("/register?limit=2&continue={next}"),
        }
    }
    assert_eq!((pages, names.join(" ").as_str()), (3, "c0 c1 c2 c3 c4"));
    // A page that just fits is the last.
    let (_, text) = server.ask_short("GET", "/register?limit=5", "").await;
    assert!(text.ends_with(r#""continue":""}"#), "{text}");
    for bad in ["limit=x", "limit=-1", "continue=%21", "continue=AAAA"] {
        let (status, text) = server.ask_short("GET", &format!("/register?{bad}"), "").await;
        assert_eq!(status, 400, "{bad}: {text}");
    }
}

#[tokio::test]
async fn a_slash_in_a_namespace() {
    let server = filled(1).await;
    for (query, status) in [
        ("namespace=n/s&cluster=c0", 200),
        ("cluster=c0&namespace=n%2Fs", 200),
        ("resource=n/s/c0", 404),
        ("cluster=c0", 404),
    ] {
        let answer = server.ask_short("GET", &format!("/register?{query}"), "").await;
        assert_eq!(answer.0, status, "{query}: {}", answer.1);
    }
}

#[tokio::test]
async fn one_cluster_and_what_belongs_to_it() {
    let server = Server::start();
    server.ask("POST", "/register", r#"{"cluster":"c","namespace":"ns"}"#).await;
    server.ask("GET", "/updateNode?resource=ns/c&nodeName=n", "").await;
    for (target, text) in [
        (
            "/register?resource=ns/c",
            r#"{"namespace":"ns","name":"c","address":"10.0.0.1:6443","active":true,"nodes":1,"version":"v1.36.3","created":"2026-11-21T09:00:00Z"}"#,
        ),
        (
            "/updateNode?resource=ns/c",
            r#"{"nodes":[{"name":"n","providerId":null,"uuid":null,"labels":{"cluster.x-k8s.io/control-plane":""},"version":null,"health":"ready"}]}"#,
        ),
        ("/kubeconfig?resource=ns/c", "kind: Config\nserver: https://10.0.0.1:6443\n"),
        (
            "/secrets?resource=ns/c",
            "kind: Secret\nmetadata:\n  name: c-ca\n---\nkind: Secret\nmetadata:\n  name: c-etcd\n",
        ),
    ] {
        assert_eq!(server.ask_short("GET", target, "").await, (200, text.to_owned()), "{target}");
        let unknown = target.replace("ns/c", "ns/x");
        let expected = (404, "cluster ns/x is not registered\n".to_owned());
        assert_eq!(server.ask_short("GET", &unknown, "").await, expected);
        let nameless = target.replace("ns/c", "c");
        let expected = (400, "resource is not NAMESPACE/NAME\n".to_owned());
        assert_eq!(server.ask_short("GET", &nameless, "").await, expected);
    }
}

#[tokio::test]
async fn clusters_and_nodes_go_away() {
    let server = Server::start();
    let done = (200, String::new());
    for (node, cluster) in [
        (("/updateNode?resource=ns/c&nodeName=n", ""), ("/register?resource=ns/c", "")),
        (
            ("/updateNode", r#"{"cluster":"c","namespace":"ns","nodeName":"n"}"#),
            ("/register", r#"{"cluster":"c","namespace":"ns"}"#),
        ),
    ] {
        server.ask("POST", "/register", r#"{"cluster":"c","namespace":"ns"}"#).await;
        server.ask("GET", "/updateNode?resource=ns/c&nodeName=n", "").await;
        assert_eq!(server.ask_short("DELETE", node.0, node.1).await, done);
        assert!(server.registrar.get("ns/c").unwrap().nodes.is_empty());
        let again = server.ask_short("DELETE", node.0, node.1).await;
        assert_eq!(again, (404, "cluster ns/c has no node n\n".to_owned()));
        assert_eq!(server.ask_short("DELETE", cluster.0, cluster.1).await, done);
        assert!(server.registrar.get("ns/c").is_none());
        let again = server.ask_short("DELETE", cluster.0, cluster.1).await;
        assert_eq!(again, (404, "cluster ns/c is not registered\n".to_owned()));
    }
    let (status, _) = server.ask_short("DELETE", "/register", "").await;
    assert_eq!(status, 400, "a DELETE that names nothing deletes nothing");
}

#[tokio::test]
async fn faults() {
    let server = Server::start();
    server.ask("POST", "/register", r#"{"cluster":"c","namespace":"ns"}"#).await;
    for (body, fault) in [
        (r#"{"kind":"blackhole"}"#, Fault::Blackhole),
        (r#"{"kind":"drop","per_mille":1000}"#, Fault::Drop { per_mille: 1000 }),
        (r#"{"kind":"none"}"#, Fault::None),
    ] {
        let answer = server.ask_short("PUT", "/fault?resource=ns/c", body).await;
        assert_eq!(answer, (200, String::new()));
        assert_eq!(server.registrar.get("ns/c").unwrap().fault, fault);
        let shown = server.ask_short("GET", "/fault?resource=ns/c", "").await;
        assert_eq!(shown, (200, body.to_owned()));
    }
    for body in [
        "",
        "{}",
        r#"{"kind":"fire"}"#,
        r#"{"kind":"drop"}"#,
        r#"{"kind":"drop","per_mille":1001}"#,
    ] {
        let (status, text) = server.ask_short("PUT", "/fault?resource=ns/c", body).await;
        assert_eq!(status, 400, "{body}: {text}");
    }
    let (status, _) = server.ask_short("PUT", "/fault?resource=ns/x", r#"{"kind":"none"}"#).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn health_and_metrics() {
    let server = Server::start();
    for path in ["/healthz", "/readyz", "/livez"] {
        assert_eq!(server.ask_short("GET", path, "").await, (200, "ok".to_owned()));
    }
    assert_eq!(
        server.ask("GET", "/metrics", "").await,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: 19\r\n\r\nfakeapi_clusters 1\n"
    );
}
