//! Watch.

use std::time::Duration;

use apiserver::storage::{HISTORY_EVENTS, Storage};
use futures::FutureExt;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

async fn label(server: &Server, name: &str, value: &str) -> u64 {
    let patch = json!({"metadata": {"labels": {"l": value}}});
    let object = server.patch(&format!("{CONFIG_MAPS}/{name}"), MERGE, &patch).await.is(200).json();
    revision(&object)
}

fn seen(kind: &str, name: &str, revision: u64) -> (String, String, u64) {
    (kind.to_owned(), name.to_owned(), revision)
}

#[tokio::test]
async fn a_watch_goes_on_from_its_revision() {
    let server = Server::new();
    let a = revision(&server.config_map("a").await);
    let b = revision(&server.config_map("b").await);
    let mut watch = server.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={a}")).await;
    assert_eq!(watch.seen().await, seen("ADDED", "b", b));
    assert!(watch.is_quiet());
    let change = label(&server, "a", "1").await;
    assert_eq!(watch.seen().await, seen("MODIFIED", "a", change));
    server.delete(&format!("{CONFIG_MAPS}/b")).await.is(200);
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_eq!(revision(&event["object"]), server.store.revision());
    assert_eq!(event["object"]["kind"], "ConfigMap");
    server.post("/api/v1/namespaces/kube-system/configmaps", &config_map("z")).await.is(201);
    server.post(SECRETS, &json!({"metadata": {"name": "s"}})).await.is(201);
    assert!(watch.is_quiet(), "another namespace, another kind");
    let mut all = server.watch("/api/v1/configmaps?watch=1").await;
    for name in ["a", "z"] {
        let (kind, found, _) = all.seen().await;
        assert_eq!(
            (&*kind, &*found),
            ("ADDED", name),
            "without a revision, what is there comes first"
        );
    }
    let mut old = server.watch("/api/v1/watch/namespaces/default/configmaps/a").await;
    assert_eq!(old.seen().await.1, "a");
    assert!(old.is_quiet());
}

#[tokio::test]
async fn objects_enter_and_leave_a_selection() {
    let server = Server::new();
    let first = server.config_map("a").await;
    let path =
        format!("{CONFIG_MAPS}?watch=1&resourceVersion={}&labelSelector=l%3Din", revision(&first));
    let mut watch = server.watch(&path).await;
    let entered = label(&server, "a", "in").await;
    assert_eq!(watch.seen().await, seen("ADDED", "a", entered));
    let left = label(&server, "a", "out").await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["metadata"]["labels"]["l"], "in", "as it was while selected");
    assert_eq!(revision(&event["object"]), left);
    server.delete(&format!("{CONFIG_MAPS}/a")).await.is(200);
    assert!(watch.is_quiet(), "it was outside when it went");

    let mut pod = pod("p");
    pod["spec"]["nodeName"] = "n1".into();
    server.post(PODS, &pod).await.is(201);
    let mut watch = server.watch("/api/v1/pods?watch=1&fieldSelector=status.phase%3DRunning").await;
    assert!(watch.is_quiet());
    let running = json!({"status": {"phase": "Running"}});
    server.patch(&format!("{PODS}/p/status"), MERGE, &running).await.is(200);
    assert_eq!(watch.seen().await.0, "ADDED");
}

const LIST: &str =
    "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

#[tokio::test]
async fn a_watch_can_begin_with_a_list_and_says_where_it_ends() {
    let server = Server::new();
    for name in ["a", "b"] {
        server.config_map(name).await;
    }
    let mut watch = server.watch(&format!("{CONFIG_MAPS}?{LIST}")).await;
    for name in ["a", "b"] {
        let (kind, found, _) = watch.seen().await;
        assert_eq!((&*kind, &*found), ("ADDED", name));
    }
    let bookmark = watch.next().await.unwrap();
    assert_eq!(
        bookmark,
        json!({"type": "BOOKMARK", "object": {
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {
                "resourceVersion": server.store.revision().to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        }})
    );
    server.config_map("c").await;
    assert_eq!(watch.seen().await.1, "c");
    let mut none = server.watch(&format!("{CONFIG_MAPS}?{LIST}&labelSelector=no%3Done")).await;
    assert_eq!(none.seen().await.0, "BOOKMARK");
    let later = LIST.replace("true&resourceVersionMatch", "false&resourceVersionMatch");
    let mut later = server.watch(&format!("{CONFIG_MAPS}?{later}")).await;
    assert!(later.is_quiet(), "no initial events wanted");
}

#[tokio::test]
async fn rules_of_watch_parameters() {
    let server = Server::new();
    let requires = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                    sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    let path = format!("{CONFIG_MAPS}?watch=1&sendInitialEvents=true");
    server.get(&path).await.refuses(422, "Invalid", requires);
    let path = format!("{CONFIG_MAPS}?watch=1&resourceVersionMatch=NotOlderThan");
    server.get(&path).await.refuses(
        422,
        "Invalid",
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
         resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    );
    let path = format!("{CONFIG_MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=Exact");
    let answer = server.get(&path).await.is(422);
    assert_eq!(answer.at("/details/causes").as_array().unwrap().len(), 2);
    server.get(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=abc")).await.refuses(
        422,
        "Invalid",
        "configmaps \"\" is invalid: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: \
         parsing \"abc\": invalid syntax",
    );
}

/// The `Status` in the ERROR event that ends a watch.
async fn error(mut watch: Watch) -> Value {
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "ERROR", "{event}");
    assert_eq!(watch.next().await, None, "the watch has ended");
    event["object"].clone()
}

