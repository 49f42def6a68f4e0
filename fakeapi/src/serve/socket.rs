//! A client's socket: what is polled beneath TLS, and what a connection holds as long as its
//! socket lives.
//!
//! The connection's places among the limits are kept here and not in its task, because an
//! upgraded connection (port-forward, exec) outlives the task that served its request.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Tenant;
use super::activity::Activity;
use super::limits::Place;
use super::stats::{Cut, WorkerStats};

/// A connection's places, all given back when the socket is closed.
pub(super) struct Held<T: Tenant> {
    pub(super) _server: OwnedSemaphorePermit,
    pub(super) _cluster: Place<T>,
    pub(super) _drain: TaskTrackerToken,
    pub(super) stats: Arc<WorkerStats>,
}

impl<T: Tenant> Drop for Held<T> {
    fn drop(&mut self) {
        self.stats.closed();
    }
}

/// Makes closing this socket a reset, which frees what it holds and tells the peer at once.
pub(super) fn reset_on_close(tcp: &impl AsFd) {
    if let Err(error) = SockRef::from(tcp).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "could not have the connection reset, it is closed");
    }
}

/// A socket whose writes fail after [`super::limits::WRITE_STALL`] without progress, and whose
/// reads are told to the connection's [`Activity`].
pub(super) struct Socket<T: Tenant> {
    tcp: TcpStream,
    activity: Arc<Activity>,
    stall_after: Duration,
    /// Kept once made: a stream that stalled once will do so again.
    stall: Option<Pin<Box<Sleep>>>,
    stalled: bool,
    dead: bool,
    held: Held<T>,
}

impl<T: Tenant> Socket<T> {
    pub(super) fn new(
        tcp: TcpStream,
        activity: Arc<Activity>,
        stall_after: Duration,
        held: Held<T>,
    ) -> Self {
        Self { tcp, activity, stall_after, stall: None, stalled: false, dead: false, held }
    }

    /// Waits for the peer's first bytes and shows them, without taking them.
    pub(super) async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.peek(buf).await
    }

    /// Makes closing it a reset.
    pub(super) fn reset_on_close(&self) {
        reset_on_close(&self.tcp);
    }

    /// Passes a write's outcome on, unless the peer has taken nothing for too long.
    fn watch_progress<R>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.stalled = false;
            return outcome;
        }
        let deadline = Instant::now() + self.stall_after;
        let timer = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.stalled {
            self.stalled = true;
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| Err(self.give_up()))
    }

    /// The kernel would keep the unsent bytes of a closed socket for minutes: throw them away.
    fn give_up(&mut self) -> io::Error {
        if !std::mem::replace(&mut self.dead, true) {
            self.held.stats.cut(Cut::WriteStall);
            reset_on_close(&self.tcp);
        }
        io::Error::new(io::ErrorKind::TimedOut, "the peer took no bytes for too long")
    }
}

impl<T: Tenant> AsyncRead for Socket<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.tcp).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.activity.received();
        }
        outcome
    }
}

impl<T: Tenant> AsyncWrite for Socket<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.tcp).poll_write(cx, buf);
        this.watch_progress(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs);
        this.watch_progress(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    // A TCP socket keeps nothing back, so neither of these can wait for the peer.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
