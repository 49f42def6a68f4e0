//! What a server tells of itself.

use std::io::Read;

use pretty_assertions::assert_eq;
use serde_json::json;

use crate::harness::*;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[tokio::test]
async fn the_plain_documents() {
    let server = Server::new();
    let api = server.get("/api").await.is(200).json();
    assert_eq!(api["kind"], "APIVersions");
    assert_eq!(api["versions"], json!(["v1"]));
    assert_eq!(api["serverAddressByClientCIDRs"][0]["serverAddress"], "10.0.0.1:6443");
    let groups = server.get("/apis").await.is(200).json();
    assert_eq!((&groups["kind"], &groups["apiVersion"]), (&json!("APIGroupList"), &json!("v1")));
    for (path, kind) in [
        ("/apis/apps", "APIGroup"),
        ("/apis/apps/v1", "APIResourceList"),
        ("/api/v1", "APIResourceList"),
        ("/api/v1/", "APIResourceList"),
    ] {
        assert_eq!(server.get(path).await.is(200).at("/kind"), kind, "{path}");
    }
    let core = server.get("/api/v1").await.json();
    let names: Vec<_> =
        core["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"pods/eviction") && names.contains(&"nodes"));
    let version = server.get("/version").await.is(200).json();
    assert_eq!(
        (&version["gitVersion"], &version["major"], &version["minor"]),
        (&json!("v1.36.3"), &json!("1"), &json!("36"))
    );
    let paths = server.get("/").await.is(200).json();
    assert!(paths["paths"].as_array().unwrap().contains(&json!("/apis/apps/v1")));
}

#[tokio::test]
async fn everything_at_once_with_a_tag() {
    let server = Server::new();
    let accept = format!(
        "{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    );
    for path in ["/api", "/apis"] {
        let answer = server.get_as(&accept, path).await.is(200);
        assert_eq!(answer.header("content-type"), AGGREGATED);
        assert_eq!(answer.header("vary"), "Accept");
        assert_eq!(answer.at("/kind"), "APIGroupDiscoveryList");
        let tag = answer.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let known = [("accept", &*accept), ("if-none-match", &*tag)];
        let answer = server.ask("GET", path, &known, "").await.is(304);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), tag);
        let other = [("accept", &*accept), ("if-none-match", "\"x\"")];
        server.ask("GET", path, &other, "").await.is(200);
    }
}

#[tokio::test]
async fn openapi_documents_come_compressed() {
    let server = Server::new();
    let index = server.get("/openapi/v3").await.is(200).json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="), "{url}");
    for path in ["/openapi/v2", &*url] {
        let answer = server.ask("GET", path, &[("accept-encoding", "gzip")], "").await.is(200);
        assert_eq!(answer.header("content-encoding"), "gzip");
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut plain).unwrap();
        let direct = server.get(path).await.is(200);
        assert_eq!(direct.header("content-encoding"), "");
        assert!(direct.body == plain, "{path}");
        assert!(!answer.header("etag").is_empty());
    }
    let answer = server.get(&url).await;
    assert_eq!(answer.header("cache-control"), "public, immutable");
    // Asked for by its old name too, the document comes under the one that Go can parse.
    let proto = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    for asked in ["application/com.github.proto-openapi.spec.v2@v1.0+protobuf", proto] {
        let answer = server.get_as(asked, "/openapi/v2").await.is(200);
        assert_eq!(answer.header("content-type"), proto);
    }
    server.get("/openapi/v3/apis/nobody/v1").await.is(404);
}

#[tokio::test]
async fn health_is_plain_text() {
    let server = Server::new();
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping", "/livez/etcd"] {
        let answer = server.get(path).await.is(200);
        assert_eq!(&*answer.body, b"ok", "{path}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        server.ask("HEAD", path, &[], "").await.is(200);
    }
    server.get("/readyz/nonsense").await.is(404);
}
