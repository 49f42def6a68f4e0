//! Arrays of registrations and nodes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::Server;
use crate::fkas::Limits;
use crate::fkas::fake::FakeRegistrar;

#[tokio::test]
async fn each_item_has_its_own_outcome() {
    let server = Server::start();
    let body = r#"[{"cluster":"a","namespace":"ns"},{"cluster":5},{"resource":"ns/b","caKey":"AA"},{"resource":"ns/a"}]"#;
    let (status, text) = server.ask_short("POST", "/register", body).await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!([
            {"ResourceName": "ns/a", "Host": "10.0.0.1", "Port": 6443},
            {"ResourceName": "", "Code": 400, "Error": "Invalid JSON"},
            {"ResourceName": "ns/b", "Code": 400, "Error": "caCert and caKey must be given together"},
            {"ResourceName": "ns/a", "Host": "10.0.0.1", "Port": 6443},
        ])
    );
    assert_eq!(server.ask_short("POST", "/register", "[]").await, (200, "[]".to_owned()));
}

#[tokio::test]
async fn nodes_of_a_cluster_keep_their_order() {
    let registrar = FakeRegistrar { delay: Duration::from_millis(5), ..FakeRegistrar::default() };
    let server = Server::with(registrar, Limits::default());
    server.ask("POST", "/register", r#"[{"resource":"ns/a"},{"resource":"ns/b"}]"#).await;
    let body = r#"[
        {"resource":"ns/a","nodeName":"cp","labels":{"cluster.x-k8s.io/control-plane":""}},
        {"resource":"ns/b","nodeName":"early"},
        7,
        {"resource":"ns/a","nodeName":"worker"},
        {"resource":"ns/x","nodeName":"lost"}]"#;
    let (status, text) = server.ask_short("PUT", "/updateNode", body).await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!([
            {"ResourceName": "ns/a", "NodeName": "cp"},
            {"ResourceName": "ns/b", "NodeName": "early", "Code": 500,
             "Error": "Workload Cluster has not been activated: cluster ns/b has no control-plane node yet"},
            {"ResourceName": "", "Code": 400, "Error": "Invalid JSON"},
            {"ResourceName": "ns/a", "NodeName": "worker"},
            {"ResourceName": "ns/x", "NodeName": "lost", "Code": 500,
             "Error": "Workload Cluster does not exist: cluster ns/x is not registered"},
        ])
    );
}

#[tokio::test]
async fn ten_thousand_in_one_request() {
    let server = Server::start();
    let mut body = "[".to_owned();
    for number in 0..10_000 {
        let comma = if number == 0 { "" } else { "," };
        write!(body, r#"{comma}{{"cluster":"scale-{number:05}","namespace":"scale-{number:05}"}}"#)
            .unwrap();
    }
    body.push(']');
    let started = Instant::now();
    let (status, text) = server.ask_short("POST", "/register", &body).await;
    assert_eq!(status, 200);
    assert_eq!(text.matches(r#""Port":6443"#).count(), 10_000);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
