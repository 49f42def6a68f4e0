//! Port-forward: what is refused, what goes over the wire, and what client-go makes of it.

mod clients;
mod pods;
mod refusals;
mod wire;

use std::net::SocketAddr;

use apiserver::body::Body;
use apiserver::streams::Upgrade;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use self::pods::Listening;
use crate::harness::{PODS, Server, pod};

const NODES: &str = "/api/v1/nodes";

/// A server with the pods `web` (running), `pending` (on a node, not running), `new` (on no node)
/// and `lost` (on a node that is not there).
async fn server() -> Server {
    let server = Server::new().with_kubelet(Listening);
    let node = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n"}});
    server.post(NODES, &node).await.is(201);
    let addresses = json!([{"type": "InternalIP", "address": "10.0.0.1"}]);
    let status = json!({"status": {"addresses": addresses}});
    server.patch(&format!("{NODES}/n/status"), crate::harness::MERGE, &status).await.is(200);
    for (name, node, phase) in
        [("web", "n", "Running"), ("pending", "n", "Pending"), ("new", "", "Pending")]
    {
        let mut pod = pod(name);
        if !node.is_empty() {
            pod["spec"]["nodeName"] = node.into();
        }
        server.post(PODS, &pod).await.is(201);
        let status = json!({"status": {"phase": phase}});
        let path = format!("{PODS}/{name}/status");
        server.patch(&path, crate::harness::MERGE, &status).await.is(200);
    }
    let mut lost = pod("lost");
    lost["spec"]["nodeName"] = "gone".into();
    server.post(PODS, &lost).await.is(201);
    server
}

/// Serves HTTP/1.1 on loopback as long as the test lives.
async fn listen(server: Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let server = server.clone();
            let service = service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, std::convert::Infallible>(serve(&server, request).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

async fn serve(server: &Server, mut request: Request<Incoming>) -> Response<Body> {
    if let Some(connection) = request.extensions_mut().remove::<OnUpgrade>() {
        let upgrade = Upgrade::new(move |session| {
            let connection = connection.clone();
            tokio::spawn(async move {
                session(Box::new(TokioIo::new(connection.await.unwrap()))).await;
            });
        });
        request.extensions_mut().insert(upgrade);
    }
    server.answer(request).await
}
