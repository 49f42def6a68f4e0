//! A session over a connection: one reader, one writer, and bounds for both.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::decode::Decoder;
use super::frame::{
    Encoder, Frame, FrameError, GOAWAY_OK, GOAWAY_PROTOCOL_ERROR, PIECE_MAX, PROTOCOL_ERROR,
    REFUSED_STREAM, StreamId,
};
use super::headers::Headers;
use super::stream::{Arrivals, Stream, Table};

/// Streams of one session at a time: 512 forwarded connections. Upstream has no bound.
pub const STREAMS_MAX: usize = 1_024;
/// How long no frame may go either way; containerd's `stream_idle_timeout`.
pub const IDLE: Duration = Duration::from_hours(4);
/// How long a stream's full inbox may hold up its session, before that stream is reset.
pub const STREAM_STALL: Duration = Duration::from_mins(1);
/// Pieces (of [`PIECE_MAX`]) that wait for a stream's reader: 256 KiB.
const INBOX: usize = 16;
/// Frames (of at most [`PIECE_MAX`]) that wait for the connection, of all streams: 512 KiB.
const OUTBOX: usize = 32;
/// Streams that wait to be looked at.
const ARRIVALS: usize = 16;
/// Frames are put together up to this size before they are written.
const WRITE_BATCH: usize = 32 * 1024;
/// How long the last frames of a session may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);
/// The stream's reader took nothing for too long: `FLOW_CONTROL_ERROR` (SPDY/3.1, 2.6.3).
const FLOW_CONTROL_ERROR: u32 = 7;

/// Why a session ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The other side broke the protocol or a bound.
    #[error("what came in is not acceptable")]
    Frame(#[from] FrameError),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// See [`IDLE`].
    #[error("no frame went either way for {IDLE:?}")]
    Idle,
}

/// One SPDY session, on the side that did not ask for it.
#[derive(Debug)]
pub struct Session<IO> {
    io: IO,
    arrivals: mpsc::Sender<Stream>,
}

impl<IO: AsyncRead + AsyncWrite + Send> Session<IO> {
    /// A session over a connection, and the streams that come on it.
    pub fn new(io: IO) -> (Self, Arrivals) {
        let (arrivals, receiver) = mpsc::channel(ARRIVALS);
        (Self { io, arrivals }, receiver)
    }

    /// Runs the session until the other side leaves, breaks a rule, or `closing` completes. Its
    /// streams are reset then.
    ///
    /// # Errors
    /// When it was not the other side's wish or `closing` that ended it.
    pub async fn run(self, closing: impl Future<Output = ()> + Send) -> Result<(), SessionError> {
        let (reader, writer) = tokio::io::split(self.io);
        let (frames, queue) = mpsc::channel(OUTBOX);
        let common = Arc::new(Common::default());
        let leaving = CancellationToken::new();
        let mut incoming = Incoming {
            reader,
            frames,
            arrivals: self.arrivals,
            common: Arc::clone(&common),
            last: 0,
        };
        let outgoing = Outgoing { writer, queue, common: Arc::clone(&common) };
        let _end = EndStreams(&common.table);
        let mut writing = pin!(outgoing.run(&leaving));
        let ended = tokio::select! {
            read = incoming.run() => read,
            written = writing.as_mut() => return Ok(written?),
            () = common.idle() => Err(SessionError::Idle),
            () = closing => Ok(()),
        };
        let status = match &ended {
            Err(SessionError::Frame(_)) => GOAWAY_PROTOCOL_ERROR,
            Ok(()) | Err(_) => GOAWAY_OK,
        };
        *common.farewell.lock() = (incoming.last, status);
        leaving.cancel();
        // The session is over: a peer that cannot be told finds out by its closed connection.
        drop(timeout(FAREWELL, writing).await);
        ended
    }
}

/// However a session ends, its streams end with it.
struct EndStreams<'a>(&'a Table);

impl Drop for EndStreams<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What both directions know.
#[derive(Debug)]
struct Common {
    table: Arc<Table>,
    /// When the last frame went either way.
    active: Mutex<Instant>,
    /// What the last GOAWAY says.
    farewell: Mutex<(StreamId, u32)>,
}

impl Default for Common {
    fn default() -> Self {
        let (active, farewell) = (Mutex::new(Instant::now()), Mutex::new((0, GOAWAY_OK)));
        Self { table: Arc::default(), active, farewell }
    }
}

impl Common {
    fn is_active(&self) {
        *self.active.lock() = Instant::now();
    }

