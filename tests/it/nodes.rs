//! Nodes come, change and go over the control endpoint, and clients see it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fakeapi_tests::control::CONTROL_PLANE;
use fakeapi_tests::{Program, Session};
use http::Method;
use serde_json::{Value, json};

const NODES: &str = "/api/v1/nodes";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const PODS: &str = "/api/v1/namespaces/kube-system/pods";

async fn cluster() -> (Program, Session) {
    let program = Program::start(&[]).await.unwrap();
    program.control().register("c").await.unwrap();
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    (program, session)
}

fn names(list: &Value) -> BTreeSet<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_worker_comes_after_a_control_plane() {
    let (program, session) = cluster().await;
    let control = program.control();
    let early = control.try_node("c", "w0", &Value::Null).await.unwrap();
    assert_eq!(
        (early.status, early.text().as_str()),
        (500, "Workload Cluster has not been activated\n")
    );
    let nowhere = control.try_node("none", "w0", &Value::Null).await.unwrap();
    assert_eq!(
        (nowhere.status, nowhere.text().as_str()),
        (500, "Workload Cluster does not exist\n")
    );
    assert_eq!(names(&session.get(NODES).await.unwrap().good().unwrap()), BTreeSet::new());
    control.control_plane("c", "cp0").await.unwrap();
    control.worker("c", "w0").await.unwrap();
    let nodes = names(&session.get(NODES).await.unwrap().good().unwrap());
    assert_eq!(nodes, BTreeSet::from(["cp0".into(), "w0".into()]));
}

#[tokio::test]
async fn a_bad_name_is_refused_and_changes_nothing() {
    let (program, session) = cluster().await;
    let labels = json!({"labels": {CONTROL_PLANE: ""}});
    for bad in ["", "UPPER", "a_b", "a..b", &"x".repeat(254)] {
        let refused = program.control().try_node("c", bad, &labels).await.unwrap();
        assert_eq!(refused.status, 400, "{bad}: {refused}");
    }
    assert_eq!(names(&session.get(NODES).await.unwrap().good().unwrap()), BTreeSet::new());
}

