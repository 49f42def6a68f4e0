//! When the disk has what was appended: one thread that syncs for everybody.
//!
//! Whoever needs a sync says so and waits. The thread takes all that was asked for since its
//! last round and syncs each shard once, so callers that come while a sync runs share the next
//! one. Nothing runs while nothing is written.

use std::io;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Inner;
use super::shard::Shard;

/// When appended records are forced to the disk.
///
/// Whatever the policy, an append that returned survives the death of the process, because the
/// kernel has it. The policy is about the death of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Every append returns when the disk has it. Slow: each write of each client waits.
    Always,
    /// The disk has an append this much later at the latest; [`super::Journal::sync`] is for
    /// what must not wait.
    Interval(Duration),
    /// The kernel decides, and [`super::Journal::sync`] does nothing.
    Never,
}

/// What is asked of a thread, as one bit a shard.
#[derive(Default)]
pub(super) struct Signal {
    wanted: Mutex<Wanted>,
    wake: Condvar,
}

#[derive(Default)]
struct Wanted {
    now: u16,
    later: u16,
    due: Option<Instant>,
    stop: bool,
}

impl Signal {
    /// Asks for a shard now.
    pub(super) fn now(&self, shard: u32) {
        self.wanted.lock().now |= 1 << shard;
        self.wake.notify_one();
    }

    /// Asks for a shard within `delay`.
    pub(super) fn later(&self, shard: u32, delay: Duration) {
        let mut wanted = self.wanted.lock();
        wanted.later |= 1 << shard;
        if wanted.due.is_none() {
            wanted.due = Some(Instant::now() + delay);
            self.wake.notify_one();
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.wanted.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits for something to do; `None` to end.
    pub(super) fn next(&self) -> Option<impl Iterator<Item = u32> + use<>> {
        let mut wanted = self.wanted.lock();
        loop {
            if wanted.stop {
                return None;
            }
            if wanted.due.is_some_and(|due| due <= Instant::now()) {
                wanted.due = None;
                wanted.now |= std::mem::take(&mut wanted.later);
            }
            if wanted.now != 0 {
                let shards = std::mem::take(&mut wanted.now);
                return Some((0..u16::BITS).filter(move |shard| shards & (1 << shard) != 0));
            }
            match wanted.due {
                Some(due) => {
                    self.wake.wait_until(&mut wanted, due);
                }
                None => self.wake.wait(&mut wanted),
            }
        }
    }
}

impl Inner {
    /// The work of the sync thread.
    pub(super) fn run_syncs(&self) {
        while let Some(shards) = self.syncs.next() {
            for shard in shards {
                sync_shard(&self.shards[shard as usize]);
            }
        }
        if self.policy != SyncPolicy::Never {
            self.shards.iter().for_each(sync_shard);
        }
    }

    /// Returns when the disk has all that is appended to a shard now.
    pub(super) async fn sync(&self, shard: u32) -> io::Result<()> {
        if self.policy == SyncPolicy::Never {
            return Ok(());
        }
        let number = shard;
        let shard = &self.shards[number as usize];
        let target = shard.target();
        loop {
            let mut over = std::pin::pin!(shard.notify().notified());
            over.as_mut().enable();
            if shard.is_synced(target)? {
                return Ok(());
            }
            self.syncs.now(number);
            over.await;
        }
    }
}

fn sync_shard(shard: &Shard) {
    if let Some(capture) = shard.capture() {
        let outcome = capture.files.iter().flatten().try_for_each(|file| file.sync());
        shard.synced(capture.target, outcome);
    }
}
