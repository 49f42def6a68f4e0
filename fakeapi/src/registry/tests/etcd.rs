//! etcd's clients at the pods of a cluster: real TLS and gRPC, through the kubelet's door.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use apiserver::kubelet::{Kubelet, PodConnection};
use apiserver::storage::{Entry, Expect, Key, Object, ResourceId, Storage};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::{Code, Status};

use super::super::kubelet::Pods;
use super::*;
use crate::cluster::base::ClusterFacts;
use crate::cluster::identity::client_certificate;
use crate::etcd::generated::etcdserverpb as pb;
use crate::etcd::generated::etcdserverpb::cluster_client::ClusterClient;
use crate::etcd::generated::etcdserverpb::kv_client::KvClient;
use crate::etcd::generated::etcdserverpb::maintenance_client::MaintenanceClient;
use crate::etcd::generated::etcdserverpb::watch_client::WatchClient;
use crate::register::{MemberHealth, RegisterRequest, Registrar};
use crate::registry::Cluster;
use crate::serve::Within;

/// An HTTP/2 connection as tonic's clients take it.
#[derive(Clone)]
struct Channel(SendRequest<Body>);

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Whose certificate a client shows.
enum Shows {
    EtcdClient,
    ApiClient,
    Nothing,
}

async fn tls(
    connection: PodConnection,
    facts: &ClusterFacts,
    server: &str,
    (ca, shows): (&CertificateAuthority, Shows),
) -> std::io::Result<TlsStream<PodConnection>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let signer = match shows {
        Shows::EtcdClient => Some(&facts.etcd_ca),
        Shows::ApiClient => Some(&facts.ca),
        Shows::Nothing => None,
    };
    let mut config = match signer {
        None => config.with_no_client_auth(),
        Some(signer) => {
            let name = "cluster-api.x-k8s.io";
            let client = client_certificate(signer, name, &["system:masters"], Timestamp::now());
            let client = client.unwrap();
            let chain = CertificateDer::from_pem_slice(client.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![chain], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = server.to_owned().try_into().unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, connection).await
}

/// A client of the member on a node, as KCP makes it.
async fn channel(cluster: &Arc<Cluster>, within: &Arc<Within>, node: &str) -> Channel {
    let pods = Pods { cluster: cluster.clone(), within: Some(within.clone()) };
    let name = format!("etcd-{node}");
    let connection = pods.connect("kube-system", &name, 2379).unwrap();
    let facts = cluster.facts();
    let stream = tls(connection, &facts, &name, (&facts.etcd_ca, Shows::EtcdClient)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    Channel(sender)
}

struct Site {
    run: Run,
    cluster: Arc<Cluster>,
    within: Arc<Within>,
    _directory: tempfile::TempDir,
}

async fn site(control_planes: usize) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    let name = named("c");
    run.registry.register(&name, RegisterRequest::default()).await.unwrap();
    for number in 0..control_planes {
        run.registry.put_node(&name, control_plane(&format!("cp-{number}"))).await.unwrap();
    }
    let cluster = run.registry.known(&name).unwrap();
    Site { run, cluster, within: Within::alone(), _directory: directory }
}

impl Site {
    async fn maintenance(&self, node: &str) -> MaintenanceClient<Channel> {
        let channel = channel(&self.cluster, &self.within, node).await;
        MaintenanceClient::with_origin(channel, origin(node))
    }

    async fn members(&self, node: &str) -> ClusterClient<Channel> {
        let channel = channel(&self.cluster, &self.within, node).await;
        ClusterClient::with_origin(channel, origin(node))
    }

    async fn fare(&self, node: &str, health: MemberHealth) {
        self.run.registry.set_member_health(&named("c"), node, health).await.unwrap();
    }

    fn pod(&self, node: &str) -> Value {
        self.cluster.store.get(&pod_key(node)).unwrap().value()
    }

    fn refused(&self, pod: &str, port: u16) -> bool {
        let pods = Pods { cluster: self.cluster.clone(), within: Some(self.within.clone()) };
        pods.connect("kube-system", pod, port).is_err()
    }
}

fn origin(node: &str) -> http::Uri {
    format!("https://etcd-{node}").parse().unwrap()
}

fn pod_key(node: &str) -> Key {
    Key::new(ResourceId::of("", "pods"), "kube-system", &format!("etcd-{node}"))
}

fn names(list: &[pb::Member]) -> Vec<&str> {
    let mut names: Vec<&str> = list.iter().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn told(status: &Status) -> (Code, &str) {
    (status.code(), status.message())
}

#[tokio::test]
async fn a_member_leads_hands_over_and_leaves() {
    let site = site(3).await;
    let mut first = site.maintenance("cp-0").await;
    let status = first.status(pb::StatusRequest {}).await.unwrap().into_inner();
    let header = status.header.unwrap();
    assert_eq!(status.leader, header.member_id);
    assert_eq!((status.version.as_str(), status.raft_term), ("3.6.8", 2));
    assert!(status.errors.is_empty() && status.db_size > status.db_size_in_use);
    let mut second = site.members("cp-1").await;
    let asked = pb::MemberListRequest { linearizable: true };
    let list = second.member_list(asked).await.unwrap().into_inner();
    assert_eq!(names(&list.members), ["cp-0", "cp-1", "cp-2"]);
    assert_eq!(list.header.as_ref().unwrap().cluster_id, header.cluster_id);
    let id = |name: &str| list.members.iter().find(|member| member.name == name).unwrap().id;
    assert_eq!(id("cp-0"), header.member_id);

    let mut other = site.maintenance("cp-1").await;
    let to = |target_id| pb::MoveLeaderRequest { target_id };
    let refused = other.move_leader(to(id("cp-2"))).await.unwrap_err();
    assert_eq!(told(&refused), (Code::FailedPrecondition, "etcdserver: not leader"));
    let refused = first.move_leader(to(99)).await.unwrap_err();
    assert_eq!(told(&refused), (Code::FailedPrecondition, "etcdserver: bad leader transferee"));
    first.move_leader(to(id("cp-2"))).await.unwrap();
    let status = other.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.leader, status.raft_term), (id("cp-2"), 3));

    let leave = |id| pb::MemberRemoveRequest { id };
    let refused = second.member_remove(leave(99)).await.unwrap_err();
    assert_eq!(told(&refused), (Code::NotFound, "etcdserver: member not found"));
    let left = second.member_remove(leave(id("cp-2"))).await.unwrap().into_inner();
    assert_eq!(names(&left.members), ["cp-0", "cp-1"]);
    let status = other.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.leader, id("cp-0"), "the leader that left is followed by the oldest");
    assert!(site.refused("etcd-cp-2", 2379));
    let pod = site.pod("cp-2");
    let removed = "etcd.inmemory.infrastructure.cluster.x-k8s.io/member-removed";
    assert_eq!(pod["metadata"]["annotations"][removed], "");
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(container["ready"], false);
}

