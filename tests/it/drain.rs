//! Pods run, are evicted and end; nodes that clients delete take all along that was theirs.

use std::time::{Duration, Instant};

use fakeapi_tests::{Program, Session};
use serde_json::{Value, json};

const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/namespaces/default/pods";
const SYSTEM: &str = "/api/v1/namespaces/kube-system/pods";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
const PROXY: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";

/// A cluster of a control plane and two workers.
async fn cluster() -> (Program, Session) {
    let program = Program::start(&[]).await.unwrap();
    program.control().register("c").await.unwrap();
    program.control().control_plane("c", "cp0").await.unwrap();
    for worker in ["w0", "w1"] {
        program.control().worker("c", worker).await.unwrap();
    }
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    (program, session)
}

async fn restarted(program: Program) -> (Program, Session) {
    let program = program.kill().unwrap().start().await.unwrap();
    let session = program.access("c").await.unwrap().connect().await.unwrap();
    (program, session)
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "a"}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "nginx"}]},
    })
}

fn eviction(name: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})
}

async fn read(session: &Session, path: &str) -> Value {
    session.get(path).await.unwrap().good().unwrap()
}

/// The names of the pods in kube-system that begin so.
async fn system(session: &Session, prefix: &str) -> Vec<String> {
    let list = read(session, SYSTEM).await;
    let names = list["items"].as_array().unwrap().iter();
    let names = names.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// Waits until an object is gone.
async fn gone(session: &Session, path: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while session.get(path).await.unwrap().status != 404 {
        assert!(Instant::now() < deadline, "{path} stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_pod_runs_and_ends_on_its_node_also_over_a_restart() {
    let (program, session) = cluster().await;
    let path = format!("{PODS}/p");
    session.post(PODS, &pod("p", "w0")).await.unwrap().good().unwrap();
    let running = read(&session, &path).await;
    assert_eq!(running["status"]["phase"], "Running");
    assert_eq!(running["status"]["containerStatuses"][0]["ready"], true);
    let node = read(&session, &format!("{NODES}/w0")).await;
    assert_eq!(running["status"]["hostIP"], node["status"]["addresses"][0]["address"]);
    session.post(PODS, &pod("q", "w0")).await.unwrap().good().unwrap();
    let other = read(&session, &format!("{PODS}/q")).await;
    assert_ne!(other["status"]["podIP"], running["status"]["podIP"]);
    let marked = session.delete(&path).await.unwrap().good().unwrap();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(read(&session, &path).await["metadata"]["uid"], marked["metadata"]["uid"]);
    // The power is cut before the kubelet is done.
    let (_program, session) = restarted(program).await;
    gone(&session, &path).await;
    assert_eq!(read(&session, &format!("{PODS}/q")).await["status"]["phase"], "Running");
}

#[tokio::test]
async fn a_bound_pod_runs() {
    let (_program, session) = cluster().await;
    let mut waiting = pod("p", "");
    waiting["spec"].as_object_mut().unwrap().remove("nodeName");
    session.post(PODS, &waiting).await.unwrap().good().unwrap();
    assert_eq!(read(&session, &format!("{PODS}/p")).await["status"]["phase"], "Pending");
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "w1"},
    });
    session.post(&format!("{PODS}/p/binding"), &binding).await.unwrap().good().unwrap();
    assert_eq!(read(&session, &format!("{PODS}/p")).await["status"]["phase"], "Running");
}

#[tokio::test]
async fn budgets_follow_their_pods() {
    let (_program, session) = cluster().await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
    });
    session.post(BUDGETS, &budget).await.unwrap().good().unwrap();
    for name in ["p", "q"] {
        session.post(PODS, &pod(name, "w0")).await.unwrap().good().unwrap();
    }
    let status = read(&session, &format!("{BUDGETS}/b")).await["status"].clone();
    let counts = ["expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"];
    assert_eq!(counts.map(|field| status[field].as_i64().unwrap()), [2, 1, 2, 1], "{status}");
    let evict = |name: &'static str| {
        let session = session.clone();
        async move { session.post(&format!("{PODS}/{name}/eviction"), &eviction(name)).await.unwrap() }
    };
    assert_eq!(evict("p").await.status, 201);
    let refused = evict("q").await;
    assert_eq!(refused.status, 429, "{refused}");
    let cause = &refused.json().unwrap()["details"]["causes"][0];
    assert_eq!(cause["reason"], "DisruptionBudget");
    gone(&session, &format!("{PODS}/p")).await;
    assert_eq!(evict("q").await.status, 429);
    session.post(PODS, &pod("r", "w1")).await.unwrap().good().unwrap();
    assert_eq!(evict("q").await.status, 201);
    gone(&session, &format!("{PODS}/q")).await;
}

