//! One connection: handshake, HTTP by ALPN, deadlines, drain.
//!
//! The protocol is chosen by what ALPN negotiated and not by the first bytes: a client that
//! agreed on `h2` and then speaks something else has broken the protocol (RFC 9113, 3.4).

use std::convert::Infallible;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::{Activity, Overdue};
use super::body::{RequestBody, ResponseBody};
use super::client_cert::judge;
use super::drain::Draining;
use super::handshake::handshake;
use super::limits::{H2_CONNECTION_WINDOW, H2_FRAME, H2_SEND_BUFFER, H2_STREAM_WINDOW, Limits};
use super::outage::Outage;
use super::socket::Socket;
use super::stall::{NewStream, StreamExecutor};
use super::stats::{Cut, HandshakeFailure, WorkerStats};
use super::tls::ALPN_H2;
use super::within::Within;
use super::worker::Worker;
use super::{BoxError, Directory, Peer, Tenant};
use crate::addr::{ClientAddr, ClusterAddr};

/// How long a peer that was told to go may stay without a request in flight: time for the bytes
/// and the farewell that are still under way.
const FAREWELL: Duration = Duration::from_secs(5);
/// What hyper holds of an HTTP/1.1 message at the least.
const H1_BUFFER_MIN: usize = 8 * 1024;

/// A connection that has all its places.
pub(super) struct Admitted<T: Tenant> {
    pub(super) socket: Socket<T>,
    pub(super) activity: Arc<Activity>,
    pub(super) tenant: Arc<T>,
    pub(super) at: ClusterAddr,
    pub(super) client: ClientAddr,
}

/// Serves a connection to its end.
pub(super) async fn serve<D: Directory>(worker: Arc<Worker<D>>, admitted: Admitted<D::Tenant>) {
    let Admitted { socket, activity, tenant, at, client } = admitted;
    let cuts = tenant.outage().cuts();
    if !over(&worker, &*tenant).await {
        return worker.stats.handshake_failed(HandshakeFailure::Outage);
    }
    // Boxed, so that its state is not part of the task for the hours that follow.
    let stream = match Box::pin(handshake(&worker, &tenant, at, socket)).await {
        Ok(stream) => stream,
        Err(error) => {
            worker.stats.handshake_failed(error.counted_as());
            return error.log(at, client);
        }
    };
    let (_, tls) = stream.get_ref();
    let h2 = tls.alpn_protocol() == Some(ALPN_H2);
    activity.handshake_done(h2);
    let peer = Peer {
        client,
        at,
        identity: judge(tls.peer_certificates(), &tenant.client_roots(), UnixTime::now()),
    };
    let within = Within {
        client,
        at,
        limits: Arc::clone(&worker.limits),
        stats: Arc::clone(&worker.stats),
        tracker: worker.tracker.clone(),
        draining: worker.draining.clone(),
    };
    let begun = Begun { within: Arc::new(within), tenant, peer, activity, h2, cuts };
    speak(begun, stream).await;
}

/// A connection on which HTTP is to be spoken.
pub(super) struct Begun<T: Tenant> {
    pub(super) within: Arc<Within>,
    pub(super) tenant: Arc<T>,
    pub(super) peer: Peer,
    pub(super) activity: Arc<Activity>,
    pub(super) h2: bool,
    /// How often an outage had cut connections when this one began.
    pub(super) cuts: u32,
}

/// Speaks HTTP on a connection to its end.
pub(super) async fn speak<T: Tenant, S: Stream>(begun: Begun<T>, stream: S) {
    let Begun { within, tenant, peer, activity, h2, cuts } = begun;
    let (at, client) = (peer.at, peer.client);
    let context = Context {
        peer: Arc::new(peer),
        tenant,
        activity,
        limits: Arc::clone(&within.limits),
        stats: Arc::clone(&within.stats),
        tracker: within.tracker.clone(),
        draining: within.draining.clone(),
        within,
        new_stream: h2.then(NewStream::default),
        cuts,
    };
    let served = if h2 { context.serve_h2(stream).await } else { context.serve_h1(stream).await };
    if let Err(error) = served {
        tracing::debug!(cluster = %at, %client, %error, "connection ended by an error");
    }
}