    /// Completes when nothing has happened for [`IDLE`].
    async fn idle(&self) {
        loop {
            let end = *self.active.lock() + IDLE;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

struct Incoming<IO> {
    reader: ReadHalf<IO>,
    frames: mpsc::Sender<Frame>,
    arrivals: mpsc::Sender<Stream>,
    common: Arc<Common>,
    /// The last stream that was taken.
    last: StreamId,
}

impl<IO: AsyncRead> Incoming<IO> {
    /// Reads until the other side leaves.
    async fn run(&mut self) -> Result<(), SessionError> {
        let mut decoder = Decoder::default();
        loop {
            while let Some(frame) = decoder.next()? {
                self.common.is_active();
                if let Frame::GoAway { .. } = frame {
                    return Ok(());
                }
                self.take(frame).await;
            }
            let buffer = decoder.buffer();
            buffer.reserve(PIECE_MAX);
            if self.reader.read_buf(buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn take(&mut self, frame: Frame) {
        match frame {
            Frame::SynStream { id, fin, headers, .. } => self.open(id, headers, fin).await,
            Frame::Data { id, fin, bytes } => {
                if !bytes.is_empty() {
                    self.hand_on(id, bytes).await;
                }
                self.finish(id, fin);
            }
            Frame::Headers { id, fin, .. } => self.finish(id, fin),
            Frame::RstStream { id, .. } => self.common.table.reset(id),
            // Those with even numbers would be the answers to our own.
            Frame::Ping(number) if number % 2 == 1 => self.answer(Frame::Ping(number)).await,
            Frame::Ping(_)
            | Frame::SynReply { .. }
            | Frame::Settings(_)
            | Frame::GoAway { .. }
            | Frame::WindowUpdate { .. } => {}
        }
    }

    async fn open(&mut self, id: StreamId, headers: Headers, fin: bool) {
        if id <= self.last || id.is_multiple_of(2) {
            return self.answer(Frame::RstStream { id, status: PROTOCOL_ERROR }).await;
        }
        self.last = id;
        let bounds = (STREAMS_MAX, INBOX);
        let stream = self.common.table.open((id, headers, fin), self.frames.clone(), bounds);
        match stream {
            // Nobody looks at streams any more only when the session ends.
            Some(stream) => drop(self.arrivals.send(stream).await),
            None => self.answer(Frame::RstStream { id, status: REFUSED_STREAM }).await,
        }
    }

    /// Gives a stream its bytes. Those of a stream that is no longer there are of no use.
    async fn hand_on(&mut self, id: StreamId, bytes: bytes::Bytes) {
        let Some(inbox) = self.common.table.inbox(id) else {
            return;
        };
        if timeout(STREAM_STALL, inbox.send(bytes)).await.is_err() {
            tracing::debug!(id, "a stream's reader took nothing for too long");
            self.common.table.reset(id);
            self.answer(Frame::RstStream { id, status: FLOW_CONTROL_ERROR }).await;
        }
    }

    fn finish(&self, id: StreamId, fin: bool) {
        if fin {
            self.common.table.peer_finished(id);
        }
    }

    async fn answer(&mut self, frame: Frame) {
        // The writer is gone only when the session ends.
        drop(self.frames.send(frame).await);
    }
}

struct Outgoing<IO> {
    writer: WriteHalf<IO>,
    queue: mpsc::Receiver<Frame>,
    common: Arc<Common>,
}

impl<IO: AsyncWrite> Outgoing<IO> {
    /// Writes frames until the session leaves, then says so.
    async fn run(mut self, leaving: &CancellationToken) -> io::Result<()> {
        let (mut encoder, mut bytes) = (Encoder::default(), BytesMut::new());
        loop {
            tokio::select! {
                biased;
                () = leaving.cancelled() => return self.leave(encoder).await,
                Some(frame) = self.queue.recv() => encoder.encode(&frame, &mut bytes),
                () = self.common.table.abandoned.notified() => {}
            }
            for id in self.common.table.take_abandoned() {
                encoder.encode(&Frame::RstStream { id, status: super::CANCEL }, &mut bytes);
            }
            while bytes.len() < WRITE_BATCH
                && let Ok(frame) = self.queue.try_recv()
            {
                encoder.encode(&frame, &mut bytes);
            }
            self.common.is_active();
            self.writer.write_all_buf(&mut bytes).await?;
            self.writer.flush().await?;
        }
    }

    /// Resets what is open, as upstream's servers do, and ends the connection.
    async fn leave(mut self, mut encoder: Encoder) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        while let Ok(frame) = self.queue.try_recv() {
            encoder.encode(&frame, &mut bytes);
        }
        for id in self.common.table.end() {
            encoder.encode(&Frame::RstStream { id, status: super::CANCEL }, &mut bytes);
        }
        let (last, status) = *self.common.farewell.lock();
        encoder.encode(&Frame::GoAway { last, status }, &mut bytes);
        self.writer.write_all_buf(&mut bytes).await?;
        self.writer.shutdown().await
    }
}
