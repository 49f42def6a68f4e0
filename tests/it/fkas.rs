//! What metal3's scalability test and FKAS's own reconciler do, in FKAS's mode: one address, a
//! port a cluster, everybody an administrator, the authorities in a management cluster.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use fakeapi_tests::openssl::{Authority, KeyForm};
use fakeapi_tests::{Answer, Program, Session, Setup};
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How many clusters the test makes at once (`SCALE_SPEC_CONCURRENCY`).
const AT_ONCE: usize = 10;

/// One connection of Go's default client, as the test uses it: a body whose length it does not
/// know goes in chunks, and the connection is kept for the next request.
struct GoClient {
    stream: BufReader<TcpStream>,
    at: SocketAddr,
}

impl GoClient {
    async fn connect(at: SocketAddr) -> Result<Self> {
        Ok(Self { stream: BufReader::new(TcpStream::connect(at).await?), at })
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<(u16, Vec<u8>)> {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Go-http-client/1.1\r\n\
             Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\
             Accept-Encoding: gzip\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            self.at,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let status = self.line().await?;
        let status = status.split(' ').nth(1).context("no status")?.parse()?;
        let mut length = 0;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            ensure!(!line.starts_with("content-encoding"), "it would have to be unpacked: {line}");
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok((status, answer))
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }
}

/// FKAS's mode, in a slot of its own.
fn fkas_mode(setup: Setup) -> Setup {
    let ip = setup.slot().ip(1, 1).to_string();
    setup.without_pool().args(["--ip", &ip, "--anonymous-admin"])
}

fn name(number: usize) -> String {
    format!("scale-{number:05}")
}

/// A management cluster, and its Secrets for clusters that are each in a namespace of their name.
async fn management(clusters: usize) -> (Program, Authority) {
    let management = Program::start(&[]).await.unwrap();
    management.control().register("management").await.unwrap();
    let session = management.access("management").await.unwrap().connect().await.unwrap();
    let authority = Authority::make(KeyForm::RsaPkcs1, "kubernetes").unwrap();
    let data = json!({
        "tls.crt": authority.certificate_base64(), "tls.key": authority.key_base64(),
    });
    for cluster in (0..clusters).map(name) {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": &cluster}});
        session.post("/api/v1/namespaces", &namespace).await.unwrap().good().unwrap();
        for purpose in ["ca", "etcd"] {
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "cluster.x-k8s.io/secret",
                "metadata": {"name": format!("{cluster}-{purpose}")}, "data": &data,
            });
            let path = format!("/api/v1/namespaces/{cluster}/secrets");
            session.post(&path, &secret).await.unwrap().good().unwrap();
        }
    }
    (management, authority)
}

async fn fkas_beside(management: &Program) -> Program {
    let setup = fkas_mode(Setup::new().unwrap());
    let file = setup.home().join("management.kubeconfig");
    std::fs::write(&file, management.control().kubeconfig("management").await.unwrap()).unwrap();
    setup.args(["--kubeconfig", file.to_str().unwrap()]).start().await.unwrap()
}

/// The body that FKAS's reconciler sends for a provisioned host.
fn node_update(cluster: &str, provider_id: Option<&str>) -> Value {
    json!({
        "cluster": cluster, "namespace": cluster, "nodeName": format!("{cluster}-cp"),
        "providerID": provider_id, "uuid": format!("uuid-of-{cluster}"),
        "labels": {
            "cluster.x-k8s.io/cluster-name": cluster,
            "cluster.x-k8s.io/control-plane": "",
        },
        "k8sversion": "v1.35.6",
    })
}

async fn update(program: &Program, body: &Value) -> Answer {
    program.control().json(Method::PUT, "/updateNode", body).await.unwrap()
}

async fn session(program: &Program, cluster: &str) -> Session {
    let path = format!("/kubeconfig?resource={cluster}/{cluster}");
    let kubeconfig = program.control().get(&path).await.unwrap();
    let access = fakeapi_tests::Access::from_kubeconfig(&kubeconfig.text()).unwrap();
    access.anonymous().connect().await.unwrap()
}

async fn check_node(program: &Program, cluster: &str, provider_id: Option<&str>) {
    let session = session(program, cluster).await;
    // What CAPM3 asks for.
    let path = format!("/api/v1/nodes?labelSelector=metal3.io/uuid%3Duuid-of-{cluster}");
    let nodes = session.get(&path).await.unwrap().good().unwrap();
    let node = &nodes["items"][0];
    assert_eq!(node["metadata"]["name"], format!("{cluster}-cp"));
    assert_eq!(node["spec"]["providerID"].as_str(), provider_id, "{node}");
    assert_eq!(node["spec"]["taints"][0]["key"], "node-role.kubernetes.io/control-plane");
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.35.6");
}

