//! What became of connections, counted by each worker for itself and summed when read.
//!
//! A worker writes its own cache lines only, so counting costs no contention.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares an enum of outcomes that index an array of counters, each with a metric label.
macro_rules! outcomes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// All of them, in the order their counts are kept.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The label of its metric.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

outcomes! {
    /// Why a connection was reset before its handshake.
    Refusal {
        /// Nobody is at the address it went to.
        UnknownAddress => "unknown_address",
        /// The server has as many connections as it may.
        ServerFull => "server_full",
        /// The cluster has as many connections as it may.
        ClusterFull => "cluster_full",
        /// Too many connections wait to be handed to the owning worker.
        HandOverFull => "hand_over_full",
        /// It was gone before it was looked at.
        Gone => "gone",
        /// The server is draining.
        Draining => "draining",
        /// Its cluster has an outage.
        Outage => "outage",
    }
}

outcomes! {
    /// Why a TLS handshake did not end well.
    HandshakeFailure {
        /// It took too long.
        Deadline => "deadline",
        /// The peer broke off.
        Gone => "gone",
        /// The peer does not speak TLS as we do, or does not trust us.
        Protocol => "protocol",
        /// The peer spoke HTTP without TLS, and was told.
        Plaintext => "plaintext",
        /// The tenant could not give a certificate.
        Certificate => "certificate",
        /// The server is draining.
        Draining => "draining",
        /// The cluster has an outage.
        Outage => "outage",
    }
}

outcomes! {
    /// Why we ended a connection that was served, or one of its streams.
    Cut {
        /// It carried no request for too long.
        Idle => "idle",
        /// A request's header took too long.
        Header => "header",
        /// The peer took none of our bytes for too long.
        WriteStall => "write_stall",
        /// The peer took none of one HTTP/2 stream's bytes for too long. Only the stream ended.
        StreamStall => "stream_stall",
        /// Its cluster was taken away and it did not end by itself.
        Removed => "removed",
        /// Its cluster has an outage.
        Outage => "outage",
    }
}

/// The counters of one worker. Aligned so that two workers never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct WorkerStats {
    accepted: AtomicU64,
    accept_failed: AtomicU64,
    handed_over: AtomicU64,
    served: AtomicU64,
    closed: AtomicU64,
    requests: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    handshake_failed: [AtomicU64; HandshakeFailure::ALL.len()],
    cut: [AtomicU64; Cut::ALL.len()],
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl WorkerStats {
    pub(super) fn accepted(&self) {
        one_more(&self.accepted);
    }

    pub(super) fn accept_failed(&self) {
        one_more(&self.accept_failed);
    }

    pub(super) fn handed_over(&self) {
        one_more(&self.handed_over);
    }

    pub(super) fn opened(&self) {
        one_more(&self.served);
    }

    pub(super) fn closed(&self) {
        one_more(&self.closed);
    }

    pub(super) fn request(&self) {
        one_more(&self.requests);
    }

    pub(super) fn refused(&self, why: Refusal) {
        one_more(&self.refused[why as usize]);
    }

    pub(super) fn handshake_failed(&self, why: HandshakeFailure) {
        one_more(&self.handshake_failed[why as usize]);
    }

    pub(super) fn cut(&self, why: Cut) {
        one_more(&self.cut[why as usize]);
    }
}

/// Counts of all workers at one moment; all but [`Stats::open`] only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections taken from the kernel.
    pub accepted: u64,
    /// `accept` calls that failed.
    pub accept_failed: u64,
    /// Connections accepted by another worker than their cluster's.
    pub handed_over: u64,
    /// Connections that were admitted, whatever became of their handshake.
    pub admitted: u64,
    /// Admitted connections whose socket is open now, also those that were upgraded.
    pub open: u64,
    /// Requests begun.
    pub requests: u64,
    refused: [u64; Refusal::ALL.len()],
    handshake_failed: [u64; HandshakeFailure::ALL.len()],
    cut: [u64; Cut::ALL.len()],
}

impl Stats {
    /// Connections reset for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize]
    }

    /// Handshakes that failed for this reason.
    pub fn handshake_failed(&self, why: HandshakeFailure) -> u64 {
        self.handshake_failed[why as usize]
    }

    /// Connections we ended for this reason.
    pub fn cut(&self, why: Cut) -> u64 {
        self.cut[why as usize]
    }

    /// The sum over these workers.
    pub(super) fn sum<'a>(workers: impl Iterator<Item = &'a WorkerStats>) -> Self {
        let mut sum = Self::default();
        for worker in workers {
            sum.add(worker);
        }
        sum
    }

    fn add(&mut self, worker: &WorkerStats) {
        let WorkerStats {
            accepted,
            accept_failed,
            handed_over,
            served,
            closed,
            requests,
            refused,
            handshake_failed,
            cut,
        } = worker;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Read before `served`, so that a connection that comes and goes meanwhile is never
        // counted as closed without having been open.
        let closed = read(closed);
        let served = read(served);
        self.accepted += read(accepted);
        self.accept_failed += read(accept_failed);
        self.handed_over += read(handed_over);
        self.admitted += served;
        self.open += served.saturating_sub(closed);
        self.requests += read(requests);
        add_each(&mut self.refused, refused);
        add_each(&mut self.handshake_failed, handshake_failed);
        add_each(&mut self.cut, cut);
    }
}

fn add_each(sums: &mut [u64], counters: &[AtomicU64]) {
    for (sum, counter) in sums.iter_mut().zip(counters) {
        *sum += counter.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_keeps_its_own_count() {
        let workers = [WorkerStats::default(), WorkerStats::default()];
        for worker in &workers {
            for (i, why) in Refusal::ALL.iter().enumerate() {
                (0..=i).for_each(|_| worker.refused(*why));
            }
            worker.opened();
            worker.cut(Cut::Header);
        }
        workers[0].closed();
        let stats = Stats::sum(workers.iter());
        for (i, why) in Refusal::ALL.iter().enumerate() {
            assert_eq!(stats.refused(*why), 2 * (i as u64 + 1), "{}", why.label());
        }
        assert_eq!((stats.admitted, stats.open), (2, 1));
        assert_eq!((stats.cut(Cut::Header), stats.cut(Cut::Idle)), (2, 0));
    }
}
