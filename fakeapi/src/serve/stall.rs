//! HTTP/2 streams whose client takes nothing.
//!
//! The socket's own deadline does not see them: the client reads, answers pings, but grants this
//! one stream no window, and hyper waits for it without end. Each stream's task is therefore
//! wrapped: when its body has handed out a part and is not asked for the next one for
//! [`super::limits::WRITE_STALL`], the stream is reset, and what feeds it is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use super::stats::{Cut, WorkerStats};

/// How far a stream's body is: the number of parts handed out, and 0 while it waits for its
/// tenant rather than for its client.
#[derive(Debug, Default)]
pub(super) struct Progress {
    unclaimed: AtomicU64,
    handed: AtomicU64,
}

impl Progress {
    /// The body was asked for its next part and had one.
    pub(super) fn handed_out(&self) {
        let part = self.handed.fetch_add(1, Ordering::Relaxed) + 1;
        self.unclaimed.store(part, Ordering::Relaxed);
    }

    /// The body was asked for its next part and has none yet, or none any more.
    pub(super) fn waits(&self) {
        self.unclaimed.store(0, Ordering::Relaxed);
    }
}

/// Where the service leaves a new stream's progress for the executor, which hyper calls next.
#[derive(Clone, Debug, Default)]
pub(super) struct NewStream(Arc<Mutex<Option<Arc<Progress>>>>);

impl NewStream {
    /// Says that a stream begins.
    pub(super) fn begins(&self) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        *self.0.lock() = Some(Arc::clone(&progress));
        progress
    }
}

/// Runs a connection's streams as tasks of their own, each with its deadline.
#[derive(Clone, Debug)]
pub(super) struct StreamExecutor {
    pub(super) new_stream: NewStream,
    pub(super) stall_after: Duration,
    pub(super) stats: Arc<WorkerStats>,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let Some(progress) = self.new_stream.0.lock().take() else {
            tokio::spawn(stream);
            return;
        };
        tokio::spawn(Watched {
            stream: Box::pin(stream),
            progress,
            stall_after: self.stall_after,
            waiting: None,
            stats: Arc::clone(&self.stats),
        });
    }
}

struct Watched<F> {
    stream: Pin<Box<F>>,
    progress: Arc<Progress>,
    stall_after: Duration,
    /// The part that the client was first seen not to take, and until when it may not.
    waiting: Option<(u64, Pin<Box<Sleep>>)>,
    stats: Arc<WorkerStats>,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let part = this.progress.unclaimed.load(Ordering::Relaxed);
        if part == 0 {
            this.waiting = None;
            return Poll::Pending;
        }
        let deadline = Instant::now() + this.stall_after;
        let (seen, timer) =
            this.waiting.get_or_insert_with(|| (part, Box::pin(sleep_until(deadline))));
        if *seen != part {
            *seen = part;
            timer.as_mut().reset(deadline);
        }
        // Dropping the stream's future is what resets the stream.
        timer.as_mut().poll(cx).map(|()| this.stats.cut(Cut::StreamStall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use tokio::time::{advance, sleep};

    const STALL: Duration = Duration::from_mins(1);

    fn executor() -> StreamExecutor {
        StreamExecutor {
            new_stream: NewStream::default(),
            stall_after: STALL,
            stats: Arc::new(WorkerStats::default()),
        }
    }

    /// Dropped with the stream's future.
    async fn run_holding(sign: Arc<()>, stream: impl Future<Output = ()>) {
        stream.await;
        drop(sign);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_not_taken_ends_the_stream() {
        let executor = executor();
        let progress = executor.new_stream.begins();
        let sign = Arc::new(());
        progress.handed_out();
        executor.execute(run_holding(Arc::clone(&sign), pending()));
        sleep(Duration::from_secs(59)).await;
        assert_eq!(Arc::strong_count(&sign), 2);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(Arc::strong_count(&sign), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn each_part_has_the_whole_time_and_waiting_for_the_tenant_has_no_end() {
        let executor = executor();
        let progress = executor.new_stream.begins();
        let sign = Arc::new(());
        let stream = {
            let progress = Arc::clone(&progress);
            async move {
                for _ in 0..5 {
                    progress.handed_out();
                    sleep(Duration::from_secs(50)).await;
                }
                progress.waits();
                poll_fn::<(), _>(|_| Poll::Pending).await;
            }
        };
        executor.execute(run_holding(Arc::clone(&sign), stream));
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(Arc::strong_count(&sign), 2);
    }
}
