//! Every bound a connection meets, in one place and each with a name.
//!
//! A limit that is reached refuses at once and is counted: a client that is told no can try
//! another time, one that is left waiting cannot tell us from a dead server.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};

use super::Tenant;

/// Connections of all clusters together when the descriptor limit is not asked.
pub const CONNECTIONS: usize = 65_536;
/// Never more connections than this, however high the descriptor limit is.
pub const CONNECTIONS_MAX: usize = 4_000_000;
/// Descriptors kept for everything that is not a client's connection: listeners, eBPF maps,
/// netlink, the journal, connections to the management cluster.
pub const DESCRIPTOR_HEADROOM: usize = 1_024;
/// Connections to one cluster. The controllers of a management cluster hold a handful each.
pub const CONNECTIONS_PER_CLUSTER: usize = 1_000;
/// From accept to the end of the TLS handshake; what Go's `net/http` gives.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// From a request's first byte to the end of its header. kube-apiserver gives 32 s.
pub const HEADER: Duration = Duration::from_secs(30);
/// Size of a request's header. kube-apiserver takes 1 MiB; with as many connections as this
/// program holds that would let strangers, who send a header before they are authenticated, ask
/// for memory by the terabyte. The largest real headers are tokens and impersonated groups, a few
/// KiB.
pub const HEADER_BYTES: usize = 64 * 1024;
/// The bound from the end of a request's header to the end of its body; kube-apiserver's
/// `--request-timeout`.
pub const BODY: Duration = Duration::from_mins(1);
/// How long a connection may carry no request; kube-apiserver's value for both protocols.
pub const IDLE: Duration = Duration::from_secs(90);
/// How long the peer may refuse every byte of a socket, or one part of an HTTP/2 stream's
/// response, while we have some to send.
pub const WRITE_STALL: Duration = Duration::from_mins(1);
/// Requests at once on one HTTP/2 connection. kube-apiserver says 100, but Go clients hold one
/// connection to a server per process and wait when it is full: a controller manager with more
/// than 100 watches would stand still. 250 is the least its watches and workers need.
pub const H2_STREAMS: u32 = 250;
/// HTTP/2 flow-control window of a stream's request body; kube-apiserver's value.
pub const H2_STREAM_WINDOW: u32 = 256 * 1024;
/// HTTP/2 window of all streams of a connection; kube-apiserver's 100 full streams.
pub const H2_CONNECTION_WINDOW: u32 = 100 * H2_STREAM_WINDOW;
/// Largest HTTP/2 frame taken; kube-apiserver's value.
pub const H2_FRAME: u32 = 256 * 1024;
/// Response bytes held for one HTTP/2 stream whose client does not take them.
pub const H2_SEND_BUFFER: usize = 256 * 1024;
/// Silence after which an HTTP/2 peer is asked whether it is there.
pub const H2_PING: Duration = Duration::from_mins(1);
/// How long its answer may take.
pub const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long requests in flight may go on after shutdown began.
pub const DRAIN: Duration = Duration::from_secs(30);
/// How long the connections of a cluster that was taken away may still go on.
pub const REMOVAL: Duration = Duration::from_secs(5);
/// TLS configurations held by all workers together; one is about 1.3 KB and its certificate.
pub const TLS_CONFIGS: NonZeroUsize = NonZeroUsize::new(16_384).expect("it is not zero");
/// Connections on their way from the worker that accepted them to the one that owns them.
pub const HAND_OVER_QUEUE: usize = 1_024;

