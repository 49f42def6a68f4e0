//! One control connection and its deadlines.
//!
//! FKAS gives a request 60 s to come in and an idle connection 120 s. hyper has one timer for
//! both, and none for bodies, so [`Phases`] keeps them: it sees the first byte of a request through
//! [`Watched`], and is told when the request is complete and when it is answered.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::control::Control;
use super::limits::Limits;
use super::{route, with_causes};

/// The smallest read buffer that holds the largest head and lets bodies flow.
const READ_BUFFER: usize = 400 << 10;

/// Serves a connection to its end: the client closes it, a deadline passes, `stop` lets the
/// request under way finish, or `cut` ends it at once.
pub(super) async fn serve(
    control: Arc<Control>,
    stream: TcpStream,
    stop: CancellationToken,
    cut: CancellationToken,
) {
    let limits = control.limits;
    let phases = Arc::new(Phases::new(&limits));
    let io = TokioIo::new(Watched { stream, phases: Arc::clone(&phases) });
    let service = service_fn(|request| {
        let (control, phases) = (Arc::clone(&control), Arc::clone(&phases));
        async move { Ok::<_, std::convert::Infallible>(route::serve(&control, &phases, request).await) }
    });
    let connection = http1::Builder::new()
        .title_case_headers(true)
        .half_close(true)
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(READ_BUFFER))
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            done = connection.as_mut() => {
                if let Err(error) = done {
                    debug!(error = with_causes(&error), "control connection broke");
                }
                return;
            }
            phase = phases.overdue() => {
                debug!(?phase, "control connection passed its deadline");
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = cut.cancelled() => return,
        }
    }
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The last request is answered, the next has not begun.
    Idle,
    /// A request comes in.
    Reading,
    /// A request is complete and being answered, however long that takes.
    Serving,
}

/// The phase of a connection and when it must end.
#[derive(Debug)]
pub(super) struct Phases {
    now: watch::Sender<(Phase, Option<Instant>)>,
    read: Duration,
    idle: Duration,
}

impl Phases {
    /// A connection just accepted owes its first request.
    fn new(limits: &Limits) -> Self {
        let first = (Phase::Reading, Some(Instant::now() + limits.read_deadline));
        Self {
            now: watch::Sender::new(first),
            read: limits.read_deadline,
            idle: limits.idle_deadline,
        }
    }

    /// Bytes came: if none were due, a request begins.
    fn bytes_came(&self) {
        self.now.send_if_modified(|now| {
            let begins = now.0 == Phase::Idle;
            if begins {
                *now = (Phase::Reading, Some(Instant::now() + self.read));
            }
            begins
        });
    }

    /// The request is complete.
    pub(super) fn serving(&self) {
        self.now.send_replace((Phase::Serving, None));
    }

    /// The answer is ready to be written.
    pub(super) fn answered(&self) {
        self.now.send_replace((Phase::Idle, Some(Instant::now() + self.idle)));
    }

    /// Waits until a phase has lasted too long.
    async fn overdue(&self) -> Phase {
        let mut news = self.now.subscribe();
        loop {
            let (phase, deadline) = *news.borrow_and_update();
            let sleeping = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = news.changed() => changed.expect("self holds the sender"),
                () = sleeping => return phase,
            }
        }
    }
}

/// A stream that tells when bytes come in.
struct Watched {
    stream: TcpStream,
    phases: Arc<Phases>,
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.phases.bytes_came();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_deadline() {
        let limits = Limits::default();
        let phases = Phases::new(&limits);
        let started = Instant::now();
        assert_eq!(phases.overdue().await, Phase::Reading);
        assert_eq!(started.elapsed().as_secs(), 60);

        phases.serving();
        let waited = tokio::time::timeout(Duration::from_hours(1), phases.overdue()).await;
        assert!(waited.is_err(), "serving may take long");

        phases.answered();
        let started = Instant::now();
        assert_eq!(phases.overdue().await, Phase::Idle);
        assert_eq!(started.elapsed().as_secs(), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_begins_late_in_idle_gets_its_whole_time() {
        let phases = Phases::new(&Limits::default());
        phases.answered();
        let started = Instant::now();
        let begin = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            phases.bytes_came();
            tokio::time::sleep(Duration::from_secs(10)).await;
            phases.bytes_came();
        };
        let (phase, ()) = tokio::join!(phases.overdue(), begin);
        assert_eq!(phase, Phase::Reading);
        assert_eq!(started.elapsed().as_secs(), 70);
    }
}
