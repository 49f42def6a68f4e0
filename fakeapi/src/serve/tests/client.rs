//! A client that can be told to do everything wrong.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pki::{Authority, ClientKey};
use crate::addr::ClusterAddr;

/// The TLS versions and the HTTP versions, each with each.
pub(super) const WAYS: [(&SupportedProtocolVersion, &str); 4] =
    [(&TLS12, "http/1.1"), (&TLS12, "h2"), (&TLS13, "http/1.1"), (&TLS13, "h2")];

/// How to connect.
pub(super) struct Dial<'a> {
    pub(super) at: ClusterAddr,
    pub(super) trust: &'a Authority,
    pub(super) alpn: &'a str,
    pub(super) tls: &'static SupportedProtocolVersion,
    pub(super) key: Option<ClientKey>,
    /// The name to ask for and to verify, when it is not the address.
    pub(super) sni: Option<&'static str>,
}

impl<'a> Dial<'a> {
    pub(super) fn new(at: ClusterAddr, trust: &'a Authority, alpn: &'a str) -> Self {
        Self { at, trust, alpn, tls: &TLS13, key: None, sni: None }
    }

    /// TCP and TLS.
    pub(super) async fn tls(self) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.tls])
            .unwrap()
            .with_root_certificates(self.trust.roots());
        let mut config = match self.key {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![self.alpn.as_bytes().to_vec()];
        let name = match self.sni {
            Some(name) => ServerName::try_from(name).unwrap(),
            None => ServerName::from(self.at.ip()),
        };
        let tcp = TcpStream::connect(self.at.0).await?;
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    }

    /// TCP, TLS and HTTP.
    pub(super) async fn http(self) -> Client {
        let h2 = self.alpn == "h2";
        let stream = self.tls().await.unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().unwrap();
        assert_eq!(agreed == b"h2", h2);
        let io = TokioIo::new(stream);
        if h2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Client::H2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            Client::H1(sender)
        }
    }
}

pub(super) type Body = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

pub(super) enum Client {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

pub(super) fn empty() -> Body {
    bytes("")
}

pub(super) fn bytes(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

impl Client {
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// The answer, its body still to come.
    pub(super) async fn get(&mut self, path: &str) -> hyper::Result<Response<Incoming>> {
        self.send(request(Method::GET, path, empty())).await
    }

    /// The whole answer.
    pub(super) async fn text(&mut self, path: &str) -> hyper::Result<(StatusCode, String)> {
        read(self.get(path).await?).await
    }
}

/// A request that says it is for another host.
pub(super) fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("https://127.9.9.9:1{path}"))
        .header("host", "127.9.9.9:1")
        .body(body)
        .unwrap()
}

pub(super) async fn read(response: Response<Incoming>) -> hyper::Result<(StatusCode, String)> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}