#[tokio::test]
async fn the_scalability_test_registers_ten_at_once_and_the_reconciler_brings_nodes() {
    let (management, authority) = management(AT_ONCE).await;
    let program = fkas_beside(&management).await;
    let at = program.control().address();
    let ip = program.setup().slot().ip(1, 1).to_string();
    let registered = join_all((0..AT_ONCE).map(async |number| {
        let cluster = name(number);
        let mut client = GoClient::connect(at).await.unwrap();
        let body = json!({"cluster": cluster, "namespace": cluster});
        let first = client.post("/register", &body).await.unwrap();
        // The test never does, but a retried step would: the same answer on the same connection.
        assert_eq!(client.post("/register", &body).await.unwrap(), first);
        let (status, answer) = first;
        let said: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, said["Host"].as_str()), (200, Some(ip.as_str())));
        assert_eq!(said["ResourceName"], format!("{cluster}/{cluster}"));
        u16::try_from(said["Port"].as_u64().unwrap()).unwrap()
    }))
    .await;
    let ports: BTreeSet<u16> = registered.into_iter().collect();
    assert_eq!(ports.len(), AT_ONCE);
    assert!(ports.iter().all(|port| (20_000..=30_000).contains(port)), "{ports:?}");

    for cluster in (0..AT_ONCE).map(name) {
        // While CAPM3 has not set it, the reconciler sends null; later what it has become.
        let first = update(&program, &node_update(&cluster, None)).await;
        assert_eq!((first.status, first.text().as_str()), (200, ""), "{first}");
        check_node(&program, &cluster, None).await;
        let id = format!("metal3://{cluster}/host/{cluster}-m3m");
        let again = update(&program, &node_update(&cluster, Some(&id))).await;
        assert_eq!(again.status, 200, "{again}");
        check_node(&program, &cluster, Some(&id)).await;
        // The reconciler sends every event; an old one does not take anything away.
        assert_eq!(update(&program, &node_update(&cluster, None)).await.status, 200);
        check_node(&program, &cluster, Some(&id)).await;
    }
    let secrets = program.control().get("/secrets?resource=scale-00000/scale-00000").await.unwrap();
    assert!(secrets.text().contains(&authority.certificate_base64()), "not the Secret's CA");
}

#[tokio::test]
async fn capm3_patches_the_provider_id_itself() {
    let (management, _) = management(1).await;
    let program = fkas_beside(&management).await;
    let cluster = name(0);
    let body = json!({"cluster": cluster, "namespace": cluster});
    program.control().json(Method::POST, "/register", &body).await.unwrap().good().unwrap();
    assert_eq!(update(&program, &node_update(&cluster, None)).await.status, 200);
    let session = session(&program, &cluster).await;
    let node = format!("/api/v1/nodes/{cluster}-cp");
    let id = "metal3://ns/host/m3m";
    let patch = json!({"spec": {"providerID": id}});
    let kind = "application/strategic-merge-patch+json";
    let patched = session.call(Method::PATCH, &node, kind, patch.to_string()).await.unwrap();
    patched.good().unwrap();
    // The reconciler's next call has null still.
    assert_eq!(update(&program, &node_update(&cluster, None)).await.status, 200);
    check_node(&program, &cluster, Some(id)).await;
}

#[tokio::test]
async fn the_forms_of_both_older_readmes_work_in_fkas_mode() {
    let program = fkas_mode(Setup::new().unwrap()).start().await.unwrap();
    let control = program.control();
    let ca = Authority::make(KeyForm::RsaPkcs8, "ca").unwrap();
    let (certificate, key) = (ca.certificate_base64(), ca.key_base64());

    // The seed: everything in the query, raw base64, and every node a control plane.
    let path = format!(
        "/register?resource=metal3/v0&caKey={key}&caCert={certificate}&etcdKey={key}&etcdCert={certificate}"
    );
    let seed = control.get(&path).await.unwrap().good().unwrap();
    assert_eq!(seed["ResourceName"], "metal3/v0");
    let path = "/updateNode?resource=metal3/v0&nodeName=node-1&providerID=metal3://metal3/b/m";
    assert_eq!(control.get(path).await.unwrap().status, 200);

    // The interim: the same keys in JSON.
    let body = json!({
        "resource": "metal3/v1", "caKey": key, "caCert": certificate,
        "etcdKey": key, "etcdCert": certificate,
    });
    let interim = control.json(Method::POST, "/register", &body).await.unwrap().good().unwrap();
    assert_eq!(interim["ResourceName"], "metal3/v1");
    let body = json!({
        "resource": "metal3/v1", "uuid": "u", "nodeName": "node-1", "namespace": "metal3",
        "providerID": "metal3://metal3/b/m", "labels": {"cluster.x-k8s.io/control-plane": ""},
    });
    let answer = control.json(Method::PUT, "/updateNode", &body).await.unwrap();
    assert_eq!(answer.status, 200, "{answer}");

    for cluster in ["v0", "v1"] {
        let text = control.get(&format!("/kubeconfig?resource=metal3/{cluster}")).await.unwrap();
        let access = fakeapi_tests::Access::from_kubeconfig(&text.text()).unwrap();
        let session = access.anonymous().connect().await.unwrap();
        let node = session.get("/api/v1/nodes/node-1").await.unwrap().good().unwrap();
        assert_eq!(node["spec"]["providerID"], "metal3://metal3/b/m", "{cluster}");
    }
}