#[tokio::test]
async fn what_happened_to_members_survives() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    for node in ["cp-0", "cp-1", "cp-2"] {
        run.registry.put_node(&named("c"), control_plane(node)).await.unwrap();
    }
    run.registry.set_member_health(&named("c"), "cp-0", MemberHealth::Lost).await.unwrap();
    run.registry.set_member_health(&named("c"), "cp-2", MemberHealth::NoSpace).await.unwrap();
    let before = run.registry.known(&named("c")).unwrap().view();
    assert_eq!(before.members.leading().unwrap().node.as_deref(), Some("cp-1"));
    drop(run);
    let again = start(directory.path(), None);
    let after = again.registry.known(&named("c")).unwrap().view();
    assert_eq!(after.members, before.members);
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_nobody_leads() {
    let site = site(3).await;
    let mut left = site.maintenance("cp-2").await;
    let mut members = site.members("cp-2").await;
    site.fare("cp-0", MemberHealth::Lost).await;
    let status = left.status(pb::StatusRequest {}).await.unwrap().into_inner();
    let leader = status.leader;
    assert_ne!(leader, 0);
    let list = members.member_list(pb::MemberListRequest { linearizable: true }).await.unwrap();
    assert_eq!(names(&list.get_ref().members), ["cp-0", "cp-1", "cp-2"], "the lost one is listed");
    assert!(site.refused("etcd-cp-0", 2379) && site.refused("etcd-cp-0", 2381));

    site.fare("cp-1", MemberHealth::Lost).await;
    let status = left.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.leader, status.errors[0].as_str()), (0, "etcdserver: no leader"));
    let mut asked = tonic::Request::new(pb::MemberListRequest { linearizable: true });
    asked.metadata_mut().insert("hasleader", "true".parse().unwrap());
    let refused = members.member_list(asked).await.unwrap_err();
    assert_eq!(told(&refused), (Code::Unavailable, "etcdserver: no leader"));
    let began = tokio::time::Instant::now();
    let asked = pb::MemberListRequest { linearizable: true };
    let refused = members.member_list(asked).await.unwrap_err();
    assert_eq!(told(&refused), (Code::Unavailable, "etcdserver: request timed out"));
    assert!(began.elapsed() >= Duration::from_secs(7));
    let asked = pb::MemberListRequest { linearizable: false };
    assert_eq!(members.member_list(asked).await.unwrap().get_ref().members.len(), 3);

    let deadline = (Code::DeadlineExceeded, "context deadline exceeded");
    let began = tokio::time::Instant::now();
    let refused = left.alarm(pb::AlarmRequest::default()).await.unwrap_err();
    assert_eq!(told(&refused), deadline, "what is to be applied waits as long as etcd does");
    assert_eq!(began.elapsed().as_secs(), 7);
    let gone = list.get_ref().members.iter().find(|member| member.name == "cp-1").unwrap().id;
    let mut asked = tonic::Request::new(pb::MemberRemoveRequest { id: gone });
    asked.set_timeout(Duration::from_secs(20));
    let began = tokio::time::Instant::now();
    let refused = members.member_remove(asked).await.unwrap_err();
    assert_eq!(told(&refused), deadline, "a change of the members as long as its client does");
    assert_eq!(began.elapsed().as_secs(), 20);
    let own = list.get_ref().members.iter().find(|member| member.name == "cp-2").unwrap().id;
    let began = tokio::time::Instant::now();
    let refused = members.member_remove(pb::MemberRemoveRequest { id: own }).await.unwrap_err();
    assert_eq!(told(&refused), (Code::Unavailable, "etcdserver: unhealthy cluster"));
    assert_eq!(began.elapsed().as_secs(), 0, "what it can see by itself it says at once");

    // A leader that comes while a request waits answers it.
    let mut waits = site.members("cp-2").await;
    let waiting = tokio::spawn(async move {
        waits.member_list(pb::MemberListRequest { linearizable: true }).await
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!waiting.is_finished());

    site.fare("cp-0", MemberHealth::Healthy).await;
    let status = left.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_ne!(status.leader, 0, "two of three are a majority again");
    assert_eq!(waiting.await.unwrap().unwrap().get_ref().members.len(), 3);
}

