//! A client of the control endpoint.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::session::Answer;

/// The label that makes a node a control plane.
pub const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";

/// The control endpoint of a program.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    at: SocketAddr,
}

impl Control {
    /// The endpoint at an address.
    pub fn new(at: SocketAddr) -> Self {
        Self { at }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// Sends a request with a body, if any, on a connection of its own.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<Answer> {
        let tcp = TcpStream::connect(self.at).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.at.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        drop(sender);
        driver.abort();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn json(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        self.send(method, path, body.to_string()).await
    }

    /// Registers `default/<name>` with what else the body says.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn try_register(&self, name: &str, more: &Value) -> Result<Answer> {
        let mut body = json!({"cluster": name, "namespace": "default"});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.json(Method::POST, "/register", &body).await
    }

    /// Registers `default/<name>`; its address.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn register(&self, name: &str) -> Result<SocketAddr> {
        let answer = self.try_register(name, &Value::Null).await?;
        address(&answer).with_context(|| format!("registering {name}"))
    }

    /// Takes a cluster away.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn unregister(&self, name: &str) -> Result<()> {
        let path = format!("/register?resource=default/{name}");
        ok(&self.send(Method::DELETE, &path, "").await?)
    }

    /// Adds or updates a node of `default/<cluster>`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn try_node(&self, cluster: &str, node: &str, more: &Value) -> Result<Answer> {
        let mut body = json!({"cluster": cluster, "namespace": "default", "nodeName": node});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.json(Method::PUT, "/updateNode", &body).await
    }

    /// Adds a control-plane node.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn control_plane(&self, cluster: &str, node: &str) -> Result<()> {
        let labels = json!({"labels": {CONTROL_PLANE: ""}});
        ok(&self.try_node(cluster, node, &labels).await?)
    }

    /// Adds a worker.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn worker(&self, cluster: &str, node: &str) -> Result<()> {
        ok(&self.try_node(cluster, node, &Value::Null).await?)
    }

    /// Removes a node.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn remove_node(&self, cluster: &str, node: &str) -> Result<()> {
        let path = format!("/updateNode?resource=default/{cluster}&nodeName={node}");
        ok(&self.send(Method::DELETE, &path, "").await?)
    }

    /// A path's answer.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, "").await
    }

    /// The kubeconfig of `default/<cluster>`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn kubeconfig(&self, cluster: &str) -> Result<String> {
        let name = utf8_percent_encode(cluster, NON_ALPHANUMERIC);
        let answer = self.get(&format!("/kubeconfig?resource=default/{name}")).await?;
        ensure!(answer.status == 200, "{answer}");
        Ok(answer.text())
    }

    /// All clusters as `GET /register` lists them, in pages.
    ///
    /// # Errors
    /// When a page is refused.
    pub async fn clusters(&self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let page = self.get(&format!("/register?limit=100&continue={next}")).await?;
            ensure!(page.status == 200, "{page}");
            let page = page.json()?;
            all.extend(page["clusters"].as_array().context("no clusters")?.iter().cloned());
            page["continue"].as_str().unwrap_or_default().clone_into(&mut next);
            if next.is_empty() {
                return Ok(all);
            }
        }
    }
}

/// The address in the answer to a registration.
///
/// # Errors
/// When it was refused.
pub fn address(answer: &Answer) -> Result<SocketAddr> {
    ensure!(answer.status == 200, "{answer}");
    let said = answer.json()?;
    let host = said["Host"].as_str().context("no Host")?;
    let port = u16::try_from(said["Port"].as_u64().context("no Port")?)?;
    Ok(SocketAddr::new(host.parse()?, port))
}

fn ok(answer: &Answer) -> Result<()> {
    if answer.status == 200 { Ok(()) } else { bail!("{answer}") }
}
