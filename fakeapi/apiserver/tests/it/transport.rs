//! Headers, methods, compression: what surrounds every answer.

use std::io::Read;

use pretty_assertions::assert_eq;
use serde_json::json;

use crate::harness::*;

#[tokio::test]
async fn every_answer_has_an_audit_id() {
    let server = Server::new();
    for path in ["/version", CONFIG_MAPS, "/api/v1/foos", "/nowhere"] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("audit-id").len(), 36, "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache, private", "{path}");
        let sent = [("audit-id", "mine")];
        assert_eq!(server.ask("GET", path, &sent, "").await.header("audit-id"), "mine");
    }
    let long = "x".repeat(65);
    let answer = server.ask("GET", "/version", &[("audit-id", &*long)], "").await;
    assert_eq!(answer.header("audit-id").len(), 36);
}

#[tokio::test]
async fn methods_nobody_serves_are_refused() {
    let server = Server::new();
    let message = "the server does not allow this method on the requested resource";
    for (method, path) in [
        ("HEAD", CONFIG_MAPS),
        ("OPTIONS", CONFIG_MAPS),
        ("TRACE", "/api/v1/nodes/n"),
        ("POST", "/version"),
        ("HEAD", "/api"),
        ("PUT", CONFIG_MAPS),
        ("PATCH", CONFIG_MAPS),
        ("POST", "/apis"),
    ] {
        let answer = server.ask(method, path, &[], "").await;
        assert_eq!(answer.code, 405, "{method} {path}");
        answer.refuses(405, "MethodNotAllowed", message);
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_can_take_it() {
    let server = Server::new();
    for index in 0..3 {
        let mut object = config_map(&format!("c{index}"));
        object["data"] = json!({"text": "x".repeat(60_000)});
        server.post(CONFIG_MAPS, &object).await.is(201);
    }
    let gzip = [("accept-encoding", "deflate, gzip;q=1.0")];
    let answer = server.ask("GET", CONFIG_MAPS, &gzip, "").await.is(200);
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert_eq!(answer.header("vary"), "Accept-Encoding");
    assert!(answer.body.len() < 10_000);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut plain).unwrap();
    let direct = server.get(CONFIG_MAPS).await;
    assert_eq!(direct.header("content-encoding"), "");
    assert!(direct.body == plain);
    let short = server.ask("GET", &format!("{CONFIG_MAPS}/c0"), &gzip, "").await;
    assert_eq!(short.header("content-encoding"), "", "not worth it");
    let refused = server.ask("GET", CONFIG_MAPS, &[("accept-encoding", "gzip;q=0")], "").await;
    assert_eq!(refused.header("content-encoding"), "");
    let mut watch = server.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    assert_eq!(watch.seen().await.0, "ADDED");
}
