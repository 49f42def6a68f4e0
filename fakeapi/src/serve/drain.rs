//! The end: new connections are refused, requests in flight finish, watches are told to end, and
//! what is still there after a bound is cut.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outage::OutageSwitch;

/// How often a drain says what it waits for.
const STILL_WAITING: Duration = Duration::from_secs(5);

/// In the extensions of every request: says when the server drains, the cluster is taken away or
/// an outage cuts its connections, upon which a response that would go on (a watch, a tunnel) is to end in good order.
#[derive(Clone, Debug)]
pub struct Draining {
    pub(super) server: CancellationToken,
    pub(super) tenant: CancellationToken,
    pub(super) outage: Arc<OutageSwitch>,
    /// How often connections had been cut when this one began.
    pub(super) cuts: u32,
}

impl Draining {
    /// Whether the end has begun.
    pub fn has_begun(&self) -> bool {
        self.server.is_cancelled() || self.tenant.is_cancelled() || self.outage.cuts() != self.cuts
    }

    /// Completes when the end begins.
    pub async fn begun(&self) {
        tokio::select! {
            () = self.server.cancelled() => {}
            () = self.tenant.cancelled() => {}
            () = self.outage.cut_since(self.cuts) => {}
        }
    }
}

/// How a drain went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections, and writes whose client is gone, that came to their end by themselves.
    pub finished: usize,
    /// Those that did not within the bound, and were cut.
    pub cut: usize,
}

/// Waits until everything tracked is gone, at most so long. Answers how much is still there.
pub(super) async fn drain(worker: u32, tracker: &TaskTracker, bound: Duration) -> usize {
    tracker.close();
    let began = Instant::now();
    let speak = async {
        loop {
            tokio::time::sleep(STILL_WAITING).await;
            let open = tracker.len();
            tracing::warn!(worker, open, "still waiting for connections to end");
        }
    };
    tokio::select! {
        () = tracker.wait() => {}
        () = tokio::time::sleep(bound) => {}
        () = speak => {}
    }
    let (cut, took) = (tracker.len(), began.elapsed());
    if cut == 0 {
        tracing::debug!(worker, ?took, "drained");
    } else {
        tracing::warn!(worker, cut, ?took, "the drain's bound is reached, cutting the rest");
    }
    cut
}
