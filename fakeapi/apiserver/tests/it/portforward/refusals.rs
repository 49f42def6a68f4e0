//! What is refused, and by whom: the API server with a `Status`, those behind it with text.

use apiserver::auth::User;
use apiserver::streams::Upgrade;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::server;
use crate::harness::*;

const WEBSOCKET: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
const SPDY: [(&str, &str); 2] = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
const VERSION: (&str, &str) = ("x-stream-protocol-version", "portforward.k8s.io");
const TUNNEL: (&str, &str) = ("sec-websocket-protocol", "SPDY/3.1+portforward.k8s.io");

/// Asks with a connection that can be taken over.
async fn ask(server: &Server, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("{PODS}/{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::new(Bytes::new())).unwrap();
    request.extensions_mut().insert(Upgrade::new(drop));
    let response = server.answer(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { code: parts.status.as_u16(), headers: parts.headers, body }
}

#[tokio::test]
async fn what_the_api_server_refuses_is_a_status() {
    let server = server().await;
    let spdy = [SPDY[0], SPDY[1], VERSION];
    let get = async |target: &str| ask(&server, "GET", target, &spdy).await;
    get("nobody/portforward").await.refuses(404, "NotFound", "pods \"nobody\" not found");
    let message = "pod new does not have a host assigned";
    get("new/portforward").await.refuses(400, "BadRequest", message);
    get("lost/portforward").await.refuses(404, "NotFound", "nodes \"gone\" not found");
    let message = "dryRun is not supported";
    get("web/portforward?dryRun=All").await.refuses(400, "BadRequest", message);
    for (port, why) in
        [("http", "invalid syntax"), ("+1", "invalid syntax"), ("65536", "value out of range")]
    {
        let escaped = port.replace('+', "%2B");
        let message = format!(
            "cannot convert to []int32: strconv.ParseUint: parsing {:?}: {why}",
            if port == "+1" { "+" } else { port },
        );
        get(&format!("web/portforward?ports=80,{escaped}")).await.refuses(
            400,
            "BadRequest",
            &message,
        );
    }
    let message = "Upgrade request required";
    for method in ["GET", "POST"] {
        let answer = ask(&server, method, "web/portforward", &[VERSION]).await;
        answer.refuses(400, "BadRequest", message);
    }
    ask(&server, "DELETE", "web/portforward", &spdy).await.is(405);
    let path = format!("{PODS}/web/portforward");
    let message = "request connection cannot be hijacked";
    server.ask("POST", &path, &spdy, "").await.refuses(500, "", message);
}

#[tokio::test]
async fn what_stands_behind_it_refuses_with_text() {
    let server = server().await;
    let text = async |method: &str, target: &str, headers: &[(&str, &str)], code: u16| {
        let answer = ask(&server, method, target, headers).await.is(code);
        if !answer.body.is_empty() {
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        }
        (String::from_utf8(answer.body.to_vec()).unwrap(), answer.headers)
    };
    let (why, _) = text("POST", "pending/portforward", &[SPDY[0], SPDY[1], VERSION], 500).await;
    assert_eq!(why, "pod not found (\"pending_default\")\n");
    let (why, _) = text("POST", "web/portforward", &SPDY, 400).await;
    assert_eq!(
        why,
        "unable to upgrade: header X-Stream-Protocol-Version does not exist in request with 2 \
         headers\n"
    );
    let none = (VERSION.0, " , ");
    let (why, _) = text("POST", "web/portforward", &[SPDY[0], SPDY[1], none], 400).await;
    assert!(why.ends_with("but no valid protocols\n"), "{why}");
    let other = (VERSION.0, "v4.channel.k8s.io, v2.portforward.k8s.io");
    let (why, headers) = text("POST", "web/portforward", &[SPDY[0], SPDY[1], other], 403).await;
    let words = "unable to upgrade: unable to negotiate protocol: client supports \
                 [v4.channel.k8s.io v2.portforward.k8s.io], server accepts [portforward.k8s.io]\n";
    assert_eq!(why, words);
    assert_eq!(headers["x-accepted-stream-protocol-versions"], "portforward.k8s.io");
    let (why, _) =
        text("POST", "web/portforward", &[SPDY[0], ("upgrade", "SPDY/2"), VERSION], 400).await;
    assert_eq!(why, "unable to upgrade: missing upgrade headers in request\n");
    // A protocol that could be tunnelled, and is not ours.
    let other = (TUNNEL.0, "SPDY/3.1+exec.k8s.io");
    let with = |more: (&'static str, &'static str)| [&WEBSOCKET[..], &[more]].concat();
    let (why, _) = text("GET", "web/portforward", &with(other), 403).await;
    assert!(why.contains("client supports [exec.k8s.io]"), "{why}");
    text("POST", "web/portforward", &with(TUNNEL), 405).await;
    let (_, headers) =
        text("GET", "web/portforward", &[WEBSOCKET[0], WEBSOCKET[1], WEBSOCKET[2], TUNNEL], 400)
            .await;
    assert_eq!(headers["sec-websocket-version"], "13");
    // Channels: ports are needed, and one of the known protocols.
    let (why, _) = text("GET", "web/portforward", &WEBSOCKET, 400).await;
    assert_eq!(why, "query parameter \"port\" is required\n");
    let (why, _) = text("GET", "web/portforward?ports=80,0", &WEBSOCKET, 400).await;
    assert_eq!(why, "port \"80,0\" must be > 0\n");
    let other = (TUNNEL.0, "v5.channel.k8s.io, portforward.k8s.io");
    let (why, _) = text("GET", "web/portforward?ports=80", &with(other), 403).await;
    assert_eq!(why, "");
}

#[tokio::test]
async fn both_handshakes_are_answered_as_the_real_server_does() {
    let server = server().await;
    let version = (VERSION.0, "other.k8s.io, portforward.k8s.io");
    for method in ["GET", "POST"] {
        let spdy = [("connection", "keep-alive, upgrade"), ("upgrade", "spdy/3.1"), version];
        let answer = ask(&server, method, "web/portforward?timeout=10s", &spdy).await.is(101);
        assert_eq!(answer.header("connection"), "Upgrade");
        assert_eq!(answer.header("upgrade"), "SPDY/3.1");
        assert_eq!(answer.header("x-stream-protocol-version"), "portforward.k8s.io");
    }
    let protocols = [
        ("", "SPDY/3.1+x.k8s.io, SPDY/3.1+portforward.k8s.io", "SPDY/3.1+portforward.k8s.io"),
        ("?ports=80", "v5.channel.k8s.io,v4.base64.channel.k8s.io", "v4.base64.channel.k8s.io"),
        ("?ports=80&ports=81", "v4.channel.k8s.io", "v4.channel.k8s.io"),
        ("?ports=80", "", ""),
    ];
    for (query, offered, chosen) in protocols {
        let offered = [&WEBSOCKET[..], &[(TUNNEL.0, offered)]].concat();
        let answer = ask(&server, "GET", &format!("web/portforward{query}"), &offered).await;
        let answer = answer.is(101);
        assert_eq!(answer.header("upgrade"), "websocket");
        assert_eq!(answer.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.header("sec-websocket-protocol"), chosen);
    }
}

#[tokio::test]
async fn forwarding_is_creating_whatever_the_method() {
    let server = server().await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    for verb in ["get", "create"] {
        let rules =
            json!([{"apiGroups": [""], "resources": ["pods/portforward"], "verbs": [verb]}]);
        let role = json!({"metadata": {"name": verb}, "rules": rules});
        server.post(&format!("{rbac}/roles"), &role).await.is(201);
        let binding = json!({
            "metadata": {"name": verb},
            "subjects": [
                {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": verb},
                {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "both"},
            ],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": verb},
        });
        server.post(&format!("{rbac}/rolebindings"), &binding).await.is(201);
    }
    let cannot = |user: &str, verb: &str| {
        format!(
            "pods \"web\" is forbidden: User \"{user}\" cannot {verb} resource \
             \"pods/portforward\" in API group \"\" in the namespace \"default\""
        )
    };
    let spdy = [SPDY[0], SPDY[1], VERSION];
    for (name, get, post) in [
        ("get", Err("pods \"web\" is forbidden: ".to_owned()), Err(cannot("get", "create"))),
        ("create", Err(cannot("create", "get")), Ok(())),
        ("both", Ok(()), Ok(())),
    ] {
        let user = server.as_user(Some(User::authenticated(name, [])));
        for (method, expected) in [("GET", get), ("POST", post)] {
            let answer = ask(&user, method, "web/portforward", &spdy).await;
            match expected {
                Ok(()) => drop(answer.is(101)),
                Err(message) => drop(answer.refuses(403, "Forbidden", &message)),
            }
        }
    }
}
