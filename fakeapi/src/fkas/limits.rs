//! The bounds of the control port. FKAS has only deadlines; what it leaves unbounded has a bound
//! here, far above what its callers send.

use std::time::Duration;

/// The largest request body: 1 MiB, about 20,000 plain registrations in one array.
pub(super) const BODY_BYTES: usize = 1 << 20;

/// The largest request line and headers together. The oldest form carries four PEM texts in its
/// query, some 7 kB; hyper itself refuses a request target over 64 KiB.
pub(super) const HEADER_BYTES: usize = 128 << 10;

/// From the first byte of a request (or from accepting) to the last.
pub(super) const READ_DEADLINE: Duration = Duration::from_mins(1);

/// From the last answer, until the next request begins.
pub(super) const IDLE_DEADLINE: Duration = Duration::from_mins(2);

/// Connections at once; further ones wait in the kernel's accept queue.
pub(super) const CONNECTIONS: usize = 4096;

/// Requests that change something at once, counting those whose client is gone.
pub(super) const WRITES: usize = 1024;

/// Items of one array request under way at once.
pub(super) const BULK_IN_FLIGHT: usize = 256;

/// Clusters in one page of a list when the request names no `limit`.
pub(super) const PAGE_DEFAULT: usize = 500;

/// Clusters in one page of a list whatever the request names.
pub(super) const PAGE_MAX: usize = 10_000;

/// The bounds a [`ControlServer`](super::ControlServer) keeps; the default is the constants here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body.
    pub body_bytes: usize,
    /// Bytes of the request line and the headers; at least 8192.
    pub header_bytes: usize,
    /// For a whole request to come in.
    pub read_deadline: Duration,
    /// Between an answer and the next request.
    pub idle_deadline: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Changing requests at once.
    pub writes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: BODY_BYTES,
            header_bytes: HEADER_BYTES,
            read_deadline: READ_DEADLINE,
            idle_deadline: IDLE_DEADLINE,
            connections: CONNECTIONS,
            writes: WRITES,
        }
    }
}