/// The bounds of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`CONNECTIONS`].
    pub connections: usize,
    /// See [`CONNECTIONS_PER_CLUSTER`].
    pub connections_per_cluster: usize,
    /// See [`HANDSHAKE`].
    pub handshake: Duration,
    /// See [`HEADER`].
    pub header: Duration,
    /// See [`HEADER_BYTES`]; at least 8 KiB on HTTP/1.1.
    pub header_bytes: usize,
    /// See [`BODY`].
    pub body: Duration,
    /// See [`IDLE`].
    pub idle: Duration,
    /// See [`WRITE_STALL`].
    pub write_stall: Duration,
    /// See [`H2_STREAMS`].
    pub h2_streams: u32,
    /// See [`H2_PING`].
    pub h2_ping: Duration,
    /// See [`H2_PING_TIMEOUT`].
    pub h2_ping_timeout: Duration,
    /// See [`DRAIN`].
    pub drain: Duration,
    /// See [`REMOVAL`].
    pub removal: Duration,
    /// See [`TLS_CONFIGS`].
    pub tls_configs: NonZeroUsize,
    /// See [`HAND_OVER_QUEUE`].
    pub hand_over_queue: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            connections_per_cluster: CONNECTIONS_PER_CLUSTER,
            handshake: HANDSHAKE,
            header: HEADER,
            header_bytes: HEADER_BYTES,
            body: BODY,
            idle: IDLE,
            write_stall: WRITE_STALL,
            h2_streams: H2_STREAMS,
            h2_ping: H2_PING,
            h2_ping_timeout: H2_PING_TIMEOUT,
            drain: DRAIN,
            removal: REMOVAL,
            tls_configs: TLS_CONFIGS,
            hand_over_queue: NonZeroUsize::new(HAND_OVER_QUEUE).expect("it is not zero"),
        }
    }
}

impl Limits {
    /// The defaults, with as many connections as this process may hold descriptors
    /// (`RLIMIT_NOFILE`, the soft limit) less [`DESCRIPTOR_HEADROOM`].
    pub fn of_this_process() -> io::Result<Self> {
        let (soft, _hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { connections: connections_within(soft), ..Self::default() })
    }
}

/// How many connections fit into so many descriptors. With few of them half is kept free.
fn connections_within(descriptors: u64) -> usize {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let kept = DESCRIPTOR_HEADROOM.min(descriptors / 2);
    (descriptors - kept).clamp(1, CONNECTIONS_MAX)
}

/// How many connections a tenant has open now.
#[derive(Debug, Default)]
pub struct ConnectionCount(AtomicUsize);

impl ConnectionCount {
    /// The number.
    pub fn open(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self, limit: usize) -> bool {
        let entered = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < limit).then_some(open + 1)
        });
        entered.is_ok()
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection's place among those of its tenant; given back when dropped.
pub(super) struct Place<T: Tenant>(Arc<T>);

impl<T: Tenant> Place<T> {
    /// Takes a place, or answers none when `limit` connections have one.
    pub(super) fn take(tenant: &Arc<T>, limit: usize) -> Option<Self> {
        tenant.connections().enter(limit).then(|| Self(Arc::clone(tenant)))
    }
}

impl<T: Tenant> Drop for Place<T> {
    fn drop(&mut self) {
        self.0.connections().leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_headroom_for_other_descriptors() {
        let cases = [
            (0, 1),
            (1, 1),
            (256, 128),
            (1_024, 512),
            (2_048, 1_024),
            (65_536, 64_512),
            (u64::MAX, CONNECTIONS_MAX),
        ];
        for (descriptors, connections) in cases {
            assert_eq!(connections_within(descriptors), connections, "{descriptors}");
        }
    }

    #[test]
    fn this_process_gets_a_limit_below_its_descriptors() {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let limits = Limits::of_this_process().unwrap();
        assert!(limits.connections as u64 <= soft);
        assert_eq!(limits.handshake, HANDSHAKE);
    }

    #[test]
    fn a_count_stops_at_its_limit_and_takes_back() {
        let count = ConnectionCount::default();
        assert!(count.enter(2));
        assert!(count.enter(2));
        assert!(!count.enter(2));
        assert_eq!(count.open(), 2);
        count.leave();
        assert!(count.enter(2));
    }
}