#[tokio::test]
async fn a_revision_out_of_reach_ends_the_watch() {
    let server = Server::new();
    server.config_map("a").await;
    let future = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=99")).await;
    let status = error(future).await;
    assert_eq!((&status["code"], &status["reason"]), (&json!(504), &json!("Timeout")));
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    for index in 0..=HISTORY_EVENTS {
        label(&server, "a", &format!("v{index}")).await;
    }
    let old = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=2")).await;
    let status = error(old).await;
    assert_eq!((&status["code"], &status["reason"]), (&json!(410), &json!("Expired")));
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("too old resource version: 2 ("), "{message}");
}

#[tokio::test]
async fn a_reader_that_never_reads_holds_nothing_and_is_told() {
    let server = Server::new();
    server.config_map("a").await;
    let from = server.store.revision();
    let mut watch = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}")).await;
    for index in 0..10_000 {
        label(&server, "a", &format!("v{index}")).await;
    }
    let (events, upto) = server
        .store
        .changes(
            apiserver::storage::ResourceId::of("", "configmaps"),
            server.store.revision() - 100,
            200,
        )
        .unwrap();
    assert_eq!((events.len(), upto), (100, server.store.revision()));
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["code"], 410);
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_slow_reader_within_the_bound_misses_nothing() {
    let server = Server::new();
    server.config_map("a").await;
    let from = server.store.revision();
    let mut watch = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}")).await;
    for index in 0..2000 {
        label(&server, "a", &format!("v{index}")).await;
    }
    for index in 1..=2000 {
        assert_eq!(watch.seen().await, seen("MODIFIED", "a", from + index));
    }
    assert!(watch.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_and_the_end_comes() {
    let server = Server::new();
    server.config_map("a").await;
    let now = server.store.revision();
    let path = format!("{CONFIG_MAPS}?watch=1&resourceVersion={now}&timeoutSeconds=130");
    let mut watch = server.watch(&format!("{path}&allowWatchBookmarks=true")).await;
    let began = tokio::time::Instant::now();
    server.post(SECRETS, &json!({"metadata": {"name": "s"}})).await.is(201);
    let event = watch.next().await.unwrap();
    assert_eq!(
        event,
        json!({"type": "BOOKMARK", "object": {
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"resourceVersion": (now + 1).to_string()},
        }}),
        "the revision of other kinds counts too"
    );
    assert_eq!(watch.next().await.unwrap()["type"], "BOOKMARK");
    assert_eq!(watch.next().await, None);
    assert_eq!(began.elapsed().as_secs(), 130);
    let mut quiet = server.watch(&path).await;
    assert_eq!(quiet.next().await, None, "no bookmarks unless wanted");
    let mut endless = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={now}")).await;
    assert!(tokio::time::timeout(Duration::from_secs(1700), endless.next()).await.is_err());
    assert_eq!(endless.next().await, None, "half an hour at the least");
}

#[tokio::test]
async fn a_server_that_stops_ends_its_watches() {
    let server = Server::new();
    let mut watch = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=3")).await;
    assert_eq!(watch.next().now_or_never(), None);
    server.stop();
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_table_watch_names_its_columns_once() {
    let server = Server::new();
    server.config_map("a").await;
    let mut watch = server.watch_as(TABLE, &format!("{CONFIG_MAPS}?watch=1")).await;
    let first = watch.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    server.config_map("b").await;
    let second = watch.next().await.unwrap();
    assert_eq!(second["object"]["columnDefinitions"], Value::Null);
    assert_eq!(second["object"]["rows"][0]["object"]["metadata"]["name"], "b");
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let mut watch = server.watch_as(partial, &format!("{CONFIG_MAPS}?watch=1")).await;
    let first = watch.next().await.unwrap();
    assert_eq!(
        (&first["object"]["kind"], first["object"].get("data")),
        (&json!("PartialObjectMetadata"), None)
    );
}

#[tokio::test]
async fn a_protobuf_watch_sends_frames() {
    use http_body_util::BodyExt;
    let server = Server::new();
    server.config_map("a").await;
    let request = http::Request::get(format!("{CONFIG_MAPS}?watch=1"))
        .header("accept", "application/vnd.kubernetes.protobuf;stream=watch")
        .body(http_body_util::Full::default())
        .unwrap();
    let mut response = server.send(request).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/vnd.kubernetes.protobuf;stream=watch"
    );
    let bytes = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    assert_eq!(bytes.len(), 4 + length);
    assert!(bytes.windows(5).any(|window| window == b"ADDED"));
}
