//! The forms of FKAS's first README and of the time between.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pretty_assertions::assert_eq;

use super::Server;
use crate::fkas::fake::test_ca;

#[tokio::test]
async fn the_first_readmes_get_registers() {
    let server = Server::start();
    let (ca, etcd) = (test_ca(), test_ca());
    let plain = |text: &str| STANDARD.encode(text);
    let target = format!(
        "/register?resource=metal3/test&caKey={}&caCert={}&etcdKey={}&etcdCert={}",
        plain(&ca.key),
        plain(&ca.certificate),
        plain(&etcd.key),
        URL_SAFE_NO_PAD.encode(&etcd.certificate),
    );
    assert_eq!(
        server.ask("GET", &target, "").await,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 60\r\n\r\n\
         {\"ResourceName\":\"metal3/test\",\"Host\":\"10.0.0.1\",\"Port\":6443}"
    );
    let request = server.registrar.get("metal3/test").unwrap().request;
    assert_eq!((request.ca, request.etcd_ca), (Some(ca), Some(etcd)));
}

#[tokio::test]
async fn empty_keys_leave_the_cas_to_fakeapi() {
    let server = Server::start();
    let target = "/register?resource=metal3/test&caKey=&caCert=&etcdKey=&etcdCert=";
    let (status, _) = server.ask_short("GET", target, "").await;
    assert_eq!(status, 200);
    assert!(server.registrar.get("metal3/test").unwrap().request.ca.is_none());
}

#[tokio::test]
async fn a_query_that_is_wrong_says_what() {
    let server = Server::start();
    let ca = STANDARD.encode(test_ca().certificate);
    for (target, text) in [
        ("/register?resource=test&caKey=".to_owned(), "resource is not NAMESPACE/NAME\n"),
        ("/register?resource=a/b&caKey=%21&caCert=%21".into(), "caCert is not base64\n"),
        (
            format!("/register?resource=a/b&caCert={ca}"),
            "caCert and caKey must be given together\n",
        ),
        (
            format!("/register?resource=a/b&etcdCert={ca}&etcdKey={ca}"),
            "etcdKey is not a PEM private key\n",
        ),
        ("/updateNode?resource=a&nodeName=n".into(), "resource is not NAMESPACE/NAME\n"),
    ] {
        let answer = server.ask_short("GET", &target, "").await;
        assert_eq!(answer, (400, text.to_owned()), "{target}");
    }
    assert!(server.registrar.clusters.lock().is_empty());
}

#[tokio::test]
async fn the_first_readmes_nodes_are_control_plane() {
    let server = Server::start();
    server.ask("GET", "/register?resource=metal3/test&caKey=", "").await;
    let target = "/updateNode?resource=metal3/test&nodeName=n1&providerID=metal3://metal3/b/m";
    assert_eq!(server.ask_short("GET", target, "").await, (200, String::new()));
    let node = server.registrar.get("metal3/test").unwrap().nodes["n1"].clone();
    assert!(node.control_plane());
    assert_eq!(node.provider_id.as_deref(), Some("metal3://metal3/b/m"));

    let target = "/updateNode?resource=metal3/none&nodeName=n1&providerID=";
    assert_eq!(
        server.ask_short("GET", target, "").await,
        (500, "Workload Cluster does not exist\n".to_owned())
    );
}

#[tokio::test]
async fn the_interim_json_names_a_resource() {
    let server = Server::start();
    let ca = test_ca();
    let body = format!(
        r#"{{"resource":"metal3/test","caKey":"{0}","caCert":"{1}","etcdKey":"{0}","etcdCert":"{1}"}}"#,
        STANDARD.encode(&ca.key),
        STANDARD.encode(&ca.certificate)
    );
    let (status, text) = server.ask_short("POST", "/register", &body).await;
    assert_eq!(status, 200);
    assert!(text.starts_with(r#"{"ResourceName":"metal3/test","#));
    assert_eq!(server.registrar.get("metal3/test").unwrap().request.etcd_ca, Some(ca));

    let body = r#"{"resource":"metal3/test","namespace":"metal3","nodeName":"n","labels":{"cluster.x-k8s.io/control-plane":""}}"#;
    assert_eq!(server.ask_short("PUT", "/updateNode", body).await, (200, String::new()));
    assert!(server.registrar.get("metal3/test").unwrap().nodes.contains_key("n"));
}
