//! The control port, asked from inside the program's namespace.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use fakeapi_tests::namespace::Namespace;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::Kubeconfig;

/// The default control address.
const AT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3_333);
/// The namespace of all clusters of these tests.
const NAMESPACE: &str = "scale";
const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";

/// A registered cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) at: SocketAddr,
}

impl Cluster {
    /// The name of the one node it is given.
    pub(crate) fn node(&self) -> String {
        format!("{}-node-0", self.name)
    }

    fn resource(&self) -> String {
        format!("{NAMESPACE}/{}", self.name)
    }
}

/// The control port of the program in this namespace.
pub(crate) struct Control(Arc<Namespace>);

impl Control {
    pub(crate) fn of(program_in: Arc<Namespace>) -> Self {
        Self(program_in)
    }

    /// One request, answered with 200.
    pub(crate) fn ask(&self, method: Method, path: &str, body: &Value) -> String {
        let what = format!("{method} {path}");
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let path = path.to_owned();
        let (status, answer) = self
            .0
            .run_async(move || request(method, path, text))
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(status, 200, "{what}: {answer}");
        answer
    }

    /// Whether the program answers there by now.
    pub(crate) fn is_ready(&self) -> bool {
        self.0
            .run_async(|| request(Method::GET, "/readyz".to_owned(), String::new()))
            .is_ok_and(|(status, _)| status == 200)
    }

    /// Registers clusters in one request, each at the address asked for or at any.
    pub(crate) fn register(&self, wanted: &[Option<SocketAddr>]) -> Vec<Cluster> {
        let items = wanted.iter().enumerate().map(|(number, address)| {
            let mut item = json!({"cluster": format!("c-{number:05}"), "namespace": NAMESPACE});
            if let Some(address) = address {
                item["address"] = address.to_string().into();
            }
            item
        });
        let answer = self.ask(Method::POST, "/register", &items.collect());
        let entries: Vec<Value> = serde_json::from_str(&answer).unwrap();
        assert_eq!(entries.len(), wanted.len());
        entries.iter().zip(wanted).map(|(entry, address)| registered(entry, *address)).collect()
    }

    /// Gives each of these clusters its one node, a control plane.
    pub(crate) fn activate(&self, clusters: &[Cluster]) {
        let nodes = clusters.iter().map(|cluster| {
            json!({
                "cluster": cluster.name, "namespace": NAMESPACE, "nodeName": cluster.node(),
                "labels": {CONTROL_PLANE: ""},
            })
        });
        let answer = self.ask(Method::PUT, "/updateNode", &nodes.collect());
        let entries: Vec<Value> = serde_json::from_str(&answer).unwrap();
        assert_eq!(entries.len(), clusters.len());
        assert!(entries.iter().all(|entry| entry.get("Error").is_none()), "{answer}");
    }

    pub(crate) fn kubeconfig(&self, cluster: &Cluster) -> Kubeconfig {
        let path = format!("/kubeconfig?resource={}", cluster.resource());
        Kubeconfig::parse(&self.ask(Method::GET, &path, &Value::Null))
    }

    pub(crate) fn fault(&self, cluster: &Cluster, fault: &Value) {
        let path = format!("/fault?resource={}", cluster.resource());
        self.ask(Method::PUT, &path, fault);
    }

    pub(crate) fn fault_of(&self, cluster: &Cluster) -> Value {
        let path = format!("/fault?resource={}", cluster.resource());
        serde_json::from_str(&self.ask(Method::GET, &path, &Value::Null)).unwrap()
    }

    /// A figure of `/metrics`: `name`, or `name{label="value"}`.
    pub(crate) fn figure(&self, figure: &str) -> u64 {
        let all = self.ask(Method::GET, "/metrics", &Value::Null);
        let value = all.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("there is no {figure} in\n{all}")).parse().unwrap()
    }

    /// How many packets or connections the kernel side judged so.
    pub(crate) fn packets(&self, reason: &str) -> u64 {
        self.figure(&format!("fakeapi_edge_packets_total{{reason=\"{reason}\"}}"))
    }

    pub(crate) fn handed_over(&self) -> u64 {
        self.figure("fakeapi_connections_handed_over_total")
    }
}

/// One entry of a bulk answer, which must be what was asked for.
fn registered(entry: &Value, wanted: Option<SocketAddr>) -> Cluster {
    let text = |field: &str| entry[field].as_str().unwrap_or_else(|| panic!("{entry}"));
    let port = entry["Port"].as_u64().unwrap().try_into().unwrap();
    let at = SocketAddr::new(text("Host").parse().unwrap(), port);
    assert!(wanted.is_none_or(|wanted| wanted == at), "{entry}");
    let name = text("ResourceName").strip_prefix("scale/").unwrap();
    Cluster { name: name.to_owned(), at }
}

async fn request(method: Method, path: String, body: String) -> Result<(u16, String)> {
    let stream = TcpStream::connect(AT).await.context("cannot connect")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", AT.to_string())
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    connection.await??;
    Ok((status, String::from_utf8(body.to_vec())?))
}
