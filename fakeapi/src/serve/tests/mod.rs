//! The serving plane against real clients over loopback: a harness, and tests by subject.

mod bounds;
mod client;
mod drained;
mod identity;
mod pki;
mod routing;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::listener::{Listen, OnListener};
use super::outage::{Outage, OutageSwitch};
use super::{
    BoxError, ClientIdentity, Config, ConnectionCount, Directory, Draining, Limits, Peer,
    RequestBody, Server, Takeover, Tenant,
};
use crate::addr::ClusterAddr;
use pki::Authority;

type TestBody = UnsyncBoxBody<Bytes, Infallible>;

/// A tenant whose answers depend on the path.
struct TestTenant {
    name: &'static str,
    authority: Authority,
    names: Vec<String>,
    generation: AtomicU64,
    signed: AtomicUsize,
    connections: ConnectionCount,
    removed: CancellationToken,
    outage: Arc<OutageSwitch>,
    /// `/gate` and `POST /gate` wait for it.
    gate: Notify,
    at_gate: AtomicUsize,
    passed_gate: AtomicUsize,
}

impl TestTenant {
    fn new(name: &'static str, names: &[&str]) -> Arc<Self> {
        Arc::new(Self {
            name,
            authority: Authority::new(name),
            names: names.iter().map(ToString::to_string).collect(),
            generation: AtomicU64::new(1),
            signed: AtomicUsize::new(0),
            connections: ConnectionCount::default(),
            removed: CancellationToken::new(),
            outage: Arc::default(),
            gate: Notify::new(),
            at_gate: AtomicUsize::new(0),
            passed_gate: AtomicUsize::new(0),
        })
    }

    async fn wait_at_gate(&self) -> TestBody {
        self.at_gate.fetch_add(1, Ordering::SeqCst);
        self.gate.notified().await;
        self.passed_gate.fetch_add(1, Ordering::SeqCst);
        text("through the gate")
    }

    fn who(&self, peer: &Peer, request: &Request<RequestBody>) -> TestBody {
        let identity = match &peer.identity {
            ClientIdentity::None => "none".to_owned(),
            ClientIdentity::Trusted(certificate) => {
                format!("{} {:?}", certificate.common_name, certificate.organizations)
            }
            ClientIdentity::Untrusted(why) => {
                format!("untrusted: {}", std::error::Error::source(why).unwrap())
            }
        };
        let (name, at, version) = (self.name, peer.at, request.version());
        let thread = std::thread::current().name().unwrap().to_owned();
        text(&format!("{name}|{at}|{identity}|{version:?}|{thread}"))
    }
}

fn text(text: &str) -> TestBody {
    Full::new(Bytes::from(text.to_owned())).boxed_unsync()
}

