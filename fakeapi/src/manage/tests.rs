//! The reconciler from the management API to the clusters.

mod paused;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Parser;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::testing::ManagementApi;
use super::*;
use crate::client::Client;
use crate::fkas::fake::FakeRegistrar;
use crate::fkas::{ControlServer, Limits};
use crate::register::{CONTROL_PLANE_LABEL, ClusterName, NodeSpec, RegisterRequest, Registrar};

const CLUSTERS: &str = "cluster.x-k8s.io/v1beta2/clusters";
const MACHINES: &str = "cluster.x-k8s.io/v1beta2/machines";
const METAL3_CLUSTERS: &str = "infrastructure.cluster.x-k8s.io/v1beta1/metal3clusters";
const METAL3_MACHINES: &str = "infrastructure.cluster.x-k8s.io/v1beta1/metal3machines";
const HOSTS: &str = "metal3.io/v1alpha1/baremetalhosts";
const SECRETS: &str = "v1/secrets";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: ReconcileOptions,
}

/// A reconciler that runs until it is dropped.
struct Running {
    stop: CancellationToken,
    figures: Arc<Figures>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn start(api: &ManagementApi, clusters: Arc<dyn Clusters>, arguments: &[&str]) -> Running {
    let line = ["test", "--reconcile-alone"].iter().chain(arguments);
    let options = Line::parse_from(line).options;
    let reconciler = Reconciler::new(api.client(), clusters, options);
    let stop = CancellationToken::new();
    let figures = reconciler.figures().clone();
    let token = stop.clone();
    tokio::spawn(async move { reconciler.run(token).await });
    Running { stop, figures }
}

fn local(registrar: &Arc<FakeRegistrar>) -> Arc<dyn Clusters> {
    Arc::new(Local::new(registrar.clone() as Arc<dyn Registrar>))
}

async fn management() -> Arc<ManagementApi> {
    let api = ManagementApi::start().await;
    for kind in [CLUSTERS, MACHINES, METAL3_CLUSTERS, METAL3_MACHINES, HOSTS, SECRETS] {
        api.serve_kind(kind);
    }
    api
}

/// Waits until something is so.
async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

fn cluster(name: &str, uid: &str, endpoint: &Value) -> Value {
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"namespace": "ns", "name": name, "uid": uid, "labels": {"env": "test"}},
        "spec": {
            "controlPlaneEndpoint": endpoint.clone(),
            "infrastructureRef": {
                "apiGroup": "infrastructure.cluster.x-k8s.io",
                "kind": "Metal3Cluster", "name": name,
            },
        },
    })
}

fn metal3_cluster(api: &ManagementApi, name: &str) {
    api.put(
        METAL3_CLUSTERS,
        json!({
            "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "Metal3Cluster",
            "metadata": {"namespace": "ns", "name": name},
            "spec": {"controlPlaneEndpoint": {"host": "0.0.0.0", "port": 6443}},
        }),
    );
}

