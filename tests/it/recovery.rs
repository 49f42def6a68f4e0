//! Objects of every kind come back after a kill, through compactions too.

use fakeapi_tests::{Program, Session, Setup};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn session(program: &Program) -> Session {
    program.access("c").await.unwrap().connect().await.unwrap()
}

fn definition() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

#[tokio::test]
async fn what_clients_did_survives() {
    let program = Program::start(&[]).await.unwrap();
    program.control().register("c").await.unwrap();
    program.control().control_plane("c", "n0").await.unwrap();
    let s = session(&program).await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    s.post(definitions, &definition()).await.unwrap().good().unwrap();
    let definition = format!("{definitions}/widgets.example.com");
    let made = s.get(&definition).await.unwrap().good().unwrap();
    let system = "/api/v1/namespaces/kube-system";
    let patch = json!({"metadata": {"annotations": {"mine": "yes"}}});
    let patched = s.patch(system, &patch).await.unwrap().good().unwrap();
    let gone = format!("{system}/configmaps/kubeadm-config");
    assert_eq!(s.get(&gone).await.unwrap().status, 200);
    assert_eq!(s.delete(&gone).await.unwrap().status, 200);
    s.post("/api/v1/namespaces", &json!({"metadata": {"name": "team"}}))
        .await
        .unwrap()
        .good()
        .unwrap();
    let list = s.get("/api/v1/pods").await.unwrap().good().unwrap();

    let mut program = program;
    // Once by the log, once by what a restart makes of it.
    for _ in 0..2 {
        program = program.kill().unwrap().start().await.unwrap();
        let s = session(&program).await;
        assert_eq!(s.get(&definition).await.unwrap().good().unwrap(), made);
        let now = s.get(system).await.unwrap().good().unwrap();
        assert_eq!(now["metadata"], patched["metadata"]);
        assert_eq!(s.get(&gone).await.unwrap().status, 404);
        assert_eq!(s.get("/api/v1/namespaces/team").await.unwrap().status, 200);
        let pods = s.get("/api/v1/pods").await.unwrap().good().unwrap();
        let identity = |list: &Value| -> Vec<Value> {
            let items = list["items"].as_array().unwrap().iter();
            items
                .map(|pod| json!([pod["metadata"]["uid"], pod["metadata"]["resourceVersion"]]))
                .collect()
        };
        assert_eq!(identity(&pods), identity(&list));
    }
}

/// A value of the metrics.
async fn figure(program: &Program, name: &str) -> u64 {
    let text = program.control().get("/metrics").await.unwrap().text();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The kills come at different distances from a compaction.
#[tokio::test]
async fn a_kill_around_a_compaction_loses_nothing() {
    let setup = Setup::new().unwrap();
    let mut program = setup.start().await.unwrap();
    program.control().register("c").await.unwrap();
    program.control().control_plane("c", "n0").await.unwrap();
    let padding = "x".repeat(200_000);
    let map = |name: &str, value: usize| json!({"metadata": {"name": name}, "data": {"v": value.to_string(), "padding": padding}});
    let s = session(&program).await;
    for name in ["a", "b", "c", "gone"] {
        s.post(MAPS, &map(name, 0)).await.unwrap().good().unwrap();
    }
    s.delete(&format!("{MAPS}/gone")).await.unwrap().good().unwrap();
    let mut compactions = 0;
    let mut value = 0;
    let mut version = 0;
    for after in [60, 1, 43, 44, 45] {
        let s = session(&program).await;
        for _ in 0..after {
            value += 1;
            let name = ["a", "b", "c"][value % 3];
            let put = s.put(&format!("{MAPS}/{name}"), &map(name, value)).await.unwrap();
            let put = put.good().unwrap();
            let now = put["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            assert!(now > version, "{now} after {version}");
            version = now;
        }
        compactions += figure(&program, "fakeapi_journal_compactions_total").await;
        program = program.kill().unwrap().start().await.unwrap();
        let s = session(&program).await;
        for back in 0..3.min(value) {
            let name = ["a", "b", "c"][(value - back) % 3];
            let found = s.get(&format!("{MAPS}/{name}")).await.unwrap().good().unwrap();
            assert_eq!(found["data"]["v"], (value - back).to_string(), "{name}");
        }
        assert_eq!(s.get(&format!("{MAPS}/gone")).await.unwrap().status, 404);
        let nodes = s.get("/api/v1/nodes").await.unwrap().good().unwrap();
        assert_eq!(nodes["items"].as_array().unwrap().len(), 1);
        let now: u64 = nodes["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(now >= version, "{now} after {version}");
    }
    assert!(compactions > 0, "none was compacted: the test does not test");
}

#[tokio::test]
async fn a_start_says_which_port_it_cannot_have() {
    let setup = Setup::new().unwrap();
    let ip = setup.slot().ip(1, 1);
    let setup = setup.without_pool().args(["--mode", "port", "--ip", &ip.to_string()]);
    let program = setup.start().await.unwrap();
    let at = program.control().register("c").await.unwrap();
    let setup = program.kill().unwrap();
    let foreign = std::net::TcpListener::bind(at).unwrap();
    let refused = setup.start().await.unwrap_err().to_string();
    let said = refused.lines().find(|line| line.contains("fakeapi: ")).unwrap();
    assert!(said.contains(&at.to_string()) && said.contains("in use"), "{said}");
    drop(foreign);
    let program = setup.start().await.unwrap();
    assert_eq!(program.control().register("c").await.unwrap(), at);
    assert_eq!(session(&program).await.get("/readyz").await.unwrap().status, 200);
}
