//! Today's contract, byte for byte: what FKAS answered when it was driven with curl.

use pretty_assertions::assert_eq;

use super::Server;
use crate::fkas::fake::FakeRegistrar;
use crate::register::{ClusterName, RegisterError};

/// A failure as Go's `http.Error` writes it.
fn failure(status: &str, extra: &str, text: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         X-Content-Type-Options: nosniff\r\n{extra}Content-Length: {}\r\n\r\n{text}\n",
        text.len() + 1
    )
}

const SCALE_1: &str = r#"{"cluster":"scale-00001","namespace":"scale-00001"}"#;

#[tokio::test]
async fn register_answers_the_exact_bytes() {
    let server = Server::start();
    let expected = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 72\r\n\r\n\
                    {\"ResourceName\":\"scale-00001/scale-00001\",\"Host\":\"10.0.0.1\",\"Port\":6443}";
    assert_eq!(server.ask("POST", "/register", SCALE_1).await, expected);
    // Registering again gives the same address.
    assert_eq!(server.ask("POST", "/register", SCALE_1).await, expected);
}

#[tokio::test]
async fn register_takes_what_go_takes() {
    let server = Server::start();
    for (body, resource) in [
        (r#"{"CLUSTER":"a","NameSpace":"b"}"#, "b/a"),
        (r#"{"cluster":"c","namespace":"b","more":[{"x":1}]} and more"#, "b/c"),
        (r#"{"cluster":null,"namespace":"b"}"#, "b/"),
        ("{}", "/"),
        ("null", "/"),
        (r#"{"cluster":"a/b","namespace":"<ns>"}"#, "\\u003cns\\u003e/a/b"),
    ] {
        let (status, text) = server.ask_short("POST", "/register", body).await;
        let start = format!("{{\"ResourceName\":\"{resource}\",\"Host\":\"10.0.0.");
        assert_eq!(status, 200, "{body}: {text}");
        assert!(text.starts_with(&start), "{body}: {text}");
    }
}

#[tokio::test]
async fn an_ipv6_host_stands_without_brackets() {
    let server = Server::start();
    let body = r#"{"cluster":"a","namespace":"b","address":"[fd00::7]:6443","version":"v1.35.0"}"#;
    assert_eq!(
        server.ask_short("POST", "/register", body).await,
        (200, r#"{"ResourceName":"b/a","Host":"fd00::7","Port":6443}"#.to_owned())
    );
    let cluster = server.registrar.get("b/a").unwrap();
    assert_eq!(cluster.request.version.as_deref(), Some("v1.35.0"));
}

#[tokio::test]
async fn bad_requests_get_gos_texts() {
    let server = Server::start();
    for path in ["/register", "/updateNode"] {
        let method = if path == "/register" { "POST" } else { "PUT" };
        for body in
            ["", "{", "nonsense", r#"{"cluster":1}"#, "\"a\"", r#"{"cluster":"a","namespace":{}}"#]
        {
            let answer = server.ask(method, path, body).await;
            assert_eq!(answer, failure("400 Bad Request", "", "Invalid JSON"), "{body}");
        }
    }
    // The first README shows labels as a text; FKAS refused that too.
    let body = r#"{"cluster":"a","namespace":"b","nodeName":"n","labels":"<node-labels>"}"#;
    assert_eq!(
        server.ask("PUT", "/updateNode", body).await,
        failure("400 Bad Request", "", "Invalid JSON")
    );
    for (method, path, allow) in [
        ("PUT", "/register", "GET, POST, DELETE"),
        ("PATCH", "/register", "GET, POST, DELETE"),
        ("POST", "/updateNode", "GET, PUT, DELETE"),
        ("POST", "/healthz", "GET"),
        ("POST", "/fault", "GET, PUT"),
    ] {
        let allow = format!("Allow: {allow}\r\n");
        let expected = failure("405 Method Not Allowed", &allow, "Method not allowed");
        assert_eq!(server.ask(method, path, SCALE_1).await, expected, "{method} {path}");
    }
    for path in ["/", "/register/", "/registers", "/updatenode"] {
        let expected = failure("404 Not Found", "", "404 page not found");
        assert_eq!(server.ask("POST", path, SCALE_1).await, expected, "{path}");
    }
    let (status, body) = server.ask_short("HEAD", "/register", "").await;
    assert_eq!((status, body.as_str()), (405, ""));
    assert!(server.registrar.clusters.lock().is_empty());
}

#[tokio::test]
async fn no_address_left() {
    let registrar = FakeRegistrar { capacity: 1, ..FakeRegistrar::default() };
    let server = Server::with(registrar, super::Limits::default());
    server.ask("POST", "/register", SCALE_1).await;
    let cause = "X-Fakeapi-Cause: no address for cluster b/a: the pool is empty\r\n";
    assert_eq!(
        server.ask("POST", "/register", r#"{"cluster":"a","namespace":"b"}"#).await,
        failure("500 Internal Server Error", cause, "Failed to initialize listener")
    );
}

fn node(name: &str, labels: &str) -> String {
    format!(
        r#"{{"cluster":"scale-00001","namespace":"scale-00001","nodeName":"{name}","providerID":"metal3://ns/bmh/m3m","uuid":"u-1","labels":{labels},"k8sversion":"v1.35.6"}}"#
    )
}

const CONTROL_PLANE: &str = r#"{"cluster.x-k8s.io/control-plane":"","a":"b"}"#;

#[tokio::test]
async fn update_node_answers_the_exact_bytes() {
    let server = Server::start();
    let unknown = "X-Fakeapi-Cause: cluster scale-00001/scale-00001 is not registered\r\n";
    assert_eq!(
        server.ask("PUT", "/updateNode", &node("n", CONTROL_PLANE)).await,
        failure("500 Internal Server Error", unknown, "Workload Cluster does not exist")
    );
    server.ask("POST", "/register", SCALE_1).await;
    let early =
        "X-Fakeapi-Cause: cluster scale-00001/scale-00001 has no control-plane node yet\r\n";
    assert_eq!(
        server.ask("PUT", "/updateNode", &node("w", "null")).await,
        failure("500 Internal Server Error", early, "Workload Cluster has not been activated")
    );
    let done = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(server.ask("PUT", "/updateNode", &node("n", CONTROL_PLANE)).await, done);
    assert_eq!(server.ask("PUT", "/updateNode", &node("w", "null")).await, done);
    // Updating a node that exists works.
    assert_eq!(server.ask("PUT", "/updateNode", &node("w", r#"{"x":"y"}"#)).await, done);

    let cluster = server.registrar.get("scale-00001/scale-00001").unwrap();
    assert!(cluster.nodes["n"].control_plane());
    assert_eq!(cluster.nodes["w"].labels["x"], "y");
    assert_eq!(cluster.nodes["w"].provider_id.as_deref(), Some("metal3://ns/bmh/m3m"));
    assert_eq!(cluster.nodes["w"].uuid.as_deref(), Some("u-1"));
    assert_eq!(cluster.nodes["w"].version.as_deref(), Some("v1.35.6"));
}

#[tokio::test]
async fn null_and_missing_mean_absent() {
    let server = Server::start();
    server.ask("POST", "/register", SCALE_1).await;
    server.ask("PUT", "/updateNode", &node("n", CONTROL_PLANE)).await;
    let body =
        r#"{"cluster":"scale-00001","namespace":"scale-00001","nodeName":"w","providerID":null}"#;
    let (status, _) = server.ask_short("PUT", "/updateNode", body).await;
    assert_eq!(status, 200);
    let cluster = server.registrar.get("scale-00001/scale-00001").unwrap();
    let expected = crate::register::NodeSpec { name: "w".into(), ..Default::default() };
    assert_eq!(cluster.nodes["w"], expected);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read() {
    let server = Server::start();
    server.ask("POST", "/register", SCALE_1).await;
    *server.registrar.next_failure.lock() = Some(RegisterError::Secret {
        cluster: ClusterName::new("ns", "c"),
        secret: "c-ca".into(),
        source: "403 Forbidden".into(),
    });
    let cause = "X-Fakeapi-Cause: Secret c-ca of cluster ns/c could not be read: 403 Forbidden\r\n";
    assert_eq!(
        server.ask("PUT", "/updateNode", &node("n", CONTROL_PLANE)).await,
        failure("500 Internal Server Error", cause, "Error adding node: n")
    );
}
