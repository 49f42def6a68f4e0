//! One connection to a cluster's API server.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::watch::Watch;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {self}"))
    }

    /// The body as JSON of a request that went well.
    ///
    /// # Errors
    /// When it did not.
    pub fn good(&self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "{self}");
        self.json()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text().trim_end())?;
        match self.headers.get("x-fakeapi-cause") {
            Some(cause) => write!(f, " ({})", String::from_utf8_lossy(cause.as_bytes())),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug)]
enum Sender {
    H1(std::sync::Arc<tokio::sync::Mutex<http1::SendRequest<Full<Bytes>>>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

/// One connection. Clones share it; by HTTP/1.1 they wait for one another.
#[derive(Clone, Debug)]
pub struct Session {
    sender: Sender,
    host: String,
    token: Option<String>,
    certificate: CertificateDer<'static>,
}

impl Session {
    /// HTTP over a TLS connection, of the version that was agreed.
    ///
    /// # Errors
    /// When the server does not speak it.
    pub async fn over(stream: TlsStream<TcpStream>, address: SocketAddr) -> Result<Self> {
        let tls = stream.get_ref().1;
        let certificates = tls.peer_certificates().context("no server certificate")?;
        let certificate = certificates.first().context("no server certificate")?.clone();
        let h2 = tls.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let sender = if h2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Sender::H2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Sender::H1(std::sync::Arc::new(tokio::sync::Mutex::new(sender)))
        };
        Ok(Self { sender, host: address.to_string(), token: None, certificate })
    }

    /// Showing a bearer token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Naming another host than the one that is spoken to.
    #[must_use]
    pub fn claiming_host(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    /// The certificate the server showed.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Whether HTTP/2 was agreed.
    pub fn is_h2(&self) -> bool {
        matches!(self.sender, Sender::H2(_))
    }

    /// Sends a request; the answer's body is still to come.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).header(CONTENT_TYPE, content_type);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = Full::new(body.into());
        match &self.sender {
            Sender::H1(sender) => {
                let request = request.uri(path).header(HOST, &self.host).body(body)?;
                let mut sender = sender.lock().await;
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Sender::H2(sender) => {
                let uri = format!("https://{}{path}", self.host);
                let mut sender = sender.clone();
                sender.ready().await?;
                Ok(sender.send_request(request.uri(uri).body(body)?).await?)
            }
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let (head, body) = self.send(method, path, content_type, body).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// GET.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, "application/json", "").await
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.call(Method::POST, path, "application/json", body.to_string()).await
    }

    /// PUT of JSON.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.call(Method::PUT, path, "application/json", body.to_string()).await
    }

    /// A merge patch.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.call(Method::PATCH, path, "application/merge-patch+json", body.to_string()).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.call(Method::DELETE, path, "application/json", "").await
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn watch(&self, path: &str) -> Result<Watch> {
        let response = self.send(Method::GET, path, "application/json", "").await?;
        let status = response.status();
        ensure!(status == 200, "{status} for {path}");
        Ok(Watch::new(response.into_body()))
    }
}