#[tokio::test]
async fn transactions_read_what_their_comparisons_lead_to() {
    use pb::compare::{CompareResult, CompareTarget, TargetUnion};
    use pb::request_op::Request as Operation;
    let site = site(1).await;
    let channel = channel(&site.cluster, &site.within, "cp-0").await;
    let mut kv = KvClient::with_origin(channel, origin("cp-0"));
    let operation = |operation| pb::RequestOp { request: Some(operation) };
    let get = |key: &str| {
        let key = key.to_owned().into();
        operation(Operation::RequestRange(pb::RangeRequest { key, ..Default::default() }))
    };
    let put = |key: &str| {
        let key = key.to_owned().into();
        operation(Operation::RequestPut(pb::PutRequest { key, ..Default::default() }))
    };
    let compare = |key: &str, result: CompareResult, target: CompareTarget, union| pb::Compare {
        result: result.into(),
        target: target.into(),
        key: key.to_owned().into(),
        target_union: Some(union),
        ..Default::default()
    };
    let node = "/registry/minions/cp-0";
    let Some(found) = kv.range(range_of(node)).await.unwrap().into_inner().kvs.pop() else {
        panic!("the node is not there")
    };
    let (equal, greater) = (CompareResult::Equal, CompareResult::Greater);
    let at =
        |revision| compare(node, equal, CompareTarget::Mod, TargetUnion::ModRevision(revision));
    let of_value = |value: &[u8]| {
        let value = TargetUnion::Value(value.to_vec().into());
        compare(node, equal, CompareTarget::Value, value)
    };
    for (holds, comparison) in [
        (true, at(found.mod_revision)),
        (false, at(found.mod_revision + 1)),
        (true, compare(node, greater, CompareTarget::Create, TargetUnion::CreateRevision(0))),
        (true, compare(node, equal, CompareTarget::Version, TargetUnion::Version(1))),
        (true, compare(node, equal, CompareTarget::Lease, TargetUnion::Lease(0))),
        (true, of_value(&found.value)),
        (false, of_value(b"x")),
        (false, compare("/x", greater, CompareTarget::Mod, TargetUnion::ModRevision(0))),
        (
            true,
            pb::Compare {
                range_end: "/registry/pods0".into(),
                ..compare(
                    "/registry/pods/",
                    greater,
                    CompareTarget::Mod,
                    TargetUnion::ModRevision(0),
                )
            },
        ),
    ] {
        let told = format!("{comparison:?}");
        let asked = pb::TxnRequest {
            compare: vec![comparison],
            success: vec![get(node)],
            failure: vec![get("/x"), get(node)],
        };
        let answer = kv.txn(asked).await.unwrap().into_inner();
        assert_eq!(answer.succeeded, holds, "{told}");
        assert_eq!(answer.responses.len(), if holds { 1 } else { 2 }, "{told}");
        let Some(pb::ResponseOp { response: Some(pb::response_op::Response::ResponseRange(last)) }) =
            answer.responses.last()
        else {
            panic!("{told}: {:?}", answer.responses)
        };
        assert_eq!(last.kvs, std::slice::from_ref(&found), "{told}");
    }

    // As kube-apiserver creates what is there already, and what is not.
    let create = |key: &str| pb::TxnRequest {
        compare: vec![compare(key, equal, CompareTarget::Mod, TargetUnion::ModRevision(0))],
        success: vec![put(key)],
        failure: vec![get(key)],
    };
    let answer = kv.txn(create(node)).await.unwrap().into_inner();
    assert!(!answer.succeeded);
    let refused = kv.txn(create("/registry/minions/new")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let inner = operation(Operation::RequestTxn(create("/registry/minions/new")));
    let asked = pb::TxnRequest { success: vec![get(node), inner], ..Default::default() };
    assert_eq!(kv.txn(asked).await.unwrap_err().code(), Code::PermissionDenied);
    let many = pb::TxnRequest { success: vec![get(node); 129], ..Default::default() };
    let refused = kv.txn(many).await.unwrap_err();
    assert_eq!(told(&refused).1, "etcdserver: too many operations in txn request");
}

fn range_of(key: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), ..pb::RangeRequest::default() }
}

