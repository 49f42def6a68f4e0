//! Clusters that controllers are to leave alone.

use pretty_assertions::assert_eq;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_moves_stays_whoever_ends_meanwhile() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar::default());
    let moving = |uid: &str, paused: bool| {
        let mut cluster = cluster("c", uid, &json!({"host": "10.0.0.7", "port": 6443}));
        cluster["spec"]["paused"] = paused.into();
        cluster
    };
    let label = |key: &str| registrar.get("ns/c")?.request.labels?.get(key).cloned();
    let running = start(&api, local(&registrar), &[]);
    api.put(CLUSTERS, moving("old", false));
    machine(&api, "c", "cp", true);
    host(&api, "cp", "provisioned");
    until("its node", || nodes(&registrar, "c") == ["cp"]).await;
    assert_eq!(label(marks::WENT_PAUSED), None);
    api.put(CLUSTERS, moving("old", true));
    until("the mark", || label(marks::WENT_PAUSED).is_some()).await;
    drop(running);

    // It goes while nobody reconciles.
    api.delete(MACHINES, "ns/cp");
    api.delete(METAL3_MACHINES, "ns/cp-m3");
    api.delete(CLUSTERS, "ns/c");
    let running = start(&api, local(&registrar), &["--reconcile-resync=1"]);
    let figure = |name: &str| {
        let mut text = String::new();
        running.figures.render(&mut text);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap_or_default()
    };
    let compared = || figure("fakeapi_reconciler_resyncs_total");
    // One comparison with all kinds listed begins after the first second.
    let before = compared();
    until("compared again", || compared() >= before + 6).await;
    assert_eq!(nodes(&registrar, "c"), ["cp"]);

    // On the other side the Cluster comes before its Machines.
    api.put(CLUSTERS, moving("new", true));
    until("it is the new one's", || label(marks::REGISTERED_FOR).as_deref() == Some("new")).await;
    assert!(label(marks::WENT_PAUSED).is_some());
    machine(&api, "c", "cp", true);
    let there = |kind: &str| figure(&format!("fakeapi_reconciler_objects{{kind=\"{kind}\"}}"));
    until("they came", || there("Machine") == 1 && there("Metal3Machine") == 1).await;
    api.put(CLUSTERS, moving("new", false));
    until("it goes on", || label(marks::WENT_PAUSED).is_none()).await;
    assert_eq!(nodes(&registrar, "c"), ["cp"]);
    api.delete(CLUSTERS, "ns/c");
    until("unregistered", || registrar.get("ns/c").is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_paused_cluster_no_secret_is_made() {
    let api = management().await;
    let registrar = Arc::new(FakeRegistrar::default());
    let paused = |name: &str, last: &str, unpause: bool, paused: bool| {
        let address = json!({"host": last, "port": if last.is_empty() { 0 } else { 6443 }});
        let mut cluster = cluster(name, name, &address);
        cluster["spec"]["paused"] = paused.into();
        if unpause {
            cluster["metadata"]["annotations"] = json!({"fakeapi.dev/unpause": "true"});
        }
        cluster
    };
    let secret = |name: &str, purpose: &str| {
        let ca = crate::fkas::fake::test_ca();
        let base64 = |text: String| json!(k8s_openapi::ByteString(text.into_bytes()));
        api.put(
            SECRETS,
            json!({
                "metadata": {"namespace": "ns", "name": format!("{name}-{purpose}")},
                "data": {"tls.crt": base64(ca.certificate), "tls.key": base64(ca.key)},
            }),
        );
    };
    let _running = start(&api, local(&registrar), &[]);
    // As clusterctl move does: the Cluster first.
    api.put(CLUSTERS, paused("moved", "10.0.0.9", false, true));
    api.put(CLUSTERS, paused("empty", "", false, true));
    until("looked at", || api.requests("GET /api/v1/namespaces/ns/secrets/moved-etcd") > 0).await;
    until("looked at", || api.requests("GET /api/v1/namespaces/ns/secrets/empty-etcd") > 0).await;
    // One that waits for its address is made all of it, after those.
    metal3_cluster(&api, "waits");
    api.put(CLUSTERS, paused("waits", "", true, true));
    until("registered", || registrar.get("ns/waits").is_some()).await;
    assert!(registrar.get("ns/waits").unwrap().request.ca.is_some());
    assert!(registrar.get("ns/moved").is_none() && registrar.get("ns/empty").is_none());
    assert_eq!(api.requests("POST /api/v1/namespaces/ns/secrets"), 2, "for the one that waits");

    secret("moved", "ca");
    secret("moved", "etcd");
    api.put(CLUSTERS, paused("moved", "10.0.0.9", false, false));
    api.put(CLUSTERS, paused("empty", "", false, false));
    until("both", || ["ns/moved", "ns/empty"].iter().all(|name| registrar.get(name).is_some()))
        .await;
    let theirs = api.get(SECRETS, "ns/moved-ca").unwrap()["data"]["tls.crt"].clone();
    let given = registrar.get("ns/moved").unwrap().request.ca.unwrap().certificate;
    assert_eq!(json!(k8s_openapi::ByteString(given.into_bytes())), theirs);
    until("its Secret", || api.get(SECRETS, "ns/empty-etcd").is_some()).await;
}
