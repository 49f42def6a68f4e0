//! SPDY/3.1 as Kubernetes' streaming clients speak it: one connection, many streams.
//!
//! [`Decoder`] and [`Encoder`] know bytes and frames and nothing of IO; [`Session`] runs them over
//! a connection. The oracle is `github.com/moby/spdystream`: as there, nothing is held against
//! flow-control windows (its clients neither keep nor grant any); a stream whose reader is slow
//! holds the connection up instead, for a bounded time.

mod decode;
mod dictionary;
mod frame;
mod headers;
mod session;
mod stream;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use frame::{
    CANCEL, CONTROL_MAX, Encoder, Frame, FrameError, GOAWAY_OK, GOAWAY_PROTOCOL_ERROR, PIECE_MAX,
    PROTOCOL_ERROR, REFUSED_STREAM, StreamId,
};
pub use headers::{BLOCK_MAX, HeaderError, Headers, Inflate, NAMES_MAX, Stored};
pub use session::{IDLE, STREAM_STALL, STREAMS_MAX, Session, SessionError};
pub use stream::{Arrivals, Inbox, Outbox, Stream, StreamClosed};
#[cfg(test)]
pub(in crate::streams) use tests::Peer;
