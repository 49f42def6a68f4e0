use std::net::TcpListener;
use std::sync::Arc;

use pretty_assertions::assert_eq;

use super::*;
use crate::fkas::fake::{FakeRegistrar, test_ca};
use crate::fkas::{ControlServer, Limits, with_causes};
use crate::register::CONTROL_PLANE_LABEL;

fn serve(registrar: FakeRegistrar) -> (ControlServer, Arc<FakeRegistrar>, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let registrar = Arc::new(registrar);
    let metrics = Arc::new(String::new);
    let server =
        ControlServer::start(listener, Arc::clone(&registrar) as _, metrics, Limits::default())
            .unwrap();
    let client = Client::new(&format!("http://{}/", server.address())).unwrap();
    (server, registrar, client)
}

#[tokio::test]
async fn everything_a_registration_says_arrives() {
    let (_server, registrar, client) = serve(FakeRegistrar::default());
    let name = ClusterName::new("a b/&c", "d/é%");
    let request = RegisterRequest {
        address: Some("10.9.8.7:443".parse().unwrap()),
        ca: Some(test_ca()),
        etcd_ca: Some(test_ca()),
        version: Some("v1.35.0".into()),
        labels: Some([("tier".to_owned(), "gold".to_owned())].into()),
    };
    let registered = client.register(&name, &request).await.unwrap();
    assert_eq!((registered.host.as_str(), registered.port), ("10.9.8.7", 443));
    let stored = registrar.clusters.lock()[&name].request.clone();
    assert_eq!((stored.ca, stored.etcd_ca), (request.ca, request.etcd_ca));
    assert_eq!((stored.address, stored.version), (request.address, request.version));
    assert_eq!(stored.labels, request.labels);
    assert_eq!(client.cluster(&name).await.unwrap().labels["tier"], "gold");

    let node = NodeSpec {
        name: "n&1".into(),
        provider_id: Some("metal3://a/b/c".into()),
        uuid: Some("u".into()),
        labels: [(CONTROL_PLANE_LABEL.to_owned(), String::new())].into(),
        version: Some("v1.34.0".into()),
    };
    client.put_node(&name, &node).await.unwrap();
    assert_eq!(client.nodes(&name).await.unwrap(), [node]);
    // A "/" in a namespace stays where it is.
    assert_eq!(client.cluster(&name).await.unwrap().name, "d/é%");
    let fault = Fault::Drop { per_mille: 7 };
    client.set_fault(&name, fault).await.unwrap();
    assert_eq!(client.fault(&name).await.unwrap(), fault);
    client.remove_node(&name, "n&1").await.unwrap();
    client.unregister(&name).await.unwrap();
    assert!(registrar.clusters.lock().is_empty());
}

#[tokio::test]
async fn ten_thousand_clusters_and_their_nodes_take_seconds() {
    let (_server, registrar, client) = serve(FakeRegistrar::default());
    let names = || (0..10_500).map(|number| ClusterName::new("ns", format!("c{number:05}")));
    let started = std::time::Instant::now();
    let wanted = names().map(|name| (name, RegisterRequest::default()));
    let outcomes = client.register_many(wanted).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.error.is_none() && outcome.port.is_some()));
    let answered: Vec<_> = outcomes.iter().map(|outcome| outcome.resource_name.clone()).collect();
    assert_eq!(answered, names().map(|name| name.to_string()).collect::<Vec<_>>());

    let node = NodeSpec {
        name: "cp".into(),
        labels: [(CONTROL_PLANE_LABEL.to_owned(), String::new())].into(),
        ..NodeSpec::default()
    };
    let outcomes = client.put_nodes(names().map(|name| (name, node.clone()))).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.error.is_none()));
    let listed = client.clusters().await.unwrap();
    assert_eq!(listed.len(), 10_500);
    assert!(listed.iter().all(|cluster| cluster.active));
    assert!(started.elapsed().as_secs() < 30, "took {:?}", started.elapsed());
    assert_eq!(registrar.clusters.lock().len(), 10_500);
}

#[tokio::test]
async fn failures_say_what_and_why() {
    let registrar = FakeRegistrar { capacity: 1, ..FakeRegistrar::default() };
    let (_server, _registrar, client) = serve(registrar);
    let request = RegisterRequest::default();
    client.register(&ClusterName::new("a", "b"), &request).await.unwrap();
    let error = client.register(&ClusterName::new("a", "c"), &request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Failed to initialize listener: no address for cluster a/c: the pool is empty"
    );
    let error = client.kubeconfig(&ClusterName::new("a", "x")).await.unwrap_err();
    assert_eq!(error.to_string(), "cluster a/x is not registered");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Client::new(&format!("http://{free}")).unwrap();
    let error = nobody.clusters().await.unwrap_err();
    let line = with_causes(&error);
    assert!(line.starts_with(&format!("could not reach http://{free}: ")), "{line}");
    assert!(line.contains("refused"), "{line}");
}

#[test]
fn only_http_urls_are_servers() {
    for bad in ["", "127.0.0.1:3333", "https://a", "http://", "http://a?b", "ftp://a", "/x"] {
        assert!(Client::new(bad).is_err(), "{bad}");
    }
    for good in ["http://127.0.0.1:3333", "http://a/", "http://[::1]:3333/prefix/"] {
        assert!(Client::new(good).is_ok(), "{good}");
    }
}

#[test]
fn arrays_are_cut_below_their_bound() {
    let mut texts: VecDeque<_> = (0..5).map(|_| "x".repeat(ARRAY_BYTES / 2 - 10)).collect();
    let counts = std::iter::from_fn(|| (!texts.is_empty()).then(|| next_array(&mut texts)));
    let counts: Vec<_> = counts
        .inspect(|(_, array)| assert!(array.len() <= ARRAY_BYTES + 2))
        .map(|(count, _)| count)
        .collect();
    assert_eq!(counts, [2, 2, 1]);
}