/// Waits while the tenant hangs, as long as a connection may be idle. Says whether it is over.
async fn over<D: Directory>(worker: &Worker<D>, tenant: &D::Tenant) -> bool {
    if tenant.outage().now() != Some(Outage::Hang) {
        return true;
    }
    tokio::select! {
        () = tenant.outage().hangs(false) => true,
        () = tenant.removed().cancelled() => false,
        () = worker.draining.cancelled() => false,
        () = sleep_until(Instant::now() + worker.limits.idle) => false,
    }
}

/// What HTTP is spoken on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// What a connection's requests need.
struct Context<T: Tenant> {
    peer: Arc<Peer>,
    tenant: Arc<T>,
    activity: Arc<Activity>,
    limits: Arc<Limits>,
    stats: Arc<WorkerStats>,
    tracker: TaskTracker,
    draining: CancellationToken,
    /// For requests that lead to connections inside of this process.
    within: Arc<Within>,
    /// On HTTP/2 only.
    new_stream: Option<NewStream>,
    /// How often an outage had cut connections when this one began.
    cuts: u32,
}

impl<T: Tenant> Context<T> {
    async fn serve_h2<S: Stream>(self, stream: S) -> hyper::Result<()> {
        let executor = StreamExecutor {
            new_stream: self.new_stream.clone().unwrap_or_default(),
            stall_after: self.limits.write_stall,
            stats: Arc::clone(&self.stats),
        };
        let context = Arc::new(self);
        let limits = &context.limits;
        let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(executor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.h2_streams)
            .initial_stream_window_size(H2_STREAM_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW)
            .max_frame_size(H2_FRAME)
            .max_send_buf_size(H2_SEND_BUFFER)
            .max_header_list_size(header_bytes)
            .keep_alive_interval(limits.h2_ping)
            .keep_alive_timeout(limits.h2_ping_timeout)
            .serve_connection(TokioIo::new(stream), context.clone().service());
        context.drive(Box::pin(connection)).await
    }

    async fn serve_h1<S: Stream>(self, stream: S) -> hyper::Result<()> {
        let context = Arc::new(self);
        let connection = http1::Builder::new()
            // Told by `Activity`, which knows idleness from a slow header.
            .header_read_timeout(None)
            .max_header_size(context.limits.header_bytes)
            .max_buf_size(context.limits.header_bytes.max(H1_BUFFER_MIN))
            .serve_connection(TokioIo::new(stream), context.clone().service())
            .with_upgrades();
        context.drive(Box::pin(connection)).await
    }

    fn service(
        self: Arc<Self>,
    ) -> impl HttpService<
        Incoming,
        ResBody = ResponseBody<T::Body>,
        Error = Infallible,
        Future: Send + 'static,
    > {
        service_fn(move |request: Request<Incoming>| {
            self.stats.request();
            let in_flight = self.activity.begin();
            let deadline = Instant::now() + self.limits.body;
            let mut request = request.map(|body| RequestBody::new(body, deadline));
            let progress = self.new_stream.as_ref().map(NewStream::begins);
            let draining = self.draining();
            request.extensions_mut().insert(draining);
            request.extensions_mut().insert(Arc::clone(&self.within));
            let context = Arc::clone(&self);
            async move {
                let response = context.answer(request).await;
                Ok(response.map(|body| ResponseBody::new(body, progress, in_flight)))
            }
        })
    }

    fn draining(&self) -> Draining {
        Draining {
            server: self.draining.clone(),
            tenant: self.tenant.removed().clone(),
            outage: Arc::clone(self.tenant.outage()),
            cuts: self.cuts,
        }
    }

