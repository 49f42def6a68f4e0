//! Frames, and how they are written (SPDY/3.1, 2.2 and 2.6).

use bytes::{BufMut, Bytes, BytesMut};

use super::headers::{HeaderError, Headers, Stored};

/// The version of SPDY in every control frame; 3.1 writes 3 too.
pub(super) const VERSION: u16 = 3;
/// The largest control frame that is taken. Port-forward's are below 200 bytes.
pub const CONTROL_MAX: usize = 64 * 1024;
/// A frame's length has 24 bits.
pub(super) const LENGTH_MAX: usize = 0xff_ffff;
/// The largest piece in which a data frame's bytes are handed on.
pub const PIECE_MAX: usize = 16 * 1024;

pub(super) const SYN_STREAM: u16 = 1;
pub(super) const SYN_REPLY: u16 = 2;
pub(super) const RST_STREAM: u16 = 3;
pub(super) const SETTINGS: u16 = 4;
pub(super) const PING: u16 = 6;
pub(super) const GOAWAY: u16 = 7;
pub(super) const HEADERS: u16 = 8;
pub(super) const WINDOW_UPDATE: u16 = 9;

pub(super) const FIN: u8 = 1;
pub(super) const UNIDIRECTIONAL: u8 = 2;

/// The number of a stream: odd for a client's, never 0.
pub type StreamId = u32;

/// Why a stream was reset: `PROTOCOL_ERROR` (SPDY/3.1, 2.6.3).
pub const PROTOCOL_ERROR: u32 = 1;
/// It was not even looked at.
pub const REFUSED_STREAM: u32 = 3;
/// It is no longer wanted.
pub const CANCEL: u32 = 5;

/// Why a session ends: it need not go on (SPDY/3.1, 2.6.6).
pub const GOAWAY_OK: u32 = 0;
/// The other side broke the protocol.
pub const GOAWAY_PROTOCOL_ERROR: u32 = 1;

/// What the two sides send each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A stream begins.
    SynStream {
        /// Its number.
        id: StreamId,
        /// The stream it belongs to, 0 for none.
        associated: StreamId,
        /// 0 is the most urgent, 7 the least.
        priority: u8,
        /// The sender will send nothing more.
        fin: bool,
        /// The receiver may send nothing.
        unidirectional: bool,
        /// What it is about.
        headers: Headers,
    },
    /// A stream is taken.
    SynReply {
        /// Its number.
        id: StreamId,
        /// The sender will send nothing more.
        fin: bool,
        /// Anything to be said.
        headers: Headers,
    },
    /// A stream ends at once in both directions.
    RstStream {
        /// Its number.
        id: StreamId,
        /// Why; never 0.
        status: u32,
    },
    /// Identifiers (with flags in the upper byte) and values.
    Settings(Vec<(u32, u32)>),
    /// To be sent back, if the other side thought of its number.
    Ping(u32),
    /// No stream above this one is looked at any more.
    GoAway {
        /// The last stream that was.
        last: StreamId,
        /// Why.
        status: u32,
    },
    /// More headers for a stream.
    Headers {
        /// Its number.
        id: StreamId,
        /// The sender will send nothing more.
        fin: bool,
        /// The headers.
        headers: Headers,
    },
    /// So many more bytes may be sent.
    WindowUpdate {
        /// The stream's number, 0 for all.
        id: StreamId,
        /// How many.
        delta: u32,
    },
    /// A stream's bytes; what comes in may be a piece of a frame, with `fin` at its last piece.
    Data {
        /// Its number.
        id: StreamId,
        /// The sender will send nothing more.
        fin: bool,
        /// The bytes.
        bytes: Bytes,
    },
}