#[tokio::test]
async fn keys_are_where_kube_apiserver_has_them_and_changes_are_told() {
    let site = site(1).await;
    let channel = channel(&site.cluster, &site.within, "cp-0").await;
    let mut kv = KvClient::with_origin(channel.clone(), origin("cp-0"));
    let range = |key: &str, end: &str| pb::RangeRequest {
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        ..pb::RangeRequest::default()
    };
    let node = kv.range(range("/registry/minions/cp-0", "")).await.unwrap().into_inner();
    assert_eq!((node.count, node.kvs.len()), (1, 1));
    let object =
        site.cluster.store.get(&Key::new(ResourceId::of("", "nodes"), "", "cp-0")).unwrap();
    assert_eq!(u64::try_from(node.kvs[0].mod_revision).unwrap(), object.meta.resource_version);
    let decoded = apiserver::protobuf::decode(&node.kvs[0].value).unwrap();
    assert_eq!(
        (decoded.kind.as_str(), &decoded.value["metadata"]["name"]),
        ("Node", &"cp-0".into())
    );
    assert!(decoded.value["metadata"]["resourceVersion"].is_null());
    let asked = pb::RangeRequest {
        limit: 2,
        keys_only: true,
        ..range("/registry/pods/", "/registry/pods0")
    };
    let pods = kv.range(asked).await.unwrap().into_inner();
    assert!(pods.more && pods.kvs.len() == 2 && pods.count > 5);
    assert_eq!(&pods.kvs[0].key[..27], b"/registry/pods/kube-system/");
    let asked = pb::RangeRequest { count_only: true, ..range("/registry/", "/registry0") };
    assert!(kv.range(asked).await.unwrap().get_ref().count > 100);
    let future = pb::RangeRequest { revision: 1 << 40, ..range("/x", "") };
    assert_eq!(kv.range(future).await.unwrap_err().code(), Code::OutOfRange);
    let put = pb::PutRequest { key: "/a".into(), ..pb::PutRequest::default() };
    assert_eq!(kv.put(put).await.unwrap_err().code(), Code::PermissionDenied);

    let mut watch = WatchClient::with_origin(channel, origin("cp-0"));
    let create = pb::WatchCreateRequest {
        key: "/registry/minions/".into(),
        range_end: "/registry/minions0".into(),
        ..pb::WatchCreateRequest::default()
    };
    let create = pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)),
    };
    let requests =
        futures::StreamExt::chain(futures::stream::iter([create]), futures::stream::pending());
    let mut told = watch.watch(requests).await.unwrap().into_inner();
    assert!(told.message().await.unwrap().unwrap().created);
    let worker = NodeSpec { name: "w".into(), ..NodeSpec::default() };
    site.run.registry.put_node(&named("c"), worker).await.unwrap();
    let news = told.message().await.unwrap().unwrap();
    let pair = news.events[0].kv.as_ref().unwrap();
    assert_eq!(&*pair.key, b"/registry/minions/w");
    assert_eq!(pair.create_revision, pair.mod_revision, "it is new");
    site.run.registry.remove_node(&named("c"), "w").await.unwrap();
    let news = told.message().await.unwrap().unwrap();
    assert_eq!(news.events[0].r#type(), crate::etcd::generated::mvccpb::event::EventType::Delete);

    // The end of the cluster ends what is open.
    site.run.registry.unregister(&named("c")).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(20), told.message()).await.unwrap();
    assert!(!matches!(end, Ok(Some(_))));
    assert!(site.refused("etcd-cp-0", 2379));
}

