//! Requests and answers as bytes.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use super::ClientError;
use crate::fkas::CAUSE_HEADER;

/// To connect.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// For a whole exchange; a change is answered only when it is durable.
const DEADLINE: Duration = Duration::from_mins(1);

/// The largest answer: a full page of clusters is some 2 MB.
const ANSWER_BYTES: usize = 64 << 20;

/// Connections to one control port.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pool: Pool<HttpConnector, Full<Bytes>>,
    server: String,
}

impl Transport {
    pub(super) fn new(server: &str) -> Result<Self, ClientError> {
        let base = server.trim_end_matches('/');
        let uri: Option<Uri> = base.parse().ok();
        let good = uri.is_some_and(|uri| {
            uri.scheme_str() == Some("http") && uri.authority().is_some() && uri.query().is_none()
        });
        if !good {
            return Err(ClientError::Server { server: server.to_owned() });
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_DEADLINE));
        connector.set_nodelay(true);
        Ok(Self {
            pool: Pool::builder(TokioExecutor::new()).build(connector),
            server: base.to_owned(),
        })
    }

    /// A `GET` whose answer is JSON.
    pub(super) async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let answer = self.send(Method::GET, target, None).await?;
        self.meaning(&answer)
    }

    /// A `GET` whose answer is text.
    pub(super) async fn text(&self, target: &str) -> Result<String, ClientError> {
        let answer = self.send(Method::GET, target, None).await?;
        String::from_utf8(answer.into()).map_err(|error| self.broken(error))
    }

    /// A request and an answer in JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: impl ToString,
    ) -> Result<T, ClientError> {
        let answer = self.send(method, target, Some(body.to_string())).await?;
        self.meaning(&answer)
    }

    /// Sends a request and gives the body of a good answer.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<String>,
    ) -> Result<Bytes, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{target}", self.server));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(Full::from(body.unwrap_or_default())).map_err(ClientError::Request)?;
        tokio::time::timeout(DEADLINE, self.exchange(request)).await.map_err(|_| {
            ClientError::Late { server: self.server.clone(), seconds: DEADLINE.as_secs() }
        })?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, ClientError> {
        let sent = self.pool.request(request).await;
        let response: Response<Incoming> = sent
            .map_err(|source| ClientError::Unreachable { server: self.server.clone(), source })?;
        let (head, body) = response.into_parts();
        let whole =
            Limited::new(body, ANSWER_BYTES).collect().await.map_err(|error| self.broken(error))?;
        let body = whole.to_bytes();
        if head.status.is_success() {
            return Ok(body);
        }
        let cause = head.headers.get(CAUSE_HEADER);
        Err(ClientError::Refused {
            status: head.status,
            message: String::from_utf8_lossy(&body).trim_end().to_owned(),
            cause: cause.and_then(|text| Some(text.to_str().ok()?.to_owned())),
        })
    }

    fn meaning<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(answer)
            .map_err(|source| ClientError::Meaning { server: self.server.clone(), source })
    }

    fn broken(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Answer { server: self.server.clone(), source: source.into() }
    }
}