#[tokio::test]
async fn watchers_see_nodes_come_change_and_go() {
    let (program, session) = cluster().await;
    let control = program.control();
    control.control_plane("c", "cp0").await.unwrap();
    let list = session.get(NODES).await.unwrap().good().unwrap();
    let from = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{NODES}?watch=1&resourceVersion={from}");
    let mut watch = session.watch(&path).await.unwrap();

    let more = json!({"providerID": "metal3://x", "uuid": "u-1", "labels": {"zone": "z1"}});
    assert_eq!(control.try_node("c", "w0", &more).await.unwrap().status, 200);
    let added = watch.expect("ADDED").await.unwrap();
    assert_eq!(added["metadata"]["name"], "w0");
    assert_eq!(added["spec"]["providerID"], "metal3://x");
    assert_eq!(added["metadata"]["labels"]["zone"], "z1");
    assert_eq!(added["metadata"]["labels"]["metal3.io/uuid"], "u-1");

    let more = json!({"labels": {"zone": "z2"}});
    assert_eq!(control.try_node("c", "w0", &more).await.unwrap().status, 200);
    let changed = watch.expect("MODIFIED").await.unwrap();
    assert_eq!(changed["metadata"]["labels"]["zone"], "z2");
    assert_eq!(changed["spec"]["providerID"], "metal3://x");
    assert_eq!(changed["metadata"]["uid"], added["metadata"]["uid"]);
    let version = |node: &Value| -> u64 {
        node["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    };
    assert!(version(&changed) > version(&added));

    control.remove_node("c", "w0").await.unwrap();
    let gone = watch.expect("DELETED").await.unwrap();
    assert_eq!(gone["metadata"]["name"], "w0");
    assert!(version(&gone) > version(&changed));
}

#[tokio::test]
async fn what_clients_wrote_to_a_node_stays() {
    let (program, session) = cluster().await;
    let control = program.control();
    control.control_plane("c", "cp0").await.unwrap();
    control.worker("c", "w0").await.unwrap();
    let path = format!("{NODES}/w0");
    let change = json!({
        "metadata": {"labels": {"mine": "yes"}, "annotations": {"a": "b"}},
        "spec": {"unschedulable": true},
    });
    let patched = session.patch(&path, &change).await.unwrap().good().unwrap();
    let from = patched["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch =
        session.watch(&format!("{NODES}?watch=1&resourceVersion={from}")).await.unwrap();
    let more = json!({"providerID": "metal3://y", "uuid": "u-2", "labels": {"zone": "z1"}});
    assert_eq!(control.try_node("c", "w0", &more).await.unwrap().status, 200);
    let event = watch.expect("MODIFIED").await.unwrap();
    let check = |node: &Value| {
        assert_eq!(node["metadata"]["labels"]["mine"], "yes", "{node}");
        assert_eq!(node["metadata"]["annotations"]["a"], "b");
        assert_eq!(node["spec"]["unschedulable"], true);
        assert_eq!(node["metadata"]["labels"]["zone"], "z1");
        assert_eq!(node["metadata"]["labels"]["metal3.io/uuid"], "u-2");
        assert_eq!(node["spec"]["providerID"], "metal3://y");
    };
    check(&event);
    let node = session.get(&path).await.unwrap().good().unwrap();
    assert_eq!(node["metadata"]["resourceVersion"], event["metadata"]["resourceVersion"]);
    check(&node);

    let program = program.kill().unwrap().start().await.unwrap();
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    let after = session.get(&path).await.unwrap().good().unwrap();
    check(&after);
    assert_eq!(after["metadata"], node["metadata"]);

    program.control().remove_node("c", "w0").await.unwrap();
    assert_eq!(session.get(&path).await.unwrap().status, 404);
    let program = program.kill().unwrap().start().await.unwrap();
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    assert_eq!(session.get(&path).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_node_goes_with_its_pods_and_its_lease() {
    let (program, session) = cluster().await;
    let control = program.control();
    for node in ["cp0", "cp1"] {
        control.control_plane("c", node).await.unwrap();
    }
    let on = |node: &'static str| {
        let session = session.clone();
        async move {
            let path = format!("{PODS}?fieldSelector=spec.nodeName%3D{node}");
            let pods = names(&session.get(&path).await.unwrap().good().unwrap());
            let lease = session.get(&format!("{LEASES}/{node}")).await.unwrap().status;
            (pods, lease)
        }
    };
    let (pods, lease) = on("cp1").await;
    assert!(pods.contains("kube-apiserver-cp1"), "{pods:?}");
    assert_eq!(lease, 200);
    // A pod that a client has written to goes too.
    let change = json!({"metadata": {"labels": {"mine": "yes"}}});
    let pod = format!("{PODS}/kube-apiserver-cp1");
    session.patch(&pod, &change).await.unwrap().good().unwrap();
    control.remove_node("c", "cp1").await.unwrap();
    assert_eq!(on("cp1").await, (BTreeSet::new(), 404));
    let (pods, lease) = on("cp0").await;
    assert!(pods.contains("kube-apiserver-cp0"), "{pods:?}");
    assert_eq!(lease, 200);
    let again = control.remove_node("c", "cp1").await.unwrap_err().to_string();
    assert!(again.contains("404") && again.contains("cp1"), "{again}");
}

#[tokio::test]
async fn heartbeats_move_by_themselves() {
    let (program, session) = cluster().await;
    program.control().control_plane("c", "cp0").await.unwrap();
    let read = || async {
        let lease = session.get(&format!("{LEASES}/cp0")).await.unwrap().good().unwrap();
        let version = lease["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        (lease["spec"]["renewTime"].as_str().unwrap().to_owned(), version)
    };
    let seconds = |time: &str| -> u32 {
        let clock = &time[11..19];
        clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u32>().unwrap())
    };
    // The first is when the node came; from the second on, the node's own rhythm.
    let (mut first, version) = read().await;
    let mut beats = 0;
    let deadline = Instant::now() + Duration::from_secs(30);
    let (next, same) = loop {
        let now = read().await;
        if now.0 != first {
            beats += 1;
            if beats == 2 {
                break now;
            }
            first = now.0;
        }
        assert!(Instant::now() < deadline, "still {first}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let step = (seconds(&next) + 86_400 - seconds(&first)) % 86_400;
    assert_eq!(step, 10, "{first} {next}");
    assert_eq!(same, version, "a heartbeat is no change");
}

#[tokio::test]
async fn a_thousand_nodes_are_listed() {
    let (program, session) = cluster().await;
    program.control().control_plane("c", "cp0").await.unwrap();
    let nodes: Vec<Value> = (0..1000)
        .map(|number| {
            json!({
                "resource": "default/c", "nodeName": format!("w{number:04}"),
                "providerID": format!("fake://{number}"),
            })
        })
        .collect();
    let answer = program.control().json(Method::PUT, "/updateNode", &json!(nodes)).await.unwrap();
    let entries = answer.good().unwrap();
    let bad = entries.as_array().unwrap().iter().find(|entry| entry.get("error").is_some());
    assert_eq!(bad, None);
    let list = session.get(NODES).await.unwrap().good().unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1001);
    let mut seen = BTreeSet::new();
    let mut next = String::new();
    loop {
        let path = format!("{NODES}?limit=300&continue={next}");
        let page = session.get(&path).await.unwrap().good().unwrap();
        let before = seen.len();
        let page_names = names(&page);
        seen.extend(page_names.iter().cloned());
        assert_eq!(seen.len(), before + page_names.len(), "a node came twice");
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => token.clone_into(&mut next),
            _ => break,
        }
    }
    assert_eq!(seen, names(&list));
}

#[tokio::test]
async fn a_node_that_a_client_deleted_comes_back_when_it_is_put_again() {
    let (program, session) = cluster().await;
    let control = program.control();
    control.control_plane("c", "cp0").await.unwrap();
    control.worker("c", "w0").await.unwrap();
    let path = format!("{NODES}/w0");
    let first = session.get(&path).await.unwrap().good().unwrap();
    let gone = session.delete(&path).await.unwrap();
    assert_eq!(gone.status, 200, "{gone}");
    assert_eq!(session.get(&path).await.unwrap().status, 404);
    // A restart does not bring it back; asking for it does.
    let program = program.kill().unwrap().start().await.unwrap();
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    assert_eq!(session.get(&path).await.unwrap().status, 404);
    let list = session.get(NODES).await.unwrap().good().unwrap();
    let from = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch =
        session.watch(&format!("{NODES}?watch=1&resourceVersion={from}")).await.unwrap();
    program.control().worker("c", "w0").await.unwrap();
    let again = watch.expect("ADDED").await.unwrap();
    assert_ne!(again["metadata"]["uid"], first["metadata"]["uid"], "it is another one");
    assert_eq!(session.get(&path).await.unwrap().status, 200);
    let program = program.kill().unwrap().start().await.unwrap();
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    let after = session.get(&path).await.unwrap().good().unwrap();
    assert_eq!(after["metadata"], again["metadata"]);
}