/// One chunk at once, then nothing until the server drains, then a last one.
fn watch(draining: Draining) -> TestBody {
    let chunks = stream::unfold((0, draining), |(n, draining)| async move {
        match n {
            0 => {}
            1 => draining.begun().await,
            _ => return None,
        }
        let chunk = if n == 0 { "first\n" } else { "last\n" };
        Some((Ok(Frame::data(Bytes::from(chunk))), (n + 1, draining)))
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// One chunk, then nothing, whatever happens.
fn forever() -> TestBody {
    let chunks = stream::unfold(true, |first| async move {
        if !first {
            std::future::pending::<()>().await;
        }
        Some((Ok(Frame::data(Bytes::from_static(b"first\n"))), false))
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// As many bytes as are taken.
fn flood() -> TestBody {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    StreamBody::new(stream::repeat_with(move || Ok(Frame::data(chunk.clone())))).boxed_unsync()
}

async fn echo(request: Request<RequestBody>) -> Response<TestBody> {
    match request.into_body().collect().await {
        Ok(body) => Response::new(text(&format!("{} bytes", body.to_bytes().len()))),
        Err(error) => {
            let mut response = Response::new(text(&error.to_string()));
            *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
            response
        }
    }
}

/// Switches protocols and echoes bytes until the client is done or the server drains.
fn upgrade(mut request: Request<RequestBody>) -> Response<TestBody> {
    let draining = request.extensions().get::<Draining>().unwrap().clone();
    Takeover::of(&mut request).unwrap().run(|mut io| async move {
        let mut buf = [0; 4096];
        loop {
            let read = tokio::select! {
                read = io.read(&mut buf) => read.unwrap_or(0),
                () = draining.begun() => 0,
            };
            if read == 0 {
                let _ = io.shutdown().await;
                return;
            }
            if io.write_all(&buf[..read]).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo")
        .body(text(""))
        .unwrap()
}

impl Tenant for TestTenant {
    type Body = TestBody;

    fn outage(&self) -> &Arc<OutageSwitch> {
        &self.outage
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn certificate(&self) -> Result<Arc<CertifiedKey>, BoxError> {
        self.signed.fetch_add(1, Ordering::SeqCst);
        if self.names.is_empty() {
            return Err("there is no key".into());
        }
        Ok(self.authority.server(&self.names))
    }

    fn client_roots(&self) -> Arc<RootCertStore> {
        Arc::new(self.authority.roots())
    }

    fn connections(&self) -> &ConnectionCount {
        &self.connections
    }

    fn removed(&self) -> &CancellationToken {
        &self.removed
    }

    async fn serve(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<RequestBody>,
    ) -> Response<TestBody> {
        let draining = request.extensions().get::<Draining>().unwrap().clone();
        match request.uri().path() {
            "/gate" => Response::new(self.wait_at_gate().await),
            "/watch" => Response::new(watch(draining)),
            "/forever" => Response::new(forever()),
            "/flood" => Response::new(flood()),
            "/echo" => echo(request).await,
            "/upgrade" => upgrade(request),
            _ => Response::new(self.who(&peer, &request)),
        }
    }
}

#[derive(Default)]
struct TestDirectory(Mutex<HashMap<ClusterAddr, Arc<TestTenant>>>);

impl Directory for TestDirectory {
    type Tenant = TestTenant;

    fn tenant(&self, at: ClusterAddr) -> Option<Arc<TestTenant>> {
        self.0.lock().get(&at).cloned()
    }
}

/// A server with tenants on addresses of loopback, all on one port.
struct Site {
    server: Server,
    directory: Arc<TestDirectory>,
    port: u16,
}

impl Site {
    fn start(limits: Limits) -> Self {
        Self::with(limits, 2, Listen::Wildcard { port: 0 }, &mut |_, _, _| Ok(()))
    }

    fn with(limits: Limits, workers: u32, listen: Listen, hook: &mut OnListener<'_>) -> Self {
        let directory = Arc::new(TestDirectory::default());
        let config = Config { workers: NonZeroU32::new(workers).unwrap(), listen, limits };
        let server = Server::start(&config, &directory, hook).unwrap();
        let port = server.addresses().first().map_or(0, SocketAddr::port);
        Self { server, directory, port }
    }

    /// A tenant whose certificate is for its address and for the name `both.example`.
    fn tenant(&self, name: &'static str, ip: &str) -> (ClusterAddr, Arc<TestTenant>) {
        let tenant = TestTenant::new(name, &[ip, "both.example"]);
        let at = self.put(ip, Arc::clone(&tenant));
        (at, tenant)
    }

    fn put(&self, ip: &str, tenant: Arc<TestTenant>) -> ClusterAddr {
        let ip: IpAddr = ip.parse().unwrap();
        let at = ClusterAddr(SocketAddr::new(ip, self.port));
        self.directory.0.lock().insert(at, tenant);
        at
    }
}

fn fast() -> Limits {
    Limits { drain: Duration::from_secs(5), ..Limits::default() }
}

/// Waits for something that another thread does, for at most 5 s.
async fn eventually(what: &str, done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

/// Reads until the peer ends the connection, in order or not.
async fn read_to_end(stream: &mut (impl AsyncReadExt + Unpin)) -> (Vec<u8>, io::Result<()>) {
    let mut read = Vec::new();
    let end = stream.read_to_end(&mut read).await;
    (read, end.map(drop))
}