/// Why what came in is not SPDY/3.1, or not to be taken. No session survives it: where the next
/// frame begins, or what the next header block means, is not known any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another version than 3.
    #[error("a frame is of SPDY version {0}")]
    Version(u16),
    /// A type that nobody knows.
    #[error("a frame is of unknown type {0}")]
    Type(u16),
    /// See [`CONTROL_MAX`].
    #[error("a control frame has {0} bytes, at most {CONTROL_MAX} are taken")]
    TooLarge(usize),
    /// A frame does not have the length of its type.
    #[error("a frame of type {kind} has {length} bytes")]
    Length {
        /// Its type.
        kind: u16,
        /// Its length.
        length: usize,
    },
    /// A number that must not be 0 is.
    #[error("a frame of type {0} is about stream or number 0")]
    Zero(u16),
    /// Its headers cannot be read.
    #[error(transparent)]
    Headers(#[from] HeaderError),
}

/// Writes one session's frames.
#[derive(Debug, Default)]
pub struct Encoder {
    headers: Stored,
}

impl Encoder {
    /// Appends a frame. Data above what a frame can carry goes into several.
    pub fn encode(&mut self, frame: &Frame, to: &mut BytesMut) {
        match frame {
            Frame::SynStream { id, associated, priority, fin, unidirectional, headers } => {
                let flags = fin_flag(*fin) | if *unidirectional { UNIDIRECTIONAL } else { 0 };
                let mut payload = Vec::new();
                payload.put_u32(*id);
                payload.put_u32(*associated);
                payload.put_u8(priority << 5);
                payload.put_u8(0);
                self.headers.write(&headers.block(), &mut payload);
                control(SYN_STREAM, flags, &payload, to);
            }
            Frame::SynReply { id, fin, headers } => {
                let payload = self.with_headers(*id, headers);
                control(SYN_REPLY, fin_flag(*fin), &payload, to);
            }
            Frame::Headers { id, fin, headers } => {
                let payload = self.with_headers(*id, headers);
                control(HEADERS, fin_flag(*fin), &payload, to);
            }
            Frame::RstStream { id, status } => pair(RST_STREAM, *id, *status, to),
            Frame::GoAway { last, status } => pair(GOAWAY, *last, *status, to),
            Frame::WindowUpdate { id, delta } => pair(WINDOW_UPDATE, *id, *delta, to),
            Frame::Ping(number) => control(PING, 0, &number.to_be_bytes(), to),
            Frame::Settings(settings) => {
                let mut payload = Vec::with_capacity(4 + settings.len() * 8);
                payload.put_u32(u32::try_from(settings.len()).unwrap_or(u32::MAX));
                for (id, value) in settings {
                    payload.put_u32(*id);
                    payload.put_u32(*value);
                }
                control(SETTINGS, 0, &payload, to);
            }
            Frame::Data { id, fin, bytes } => data(*id, *fin, bytes, to),
        }
    }

    fn with_headers(&mut self, id: StreamId, headers: &Headers) -> Vec<u8> {
        let mut payload = id.to_be_bytes().to_vec();
        self.headers.write(&headers.block(), &mut payload);
        payload
    }
}

fn fin_flag(fin: bool) -> u8 {
    if fin { FIN } else { 0 }
}

fn pair(kind: u16, first: u32, second: u32, to: &mut BytesMut) {
    let mut payload = [0; 8];
    payload[..4].copy_from_slice(&first.to_be_bytes());
    payload[4..].copy_from_slice(&second.to_be_bytes());
    control(kind, 0, &payload, to);
}

fn control(kind: u16, flags: u8, payload: &[u8], to: &mut BytesMut) {
    to.reserve(8 + payload.len());
    to.put_u16(0x8000 | VERSION);
    to.put_u16(kind);
    to.put_u32(flags_and_length(flags, payload.len()));
    to.extend_from_slice(payload);
}

fn data(id: StreamId, fin: bool, mut bytes: &[u8], to: &mut BytesMut) {
    loop {
        let (now, later) = bytes.split_at(bytes.len().min(LENGTH_MAX));
        let last = later.is_empty();
        to.reserve(8 + now.len());
        to.put_u32(id);
        to.put_u32(flags_and_length(fin_flag(fin && last), now.len()));
        to.extend_from_slice(now);
        if last {
            return;
        }
        bytes = later;
    }
}

fn flags_and_length(flags: u8, length: usize) -> u32 {
    u32::from(flags) << 24 | u32::try_from(length.min(LENGTH_MAX)).unwrap_or_default()
}