fn machine(api: &ManagementApi, cluster: &str, name: &str, control_plane: bool) {
    let mut labels = json!({"cluster.x-k8s.io/cluster-name": cluster});
    if control_plane {
        labels[CONTROL_PLANE_LABEL] = "".into();
    }
    api.put(
        MACHINES,
        json!({
            "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine",
            "metadata": {"namespace": "ns", "name": name, "labels": labels},
            "spec": {"clusterName": cluster, "version": "v1.36.0", "infrastructureRef": {
                "apiGroup": "infrastructure.cluster.x-k8s.io",
                "kind": "Metal3Machine", "name": format!("{name}-m3"),
            }},
        }),
    );
    api.put(METAL3_MACHINES, json!({
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "Metal3Machine",
        "metadata": {"namespace": "ns", "name": format!("{name}-m3"), "ownerReferences": [
            {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine", "name": name, "uid": "u"},
        ]},
    }));
}

fn host(api: &ManagementApi, machine: &str, state: &str) {
    api.put(
        HOSTS,
        json!({
            "apiVersion": "metal3.io/v1alpha1", "kind": "BareMetalHost",
            "metadata": {"namespace": "ns", "name": format!("{machine}-host"), "uid": machine},
            "spec": {"consumerRef": {
                "kind": "Metal3Machine", "name": format!("{machine}-m3"), "namespace": "ns",
            }},
            "status": {"provisioning": {"state": state}},
        }),
    );
}

fn nodes(registrar: &FakeRegistrar, cluster: &str) -> Vec<String> {
    let cluster = registrar.get(&format!("ns/{cluster}"));
    cluster.map(|cluster| cluster.nodes.keys().cloned().collect()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_lives_and_ends_as_its_objects_say() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar::default());
    let _running = start(&api, local(&registrar), &[]);
    api.put(CLUSTERS, cluster("c", "u1", &json!({"host": "", "port": 0})));
    metal3_cluster(&api, "c");
    until("registered", || registrar.get("ns/c").is_some()).await;
    let request = registrar.get("ns/c").unwrap().request;
    let secret = api.get(SECRETS, "ns/c-ca").unwrap();
    assert_eq!(secret["type"], "cluster.x-k8s.io/secret");
    assert_eq!(secret["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"], "c");
    assert!(request.ca.is_some() && request.etcd_ca.is_some());
    let labels = request.labels.unwrap();
    assert_eq!((&*labels["env"], &*labels[marks::REGISTERED_FOR]), ("test", "u1"));
    let written =
        || api.get(METAL3_CLUSTERS, "ns/c").unwrap()["spec"]["controlPlaneEndpoint"].clone();
    until("written", || written() == json!({"host": "10.0.0.1", "port": 6443})).await;

    // A worker before its control plane, which comes by its host alone.
    machine(&api, "c", "w", false);
    host(&api, "w", "provisioned");
    machine(&api, "c", "cp", true);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(nodes(&registrar, "c").is_empty());
    host(&api, "cp", "provisioned");
    until("both nodes", || nodes(&registrar, "c") == ["cp", "w"]).await;
    let worker = registrar.get("ns/c").unwrap().nodes["w"].clone();
    assert_eq!(worker.uuid.as_deref(), Some("w"));
    assert_eq!(worker.version.as_deref(), Some("v1.36.0"));

    host(&api, "w", "deprovisioning");
    until("the worker goes", || nodes(&registrar, "c") == ["cp"]).await;
    api.delete(MACHINES, "ns/cp");
    until("the control plane goes", || nodes(&registrar, "c").is_empty()).await;
    api.delete(CLUSTERS, "ns/c");
    until("unregistered", || registrar.get("ns/c").is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_comes_once_its_control_plane_has_booted() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar::default());
    registrar.boots.store(true, Ordering::SeqCst);
    let _running = start(&api, local(&registrar), &[]);
    api.put(CLUSTERS, cluster("c", "u1", &json!({"host": "10.0.0.1", "port": 6443})));
    machine(&api, "c", "cp", true);
    host(&api, "cp", "provisioned");
    until("the control plane", || nodes(&registrar, "c") == ["cp"]).await;
    machine(&api, "c", "w", false);
    let before = registrar.begun.load(Ordering::SeqCst);
    host(&api, "w", "provisioned");
    until("the worker was tried", || registrar.begun.load(Ordering::SeqCst) > before).await;
    assert_eq!(nodes(&registrar, "c"), ["cp"]);
    // Nothing happens in the management cluster when it has.
    registrar.boots.store(false, Ordering::SeqCst);
    until("the worker", || nodes(&registrar, "c") == ["cp", "w"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_go_on_after_cuts_outages_and_lost_history() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar::default());
    let running = start(&api, local(&registrar), &[]);
    let pinned = |name: &str, last: u8| {
        cluster(name, name, &json!({"host": format!("10.0.0.{last}"), "port": 6443}))
    };
    api.put(CLUSTERS, pinned("a", 1));
    until("a", || registrar.get("ns/a").is_some()).await;
    let lists = || api.requests("v1beta2/clusters?&limit=");
    let before = lists();

    api.cut();
    api.put(CLUSTERS, pinned("b", 2));
    until("b", || registrar.get("ns/b").is_some()).await;
    assert_eq!(lists(), before, "a cut watch resumes where it was");

    // Everything that happens while nobody can look, and its history is lost as well.
    api.set_down(true);
    api.put(CLUSTERS, pinned("d", 4));
    api.delete(CLUSTERS, "ns/a");
    api.compact();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = api.requests("clusters");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(api.requests("clusters") - asked < 20, "it does not ask without pause");
    api.set_down(false);
    until("d", || registrar.get("ns/d").is_some()).await;
    until("a goes", || registrar.get("ns/a").is_none()).await;
    assert!(registrar.get("ns/b").is_some());
    let mut text = String::new();
    running.figures.render(&mut text);
    assert!(text.contains("fakeapi_reconciler_leader 1"), "{text}");
    assert!(text.contains("fakeapi_reconciler_objects{kind=\"Cluster\"} 2"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_while_nobody_ran_is_made_good_and_users_clusters_stay() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar::default());
    let labelled = |uid: &str| RegisterRequest {
        labels: Some([(marks::REGISTERED_FOR.to_owned(), uid.to_owned())].into()),
        ..RegisterRequest::default()
    };
    let names = ["gone", "again", "users"].map(|name| ClusterName::new("ns", name));
    registrar.register(&names[0], labelled("u1")).await.unwrap();
    registrar.register(&names[1], labelled("old")).await.unwrap();
    registrar.register(&names[2], RegisterRequest::default()).await.unwrap();
    let cp = |name: &str, cluster: &str| NodeSpec {
        name: name.to_owned(),
        labels: [CONTROL_PLANE_LABEL, "cluster.x-k8s.io/cluster-name"]
            .map(|key| (key.to_owned(), cluster.to_owned()))
            .into(),
        ..NodeSpec::default()
    };
    let by_hand = NodeSpec {
        labels: [(CONTROL_PLANE_LABEL.to_owned(), String::new())].into(),
        ..cp("by-hand", "")
    };
    registrar.put_node(&names[2], cp("stale", "users")).await.unwrap();
    registrar.put_node(&names[2], by_hand).await.unwrap();

    api.put(CLUSTERS, cluster("again", "new", &json!({"host": "10.0.0.2", "port": 6443})));
    api.put(CLUSTERS, cluster("users", "u3", &json!({"host": "10.0.0.3", "port": 6443})));
    machine(&api, "users", "w", false);
    host(&api, "w", "provisioned");
    let running = start(&api, local(&registrar), &["--reconcile-resync=1"]);
    until("the one without a Cluster goes", || registrar.get("ns/gone").is_none()).await;
    let uid = |name: &str| {
        let labels = registrar.get(name)?.request.labels?;
        labels.get(marks::REGISTERED_FOR).cloned()
    };
    until("the other Cluster's is replaced", || uid("ns/again").as_deref() == Some("new")).await;
    until("stale nodes go", || nodes(&registrar, "users") == ["by-hand", "w"]).await;
    assert_eq!(uid("ns/users"), None, "it stays its user's");

    // Somebody removes a node by hand: the next comparison brings it back.
    registrar.remove_node(&names[2], "w").await.unwrap();
    until("the node is back", || nodes(&registrar, "users") == ["by-hand", "w"]).await;
    api.delete(CLUSTERS, "ns/users");
    api.delete(CLUSTERS, "ns/again");
    until("ours goes", || registrar.get("ns/again").is_none()).await;
    assert!(registrar.get("ns/users").is_some());
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_namespace_alone_the_others_clusters_stay() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar::default());
    let put = async |namespace: &str, name: &str| {
        let labels = Some([(marks::REGISTERED_FOR.to_owned(), "u".to_owned())].into());
        let request = RegisterRequest { labels, ..RegisterRequest::default() };
        registrar.register(&ClusterName::new(namespace, name), request).await.unwrap();
    };
    put("other", "c").await;
    put("ns", "gone").await;
    let arguments = ["--reconcile-namespace=ns", "--reconcile-resync=1"];
    let _running = start(&api, local(&registrar), &arguments);
    until("ours goes", || registrar.get("ns/gone").is_none()).await;
    // The comparison that takes the next one away began after all that the first one wanted.
    put("ns", "gone").await;
    until("ours goes again", || registrar.get("ns/gone").is_none()).await;
    assert!(registrar.get("other/c").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_with_an_address_come_before_those_that_need_one() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar::default());
    // By name the first; the fake gives addresses in order, and the second has the first.
    api.put(CLUSTERS, cluster("a", "u1", &json!({"host": "", "port": 0})));
    api.put(CLUSTERS, cluster("z", "u2", &json!({"host": "10.0.0.1", "port": 6443})));
    let _running = start(&api, local(&registrar), &[]);
    until("both", || registrar.clusters.lock().len() == 2).await;
    let address = |name: &str| registrar.get(name).unwrap().address.to_string();
    assert_eq!((&*address("ns/z"), &*address("ns/a")), ("10.0.0.1:6443", "10.0.0.2:6443"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_made_for_a_cluster_of_somebody_else() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar { capacity: 1, ..FakeRegistrar::default() });
    api.put(CLUSTERS, cluster("ours", "u1", &json!({"host": "10.0.0.1", "port": 6443})));
    let _running = start(&api, local(&registrar), &[]);
    until("ours", || registrar.get("ns/ours").is_some()).await;
    until("its Secret", || api.get(SECRETS, "ns/ours-etcd").is_some()).await;
    until("with its CA", || registrar.get("ns/ours").is_some_and(|c| c.request.ca.is_some())).await;
    // The fake refuses an address now, as a pool does one outside of it.
    api.put(CLUSTERS, cluster("other", "u2", &json!({"host": "192.0.2.1", "port": 6443})));
    api.put(CLUSTERS, cluster("named", "u3", &json!({"host": "api.example", "port": 6443})));
    until("looked at", || api.requests("secrets/other-etcd") > 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(registrar.clusters.lock().len(), 1);
    for secret in ["ns/other-ca", "ns/other-etcd", "ns/named-ca"] {
        assert_eq!(api.get(SECRETS, secret), None, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_are_not_there_yet_are_waited_for() {
    let api = ManagementApi::start().await;
    api.serve_kind(CLUSTERS);
    api.serve_kind(MACHINES);
    api.serve_kind(SECRETS);
    let registrar = Arc::new(FakeRegistrar::default());
    let _running = start(&api, local(&registrar), &["--reconcile-clusters=any"]);
    api.put(CLUSTERS, cluster("c", "u", &json!({"host": "10.0.0.1", "port": 6443})));
    api.put(
        MACHINES,
        json!({
            "metadata": {"namespace": "ns", "name": "m", "labels": {CONTROL_PLANE_LABEL: ""}},
            "spec": {"clusterName": "c", "providerID": "fake:///m", "infrastructureRef": {
                "apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "FakeMachine", "name": "m",
            }},
            "status": {"initialization": {"infrastructureProvisioned": true}},
        }),
    );
    until("a node without metal3", || nodes(&registrar, "c") == ["m"]).await;
    let asked = api.requests("GET /apis/metal3.io/v1alpha1");
    assert!((1..3).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_discovery_lists_and_nobody_serves_is_not_asked_for_without_pause() {
    let api = ManagementApi::start().await;
    api.list_kind(HOSTS);
    let registrar = Arc::new(FakeRegistrar::default());
    let _running = start(&api, local(&registrar), &[]);
    let asked = || api.requests("GET /apis/metal3.io/v1alpha1/baremetalhosts");
    until("asked", || asked() > 0).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!((2..4).contains(&asked()), "{}", asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_sidecar_it_needs_no_clusters_and_heals_what_the_server_lost() {
    let api = ManagementApi::start().await;
    for kind in [MACHINES, METAL3_MACHINES, HOSTS] {
        api.serve_kind(kind);
    }
    let registrar = Arc::new(FakeRegistrar::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let door: Arc<dyn Registrar> = registrar.clone();
    let server =
        ControlServer::start(listener, door, Arc::new(String::new), Limits::default()).unwrap();
    let client = Client::new(&format!("http://{}", server.address())).unwrap();
    machine(&api, "c", "cp", true);
    host(&api, "cp", "provisioned");
    let clusters = Arc::new(Remote::new(client));
    let arguments = ["--reconcile-clusters=never", "--reconcile-resync=1"];
    let _running = start(&api, clusters, &arguments);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(api.requests("clusters"), 0, "it may not look at Clusters");
    assert!(registrar.clusters.lock().is_empty());

    let name = ClusterName::new("ns", "c");
    registrar.register(&name, RegisterRequest::default()).await.unwrap();
    until("the user's cluster gets its node", || nodes(&registrar, "c") == ["cp"]).await;
    registrar.clusters.lock().clear();
    registrar.register(&name, RegisterRequest::default()).await.unwrap();
    until("and again after all was lost", || nodes(&registrar, "c") == ["cp"]).await;
    host(&api, "cp", "deprovisioning");
    until("the node goes", || nodes(&registrar, "c").is_empty()).await;
    assert!(registrar.get("ns/c").is_some());
}