    /// A read dies with its client. Anything else was asked to change something: it runs to its
    /// end, so that no change is left half done.
    async fn answer(&self, request: Request<RequestBody>) -> Response<T::Body> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let answer = Arc::clone(&self.tenant).serve(Arc::clone(&self.peer), request);
        if reads {
            return answer.await;
        }
        match self.tracker.spawn(answer).await {
            Ok(response) => response,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Cancelled: the runtime is going down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Polls the connection to its end, or ends it when a deadline or the drain says so.
    ///
    /// The connection is boxed by the caller: a task holds room for every value its functions
    /// ever hold, and this one would hold four of the two kinds.
    async fn drive(&self, mut connection: Pin<Box<impl Graceful>>) -> hyper::Result<()> {
        let (draining, outage) = (self.draining(), self.tenant.outage());
        let mut cut = pin!(outage.cut_since(self.cuts));
        let mut hangs = outage.now() == Some(Outage::Hang);
        let first = self.limits.header.min(self.limits.idle);
        let mut check = pin!(sleep_until(Instant::now() + first));
        let mut leaving = None;
        loop {
            tokio::select! {
                biased;
                () = cut.as_mut() => {
                    self.stats.cut(Cut::Outage);
                    return Ok(());
                }
                () = outage.hangs(!hangs) => hangs = !hangs,
                ended = connection.as_mut(), if !hangs => return ended,
                () = draining.begun(), if leaving.is_none() => {
                    leaving = Some(Instant::now());
                    connection.as_mut().graceful_shutdown();
                    check.as_mut().reset(Instant::now() + self.patience());
                }
                () = check.as_mut() => match self.check(leaving) {
                    Next::Wait(until) => check.as_mut().reset(until),
                    Next::Leave => {
                        leaving = Some(Instant::now());
                        connection.as_mut().graceful_shutdown();
                        check.as_mut().reset(Instant::now() + FAREWELL);
                    }
                    Next::Cut => return Ok(()),
                }
            }
        }
    }

    /// How long it is until a connection that was told to go is looked at.
    fn patience(&self) -> Duration {
        if self.tenant.removed().is_cancelled() { self.limits.removal } else { FAREWELL }
    }

    /// Holds the connection against its deadlines; `leaving` is when its peer was told to go.
    fn check(&self, leaving: Option<Instant>) -> Next {
        let Limits { header, idle, removal, .. } = *self.limits;
        if let Some(since) = leaving {
            let removed = self.tenant.removed().is_cancelled();
            if removed && since.elapsed() >= removal {
                self.stats.cut(Cut::Removed);
                return Next::Cut;
            }
            if self.activity.quiet_for(FAREWELL) {
                return Next::Cut;
            }
        }
        match self.activity.overdue(header, idle) {
            Overdue::Header => {
                self.stats.cut(Cut::Header);
                Next::Cut
            }
            Overdue::Idle if leaving.is_none() => {
                self.stats.cut(Cut::Idle);
                Next::Leave
            }
            Overdue::No(next) if leaving.is_none() => Next::Wait(next),
            Overdue::No(_) | Overdue::Idle => Next::Wait(Instant::now() + self.patience()),
        }
    }
}

/// What is to be done with a connection.
enum Next {
    /// Nothing until then.
    Wait(Instant),
    /// Its peer is to be told that it ends.
    Leave,
    /// It is to be dropped.
    Cut,
}

/// What HTTP/1.1 and HTTP/2 connections have in common.
trait Graceful: Future<Output = hyper::Result<()>> {
    /// Lets requests in flight finish and takes no other.
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, S> Graceful for http1::UpgradeableConnection<I, S>
where
    S: HttpService<Incoming, Error: Into<BoxError>>,
    S::ResBody: http_body::Body<Error: Into<BoxError>> + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}

impl<I, S, E> Graceful for http2::Connection<I, S, E>
where
    S: HttpService<Incoming, Error: Into<BoxError>>,
    S::ResBody: http_body::Body<Error: Into<BoxError>> + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    E: Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}
