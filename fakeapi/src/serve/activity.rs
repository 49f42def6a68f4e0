//! What a connection is doing, so that its deadlines need no timer of their own.
//!
//! Every change is one store; the connection's single timer looks at the phase when it fires and
//! sleeps on when there is no reason to act. A busy connection therefore arms no timer per
//! request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Reading a header since then.
    Header(Instant),
    /// Serving so many requests.
    Serving(usize),
    /// Neither, since then.
    Idle(Instant),
}

/// The phase of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    phase: Mutex<Phase>,
    /// Whether bytes between requests are a header begun. On HTTP/2 they are as likely a ping or
    /// a window update, so there a header has the time of idleness, as in Go's server.
    bytes_begin_header: AtomicBool,
}

/// What the deadlines say of a connection now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing; ask again then.
    No(Instant),
    /// It has been idle for too long.
    Idle,
    /// A header is taking too long.
    Header,
}

impl Activity {
    /// A new connection owes its first header at once.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: Mutex::new(Phase::Header(Instant::now())),
            bytes_begin_header: AtomicBool::new(true),
        })
    }

    /// The TLS handshake is done: its time does not count against what follows.
    pub(super) fn handshake_done(&self, h2: bool) {
        let now = Instant::now();
        *self.phase.lock() = if h2 { Phase::Idle(now) } else { Phase::Header(now) };
        self.bytes_begin_header.store(!h2, Ordering::Relaxed);
    }

    /// Bytes came from the peer. After idleness they begin a header.
    pub(super) fn received(&self) {
        if !self.bytes_begin_header.load(Ordering::Relaxed) {
            return;
        }
        let mut phase = self.phase.lock();
        if let Phase::Idle(_) = *phase {
            *phase = Phase::Header(Instant::now());
        }
    }

    /// A request's header is complete; it is in flight until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut phase = self.phase.lock();
        *phase = match *phase {
            Phase::Serving(requests) => Phase::Serving(requests + 1),
            Phase::Header(_) | Phase::Idle(_) => Phase::Serving(1),
        };
        InFlight(Arc::clone(self))
    }

    fn end(&self) {
        let mut phase = self.phase.lock();
        *phase = match *phase {
            Phase::Serving(requests) if requests > 1 => Phase::Serving(requests - 1),
            Phase::Serving(_) | Phase::Header(_) | Phase::Idle(_) => Phase::Idle(Instant::now()),
        };
    }

    /// Whether no request has been in flight for this long.
    pub(super) fn quiet_for(&self, long: Duration) -> bool {
        match *self.phase.lock() {
            Phase::Serving(_) => false,
            Phase::Header(since) | Phase::Idle(since) => since.elapsed() >= long,
        }
    }

    /// Holds the phase against the deadlines.
    pub(super) fn overdue(&self, header: Duration, idle: Duration) -> Overdue {
        let now = Instant::now();
        let soonest = now + header.min(idle);
        match *self.phase.lock() {
            Phase::Serving(_) => Overdue::No(soonest),
            Phase::Header(since) if now >= since + header => Overdue::Header,
            // The request may be over in the next moment: be back in time for its idleness.
            Phase::Header(since) => Overdue::No((since + header).min(now + idle)),
            Phase::Idle(since) if now >= since + idle => Overdue::Idle,
            // A header may begin in the next moment: be back in time for its deadline.
            Phase::Idle(since) => Overdue::No(soonest.min(since + idle)),
        }
    }
}

/// One request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const HEADER: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(3 * 30);

    #[tokio::test(start_paused = true)]
    async fn a_connection_owes_its_first_header() {
        let activity = Activity::new();
        advance(Duration::from_secs(9)).await;
        activity.handshake_done(false);
        advance(Duration::from_secs(29)).await;
        let due = Instant::now() + Duration::from_secs(1);
        assert_eq!(activity.overdue(HEADER, IDLE), Overdue::No(due));
        advance(Duration::from_secs(1)).await;
        assert_eq!(activity.overdue(HEADER, IDLE), Overdue::Header);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_after_idleness_begin_a_header() {
        let activity = Activity::new();
        drop(activity.begin());
        advance(Duration::from_secs(80)).await;
        activity.received();
        advance(Duration::from_secs(20)).await;
        activity.received();
        let due = Instant::now() + Duration::from_secs(10);
        assert_eq!(activity.overdue(HEADER, IDLE), Overdue::No(due));
        advance(Duration::from_secs(10)).await;
        assert_eq!(activity.overdue(HEADER, IDLE), Overdue::Header);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_between_http2_requests_are_no_header() {
        let activity = Activity::new();
        activity.handshake_done(true);
        drop(activity.begin());
        advance(HEADER * 2).await;
        activity.received();
        let due = Instant::now() + HEADER;
        assert_eq!(activity.overdue(HEADER, IDLE), Overdue::No(due));
        advance(HEADER).await;
        assert_eq!(activity.overdue(HEADER, IDLE), Overdue::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_end_of_the_last_request_begins_idleness() {
        let activity = Activity::new();
        let (first, second) = (activity.begin(), activity.begin());
        drop(first);
        assert!(!activity.quiet_for(Duration::ZERO));
        advance(IDLE * 2).await;
        assert!(matches!(activity.overdue(HEADER, IDLE), Overdue::No(_)));
        drop(second);
        assert!(activity.quiet_for(Duration::ZERO));
        assert!(!activity.quiet_for(Duration::from_secs(1)));
        advance(Duration::from_secs(89)).await;
        let due = Instant::now() + Duration::from_secs(1);
        assert_eq!(activity.overdue(HEADER, IDLE), Overdue::No(due));
        advance(Duration::from_secs(1)).await;
        assert_eq!(activity.overdue(HEADER, IDLE), Overdue::Idle);
    }
}
