//! The work to be done: each item at most once in the queue and at most once in hand, failed ones
//! again after a while.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How long after its first failure an item is tried again; doubled with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// The longest time between tries.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// The exponent at which the delay is certainly the longest.
const MAX_DOUBLINGS: u32 = 7;

/// A queue of work.
#[derive(Debug)]
pub(super) struct Queue<W> {
    inner: Mutex<Inner<W>>,
    wake: Notify,
}

#[derive(Debug)]
struct Inner<W> {
    ready: VecDeque<W>,
    later: BTreeMap<(Instant, u64), W>,
    items: HashMap<W, Item>,
    sequence: u64,
}

/// What is known of an item that is queued, in hand or failed.
#[derive(Clone, Copy, Debug, Default)]
struct Item {
    queued: bool,
    in_hand: bool,
    /// Wanted again while it was in hand.
    again: bool,
    failures: u32,
    due: Option<(Instant, u64)>,
}

/// How many items are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Depth {
    /// Waiting for a worker.
    pub(super) ready: usize,
    /// Waiting for another try.
    pub(super) later: usize,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        let inner = Inner {
            ready: VecDeque::new(),
            later: BTreeMap::new(),
            items: HashMap::new(),
            sequence: 0,
        };
        Self { inner: Mutex::new(inner), wake: Notify::new() }
    }
}

impl<W: Clone + Eq + Hash> Queue<W> {
    /// Wants an item done. One that is queued already is done once; one in hand is done again.
    pub(super) fn add(&self, work: W) {
        self.inner.lock().add(work);
        self.wake.notify_one();
    }

    /// Wants many items done.
    pub(super) fn add_all(&self, all: impl IntoIterator<Item = W>) {
        let mut inner = self.inner.lock();
        for work in all {
            inner.add(work);
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Takes an item into hand; waits for one. [`Queue::done`] or [`Queue::failed`] must follow.
    pub(super) async fn next(&self) -> W {
        loop {
            let notified = self.wake.notified();
            let (taken, next_due) = self.inner.lock().take(Instant::now());
            if let Some(work) = taken {
                // Whoever waits beside may have been passed over for this one.
                self.wake.notify_one();
                return work;
            }
            match next_due {
                Some(due) => tokio::select! {
                    () = notified => {}
                    () = sleep_until(due) => {}
                },
                None => notified.await,
            }
        }
    }

    /// The item in hand is done.
    pub(super) fn done(&self, work: &W) {
        self.inner.lock().settle(work, None);
        self.wake.notify_one();
    }

    /// The item in hand failed: it comes again, later with each failure.
    pub(super) fn failed(&self, work: &W) {
        self.inner.lock().settle(work, Some(Instant::now()));
        self.wake.notify_one();
    }

    /// How many items are where.
    pub(super) fn depth(&self) -> Depth {
        let inner = self.inner.lock();
        Depth { ready: inner.ready.len(), later: inner.later.len() }
    }
}

impl<W: Clone + Eq + Hash> Inner<W> {
    fn add(&mut self, work: W) {
        let item = self.items.entry(work.clone()).or_default();
        if item.in_hand {
            item.again = true;
            return;
        }
        if let Some(due) = item.due.take() {
            self.later.remove(&due);
        }
        if !item.queued {
            item.queued = true;
            self.ready.push_back(work);
        }
    }

    fn take(&mut self, now: Instant) -> (Option<W>, Option<Instant>) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let work = entry.remove();
            if let Some(item) = self.items.get_mut(&work) {
                item.due = None;
                item.queued = true;
                self.ready.push_back(work);
            }
        }
        let taken = self.ready.pop_front();
        if let Some(item) = taken.as_ref().and_then(|work| self.items.get_mut(work)) {
            item.queued = false;
            item.in_hand = true;
        }
        (taken, self.later.keys().next().map(|(due, _)| *due))
    }

    fn settle(&mut self, work: &W, failed_at: Option<Instant>) {
        let Some(item) = self.items.get_mut(work) else { return };
        item.in_hand = false;
        let again = std::mem::take(&mut item.again);
        let Some(now) = failed_at else {
            item.failures = 0;
            if again {
                self.add(work.clone());
            } else {
                self.items.remove(work);
            }
            return;
        };
        let delay = delay(item.failures);
        item.failures = item.failures.saturating_add(1);
        // What came meanwhile does not wait for less: it may well fail the same way.
        self.sequence += 1;
        let due = (now + delay, self.sequence);
        item.due = Some(due);
        self.later.insert(due, work.clone());
    }
}

fn delay(failures: u32) -> Duration {
    (FIRST_DELAY * 2_u32.pow(failures.min(MAX_DOUBLINGS))).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ready(queue: &Queue<u32>) -> Option<u32> {
        tokio::time::timeout(Duration::from_millis(1), queue.next()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_is_queued_once_and_in_hand_once() {
        let queue = Queue::default();
        queue.add_all([1, 1, 2]);
        assert_eq!(ready(&queue).await, Some(1));
        queue.add(1);
        assert_eq!(ready(&queue).await, Some(2));
        assert_eq!(ready(&queue).await, None, "1 is in hand");
        queue.done(&1);
        assert_eq!(ready(&queue).await, Some(1), "it was wanted again");
        queue.done(&1);
        queue.done(&2);
        assert_eq!(ready(&queue).await, None);
        assert!(queue.inner.lock().items.is_empty(), "nothing is kept of what is done");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time_up_to_a_bound_and_news_end_the_wait() {
        let queue = Queue::default();
        queue.add(1);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let began = Instant::now();
            queue.next().await;
            waits.push(began.elapsed().as_millis());
            queue.failed(&1);
        }
        assert_eq!(waits[..5], [0, 250, 500, 1000, 2000]);
        assert_eq!(waits[8..], [30_000, 30_000]);
        assert_eq!(queue.depth(), Depth { ready: 0, later: 1 });
        queue.add(1);
        assert_eq!(ready(&queue).await, Some(1), "an event does not wait");
        queue.done(&1);
        queue.add(1);
        queue.next().await;
        queue.failed(&1);
        let began = Instant::now();
        queue.next().await;
        assert_eq!(began.elapsed(), FIRST_DELAY, "success forgets failures");
    }

    #[tokio::test(start_paused = true)]
    async fn many_workers_empty_it() {
        let queue = std::sync::Arc::new(Queue::default());
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut count = 0;
                    while let Some(work) = ready(&queue).await {
                        tokio::task::yield_now().await;
                        queue.done(&work);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        queue.add_all(0..1000);
        let mut total = 0;
        for worker in workers {
            total += worker.await.unwrap();
        }
        assert_eq!(total, 1000);
    }
}
