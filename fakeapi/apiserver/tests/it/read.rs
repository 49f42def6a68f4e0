//! Get and list.

use apiserver::storage::HISTORY_EVENTS;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::harness::*;

#[tokio::test]
async fn a_missing_object_and_a_missing_kind_are_told_apart() {
    let server = Server::new();
    let answer = server.get(&format!("{CONFIG_MAPS}/x")).await;
    let answer = answer.refuses(404, "NotFound", "configmaps \"x\" not found");
    assert_eq!(answer.at("/details"), json!({"name": "x", "kind": "configmaps"}));
    let unknown = "the server could not find the requested resource";
    for path in ["/api/v1/foos", "/apis/apps/v9/deployments", "/apis/apps/v1/namespaces/default/x"]
    {
        server.get(path).await.refuses(404, "NotFound", unknown);
    }
    for path in ["/apis/nobody.example/v1/things", "/apis/nobody.example", "/nowhere"] {
        let answer = server.get(path).await.is(404);
        assert_eq!(&*answer.body, b"404 page not found\n", "{path}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn a_list_has_items_without_kind() {
    let server = Server::new();
    for name in ["b", "a"] {
        server.config_map(name).await;
    }
    let mut elsewhere = config_map("z");
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    server.post("/api/v1/namespaces/kube-system/configmaps", &elsewhere).await.is(201);
    let answer = server.get(CONFIG_MAPS).await.is(200);
    let list = answer.json();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    assert_eq!(list["metadata"], json!({"resourceVersion": "6"}));
    assert_eq!(answer.names(), ["a", "b"]);
    assert_eq!(list["items"][0].get("kind"), None);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(server.get("/api/v1/configmaps").await.names(), ["a", "b", "z"]);
    let empty = server.get("/api/v1/namespaces/nowhere/configmaps").await.is(200);
    assert_eq!(empty.at("/items"), json!([]));
}

#[tokio::test]
async fn selectors_choose() {
    let server = Server::new();
    for (name, labels, node) in [
        ("p1", json!({"app": "a", "tier": "x"}), "n1"),
        ("p2", json!({"app": "b"}), "n1"),
        ("p3", json!({"tier": "x"}), "n2"),
    ] {
        let mut pod = pod(name);
        pod["metadata"]["labels"] = labels;
        pod["spec"]["nodeName"] = node.into();
        server.post(PODS, &pod).await.is(201);
    }
    let cases: [(&str, &[&str]); 9] = [
        ("labelSelector=app%3Da", &["p1"]),
        ("labelSelector=app+in+(a,b)", &["p1", "p2"]),
        ("labelSelector=!app", &["p3"]),
        ("labelSelector=app!%3Da,tier", &["p3"]),
        ("fieldSelector=spec.nodeName%3Dn1", &["p1", "p2"]),
        ("fieldSelector=spec.nodeName%3Dn1,metadata.name!%3Dp1", &["p2"]),
        ("fieldSelector=metadata.name%3Dp2", &["p2"]),
        ("fieldSelector=metadata.name%3Dp9", &[]),
        ("fieldSelector=spec.nodeName%3Dn1&labelSelector=tier%3Dx", &["p1"]),
    ];
    for (query, expected) in cases {
        for path in [PODS, "/api/v1/pods"] {
            let answer = server.get(&format!("{path}?{query}")).await.is(200);
            assert_eq!(answer.names(), expected, "{path}?{query}");
        }
    }
    let drain = "fieldSelector=spec.nodeName%3Dn1%2Cstatus.phase%21%3DSucceeded&limit=1";
    let page = server.get(&format!("/api/v1/pods?{drain}")).await;
    assert_eq!(page.names(), ["p1"]);
    let next = page.at("/metadata/continue");
    assert_eq!(page.at("/metadata/remainingItemCount"), Value::Null, "not told under a selector");
    let rest = format!("/api/v1/pods?{drain}&continue={}", next.as_str().unwrap());
    let page = server.get(&rest).await;
    assert_eq!((page.names(), page.at("/metadata/continue")), (vec!["p2".to_owned()], Value::Null));
    for (query, message) in [
        ("fieldSelector=spec.foo%3Da", "field label not supported: spec.foo"),
        ("fieldSelector=abc", "invalid selector: 'abc'; can't understand 'abc'"),
        ("limit=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
    ] {
        server.get(&format!("{PODS}?{query}")).await.refuses(400, "BadRequest", message);
    }
    let answer = server.get(&format!("{PODS}?labelSelector=a%3D%3D%3Db")).await.is(400);
    assert!(
        answer.message().starts_with("unable to parse requirement: found '"),
        "{}",
        answer.message()
    );
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let server = Server::new();
    for index in 0..5 {
        server.config_map(&format!("c{index}")).await;
    }
    let first = server.get(&format!("{CONFIG_MAPS}?limit=2")).await.is(200);
    assert_eq!(first.names(), ["c0", "c1"]);
    assert_eq!(first.at("/metadata/remainingItemCount"), 3);
    let at = revision(&first.json());
    server.delete(&format!("{CONFIG_MAPS}/c2")).await.is(200);
    server.config_map("c35").await;
    let patch = json!({"data": {"new": "1"}});
    server.patch(&format!("{CONFIG_MAPS}/c3"), MERGE, &patch).await.is(200);
    let mut seen = Vec::new();
    let mut next = first.at("/metadata/continue");
    while let Some(token) = next.as_str() {
        let page = server.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.is(200);
        assert_eq!(revision(&page.json()), at);
        seen.extend(page.at("/items").as_array().unwrap().iter().cloned());
        next = page.at("/metadata/continue");
    }
    let names: Vec<_> = seen.iter().map(|o| o["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["c2", "c3", "c4"]);
    assert_eq!(seen[1]["data"], json!({"a": "1"}), "as it was then");
}

#[tokio::test]
async fn a_page_too_old_is_refused_with_a_way_on() {
    let server = Server::new();
    for name in ["a", "b", "c"] {
        server.config_map(name).await;
    }
    let first = server.get(&format!("{CONFIG_MAPS}?limit=1")).await;
    let old = revision(&first.json());
    for index in 0..=HISTORY_EVENTS {
        let patch = json!({"data": {"n": index.to_string()}});
        server.patch(&format!("{CONFIG_MAPS}/c"), MERGE, &patch).await.is(200);
    }
    let token = first.at("/metadata/continue");
    let answer =
        server.get(&format!("{CONFIG_MAPS}?limit=1&continue={}", token.as_str().unwrap())).await;
    let answer = answer.is(410);
    assert_eq!(answer.at("/reason"), "Expired");
    assert!(answer.message().starts_with("The provided continue parameter is too old to display"));
    let token = answer.at("/metadata/continue");
    let page =
        server.get(&format!("{CONFIG_MAPS}?limit=5&continue={}", token.as_str().unwrap())).await;
    assert_eq!(page.is(200).names(), ["b", "c"]);
    let exact = format!("{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact");
    let answer = server.get(&exact).await.is(410);
    assert_eq!(answer.at("/reason"), "Expired");
    let newer = format!("{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=NotOlderThan");
    assert_eq!(server.get(&newer).await.is(200).names(), ["a", "b", "c"]);
}

#[tokio::test]
async fn revisions_in_a_list_mean_what_they_mean() {
    let server = Server::new();
    let a = revision(&server.config_map("a").await);
    let b = revision(&server.config_map("b").await);
    let cases: [(String, u16, &str); 12] = [
        (String::new(), 200, "a b"),
        ("resourceVersion=0".into(), 200, "a b"),
        (format!("resourceVersion={a}"), 200, "a b"),
        (format!("resourceVersion={a}&resourceVersionMatch=NotOlderThan"), 200, "a b"),
        (format!("resourceVersion={a}&resourceVersionMatch=Exact"), 200, "a"),
        (format!("resourceVersion={b}&resourceVersionMatch=Exact"), 200, "a b"),
        (format!("resourceVersion={}", b + 9), 504, "Timeout"),
        ("resourceVersion=0&resourceVersionMatch=Exact".into(), 422, "Invalid"),
        ("resourceVersionMatch=Exact".into(), 422, "Invalid"),
        ("resourceVersion=5&resourceVersionMatch=Some".into(), 422, "Invalid"),
        ("sendInitialEvents=true".into(), 422, "Invalid"),
        ("continue=%21%21".into(), 400, "BadRequest"),
    ];
    for (query, code, expected) in cases {
        let answer = server.get(&format!("{CONFIG_MAPS}?{query}")).await;
        assert_eq!(answer.code, code, "{query}");
        if code == 200 {
            assert_eq!(answer.names().join(" "), expected, "{query}");
        } else {
            assert_eq!(answer.at("/reason"), expected, "{query}");
        }
    }
    let future = server.get(&format!("{CONFIG_MAPS}?resourceVersion=99")).await.refuses(
        504,
        "Timeout",
        &format!("Timeout: Too large resource version: 99, current: {b}"),
    );
    assert_eq!(future.header("retry-after"), "1");
    assert_eq!(future.at("/details/causes/0/reason"), "ResourceVersionTooLarge");
    let bad = server.get(&format!("{CONFIG_MAPS}?resourceVersion=abc")).await.is(500);
    assert_eq!(
        bad.message(),
        "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax"
    );
}

#[tokio::test]
async fn tables_and_metadata_are_other_forms_of_the_same() {
    let server = Server::new();
    server.config_map("a").await;
    for path in [CONFIG_MAPS.to_owned(), format!("{CONFIG_MAPS}/a")] {
        let table = server.get_as(TABLE, &path).await.is(200).json();
        assert_eq!(
            (&table["kind"], &table["apiVersion"]),
            (&json!("Table"), &json!("meta.k8s.io/v1"))
        );
        assert_eq!(table["columnDefinitions"][0]["name"], "Name");
        assert_eq!(table["rows"][0]["cells"][0], "a");
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "a");
        let whole = server.get_as(TABLE, &format!("{path}?includeObject=Object")).await.json();
        assert_eq!(whole["rows"][0]["object"]["data"], json!({"a": "1"}));
        let none = server.get_as(TABLE, &format!("{path}?includeObject=None")).await.json();
        assert_eq!(none["rows"][0]["object"], Value::Null);
    }
    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = server.get_as(partial, CONFIG_MAPS).await.is(200).json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert_eq!(list["items"][0].get("data"), None);
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let one = server.get_as(partial, &format!("{CONFIG_MAPS}/a")).await.is(200).json();
    assert_eq!((&one["kind"], one.get("data")), (&json!("PartialObjectMetadata"), None));
    let missing = server.get_as(TABLE, &format!("{CONFIG_MAPS}/x")).await.is(404);
    assert_eq!(missing.at("/kind"), "Status", "a refusal is no table");
}

#[tokio::test]
async fn yaml_and_indented_json_are_for_people() {
    let server = Server::new();
    server.config_map("a").await;
    let path = format!("{CONFIG_MAPS}/a");
    let yaml = server.get_as("application/yaml", &path).await.is(200);
    assert_eq!(yaml.header("content-type"), "application/yaml");
    let value = apiserver::yaml::to_json(&yaml.body).unwrap();
    assert_eq!(value, server.get(&path).await.json());
    let pretty = server.get(&format!("{path}?pretty=true")).await;
    assert!(pretty.body.starts_with(b"{\n  \""), "{:?}", pretty.body);
    assert_eq!(pretty.json(), value);
    let answer = server.get_as("text/html", &path).await;
    answer.refuses(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf",
    );
    server.get_as("text/html", "/version").await.is(200);
}