#[tokio::test]
async fn a_deleted_node_takes_everything_along() {
    let (program, session) = cluster().await;
    program.control().control_plane("c", "cp1").await.unwrap();
    session.post(PODS, &pod("p", "cp1")).await.unwrap().good().unwrap();
    let change = json!({"metadata": {"annotations": {"mine": "1"}}});
    session.patch(&format!("{SYSTEM}/kube-scheduler-cp1"), &change).await.unwrap().good().unwrap();
    session.patch(&format!("{NODES}/cp1"), &change).await.unwrap().good().unwrap();
    assert_eq!(session.delete(&format!("{NODES}/cp1")).await.unwrap().status, 200);
    gone(&session, &format!("{PODS}/p")).await;
    for path in [
        format!("{NODES}/cp1"),
        format!("{LEASES}/cp1"),
        format!("{SYSTEM}/etcd-cp1"),
        format!("{SYSTEM}/kube-scheduler-cp1"),
    ] {
        assert_eq!(session.get(&path).await.unwrap().status, 404, "{path}");
    }
    assert_eq!(system(&session, "kube-proxy-").await.len(), 3);
    assert_eq!(read(&session, PROXY).await["status"]["numberReady"], 3);
    let again = program.control().remove_node("c", "cp1").await.unwrap_err().to_string();
    assert!(again.contains("404"), "{again}");
    let (_program, session) = restarted(program).await;
    assert_eq!(session.get(&format!("{NODES}/cp1")).await.unwrap().status, 404);
    assert_eq!(system(&session, "kube-proxy-").await.len(), 3);
}

#[tokio::test]
async fn pods_of_the_clusters_own_are_made_anew() {
    let (program, session) = cluster().await;
    let path = format!("{SYSTEM}/etcd-cp0");
    let first = read(&session, &path).await;
    let now = json!({"gracePeriodSeconds": 0});
    let delete = |path: String| {
        let (session, now) = (session.clone(), now.clone());
        async move {
            session
                .call(http::Method::DELETE, &path, "application/json", now.to_string())
                .await
                .unwrap()
                .good()
                .unwrap()
        }
    };
    delete(path.clone()).await;
    let second = read(&session, &path).await;
    assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(second["status"]["phase"], "Running");
    for prefix in ["kube-proxy-", "coredns-"] {
        let before = system(&session, prefix).await;
        delete(format!("{SYSTEM}/{}", before[0])).await;
        let after = system(&session, prefix).await;
        assert_eq!(after.len(), before.len(), "{after:?}");
        assert!(!after.contains(&before[0]), "{after:?}");
        assert!(after.contains(&before[1]), "{after:?}");
    }
    let pods = read(&session, SYSTEM).await;
    let (_program, session) = restarted(program).await;
    let again = read(&session, SYSTEM).await;
    assert_eq!(again["items"], pods["items"]);
}

#[tokio::test]
async fn a_drained_node_has_no_coredns_and_a_daemon_set_that_goes_takes_its_pods() {
    let (program, session) = cluster().await;
    let cordon = json!({"spec": {"unschedulable": true}});
    session.patch(&format!("{NODES}/cp0"), &cordon).await.unwrap().good().unwrap();
    let dns = system(&session, "coredns-").await;
    for name in &dns {
        let path = format!("{SYSTEM}/{name}/eviction");
        assert_eq!(session.post(&path, &eviction(name)).await.unwrap().status, 201);
    }
    for name in &dns {
        gone(&session, &format!("{SYSTEM}/{name}")).await;
    }
    let mut nodes = Vec::new();
    for name in system(&session, "coredns-").await {
        nodes.push(read(&session, &format!("{SYSTEM}/{name}")).await["spec"]["nodeName"].clone());
    }
    nodes.sort_by_key(ToString::to_string);
    assert_eq!(nodes, ["w0", "w1"], "never on a node that takes no pods, never two on one");

    session.delete(PROXY).await.unwrap().good().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !system(&session, "kube-proxy-").await.is_empty() {
        assert!(Instant::now() < deadline, "kube-proxy stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    program.control().worker("c", "w2").await.unwrap();
    assert_eq!(system(&session, "kube-proxy-").await, Vec::<String>::new());
    let (_program, session) = restarted(program).await;
    assert_eq!(system(&session, "kube-proxy-").await, Vec::<String>::new());
    assert_eq!(system(&session, "coredns-").await.len(), 2);
}

/// As KCP does at an upgrade.
#[tokio::test]
async fn a_new_image_comes_into_the_pods_and_the_status_follows() {
    let (program, session) = cluster().await;
    let deployment = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
    let check = async |session: &Session, path: &str, prefix: &str, image: &str| {
        let object = read(session, path).await;
        assert_eq!(object["status"]["observedGeneration"], object["metadata"]["generation"]);
        let names = system(session, prefix).await;
        for name in &names {
            let pod = read(session, &format!("{SYSTEM}/{name}")).await;
            assert_eq!(pod["spec"]["containers"][0]["image"], image);
            assert_eq!(pod["status"]["containerStatuses"][0]["image"], image);
        }
        names
    };
    for (path, prefix, name, count) in
        [(PROXY, "kube-proxy-", "kube-proxy", 3), (deployment, "coredns-", "coredns", 2)]
    {
        let before = system(&session, prefix).await;
        let image = format!("mirror.example/{name}:v1.99.0");
        let mut object = read(&session, path).await;
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        session.put(path, &object).await.unwrap().good().unwrap();
        let after = check(&session, path, prefix, &image).await;
        assert_eq!(after.len(), count);
        assert!(after.iter().all(|name| !before.contains(name)), "{after:?}");
    }
    program.control().worker("c", "w2").await.unwrap();
    let status = read(&session, PROXY).await["status"].clone();
    for field in ["desiredNumberScheduled", "updatedNumberScheduled", "numberReady"] {
        assert_eq!(status[field], 4, "{status}");
    }
    let (_program, session) = restarted(program).await;
    let image = "mirror.example/kube-proxy:v1.99.0";
    assert_eq!(check(&session, PROXY, "kube-proxy-", image).await.len(), 4);
}