#[tokio::test]
async fn only_clients_of_the_etcd_authority_get_in() {
    let site = site(1).await;
    let facts = site.cluster.facts();
    for shows in [Shows::ApiClient, Shows::Nothing] {
        let pods = Pods { cluster: site.cluster.clone(), within: Some(site.within.clone()) };
        let connection = pods.connect("kube-system", "etcd-cp-0", 2379).unwrap();
        // With TLS 1.3 a client learns of it when it reads.
        let stream = tls(connection, &facts, "cp-0", (&facts.etcd_ca, shows)).await;
        let Ok(stream) = stream else { continue };
        let opened = handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream)).await;
        let Ok((_, connection)) = opened else { continue };
        assert!(connection.await.is_err());
    }
    assert!(site.refused("etcd-cp-0", 2380));
    assert!(site.refused("etcd-cp-1", 2379));
    assert!(site.refused("kube-apiserver-cp-1", 6443));
}

#[tokio::test]
async fn the_api_server_of_a_pod_is_the_clusters() {
    let site = site(1).await;
    let facts = site.cluster.facts();
    let pods = Pods { cluster: site.cluster.clone(), within: Some(site.within.clone()) };
    let connection = pods.connect("kube-system", "kube-apiserver-cp-0", 6443).unwrap();
    let stream = tls(connection, &facts, "localhost", (&facts.ca, Shows::ApiClient)).await.unwrap();
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    let name = parsed.subject().iter_common_name().next().unwrap().as_str().unwrap();
    assert_eq!(name, "kube-apiserver");
    let (mut sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/api/v1/nodes/cp-0").body(Body::empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn what_a_client_writes_on_a_pod_counts_until_etcd_changes_again() {
    let site = site(3).await;
    let from = "etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from";
    let key = pod_key("cp-1");
    let mut pod = site.pod("cp-1");
    pod["metadata"]["annotations"][from] = "2099-01-01T00:00:00Z".into();
    let revision = pod["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let mut encode = |revision: u64| {
        pod["metadata"]["resourceVersion"] = revision.to_string().into();
        Object::encode(&pod)
    };
    let put = Entry::Put(&mut encode);
    site.cluster.store.commit(&key, Expect::Revision(revision), put).unwrap();
    let leader = || site.cluster.view().members.leading().unwrap().node.clone().unwrap();
    assert_eq!(&*leader(), "cp-1");
    let id = site.cluster.view().members.on("cp-2").unwrap().id;
    let mut one = site.maintenance("cp-1").await;
    one.move_leader(pb::MoveLeaderRequest { target_id: id }).await.unwrap();
    assert_eq!(&*leader(), "cp-2");
    assert!(site.pod("cp-1")["metadata"]["annotations"][from].is_null());
    site.fare("cp-1", MemberHealth::Lost).await;
    assert_eq!(site.pod("cp-1")["status"]["containerStatuses"][0]["ready"], false);
}

#[tokio::test]
async fn alarms_are_raised_told_and_silenced() {
    let site = site(1).await;
    site.fare("cp-0", MemberHealth::NoSpace).await;
    let mut client = site.maintenance("cp-0").await;
    let ask = |action, alarm: pb::AlarmType, member_id| pb::AlarmRequest {
        action,
        member_id,
        alarm: alarm.into(),
    };
    let raised = client.alarm(ask(0, pb::AlarmType::None, 0)).await.unwrap().into_inner().alarms;
    assert_eq!(raised.len(), 1);
    assert_eq!(raised[0].alarm(), pb::AlarmType::Nospace);
    let status = client.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.errors, [format!("memberID:{} alarm:NOSPACE ", raised[0].member_id)]);
    let silence = ask(2, pb::AlarmType::Nospace, raised[0].member_id);
    assert_eq!(client.alarm(silence).await.unwrap().into_inner().alarms, raised);
    assert!(
        client.alarm(ask(0, pb::AlarmType::None, 0)).await.unwrap().into_inner().alarms.is_empty()
    );
}
