//! One stream of a session, as who serves it holds it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::frame::{CANCEL, Frame, StreamId};
use super::headers::Headers;

/// The streams that the other side begins, in their order; none when the session ends.
pub type Arrivals = mpsc::Receiver<Stream>;

/// A stream that the other side began. It is reset when it is dropped unfinished.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    headers: Headers,
    inbox: Inbox,
    outbox: Outbox,
}

/// The direction in which bytes come.
#[derive(Debug)]
pub struct Inbox {
    pieces: mpsc::Receiver<Bytes>,
    ended: CancellationToken,
}

/// The direction in which bytes go.
#[derive(Debug)]
pub struct Outbox {
    id: StreamId,
    frames: mpsc::Sender<Frame>,
    ended: CancellationToken,
    table: Arc<Table>,
    finished: bool,
}

/// A stream takes nothing any more: it was finished or reset, or its session has ended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is closed")]
pub struct StreamClosed;

impl Stream {
    /// Its number.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// What it is about.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Completes when the stream is reset or its session ends.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        self.inbox.ended.clone().cancelled_owned()
    }

    /// Whether it is reset, or its session is over.
    pub fn has_ended(&self) -> bool {
        self.inbox.has_ended()
    }

    /// Frees what its headers take, when they have been read.
    pub fn forget_headers(&mut self) {
        self.headers = Headers::default();
    }

    /// Both directions.
    pub fn halves(&mut self) -> (&mut Inbox, &mut Outbox) {
        (&mut self.inbox, &mut self.outbox)
    }

    /// Tells the other side that the stream is taken.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    pub async fn accept(&mut self) -> Result<(), StreamClosed> {
        let (id, headers) = (self.id, Headers::default());
        self.outbox.frame(Frame::SynReply { id, fin: false, headers }).await
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), StreamClosed> {
        self.outbox.send(bytes).await
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    pub async fn finish(&mut self) -> Result<(), StreamClosed> {
        self.outbox.finish().await
    }

    /// Ends both directions at once, behind what was sent.
    pub async fn reset(mut self) {
        let frame = Frame::RstStream { id: self.id, status: CANCEL };
        // It is closed already otherwise, which is what is wanted.
        self.outbox.finished = self.outbox.frame(frame).await.is_ok();
    }
}

impl Inbox {
    /// The next bytes; none when the other side has finished or the stream is reset.
    pub async fn recv(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => None,
            piece = self.pieces.recv() => piece,
        }
    }

    /// Whether the stream was reset or its session has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }
}

impl Outbox {
    /// Sends bytes, when the connection has room for them.
    ///
    /// # Errors
    /// When the stream is closed in this direction.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), StreamClosed> {
        self.frame(Frame::Data { id: self.id, fin: false, bytes }).await
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// When the stream is closed in this direction.
    pub async fn finish(&mut self) -> Result<(), StreamClosed> {
        self.frame(Frame::Data { id: self.id, fin: true, bytes: Bytes::new() }).await?;
        self.finished = true;
        self.table.finished(self.id);
        Ok(())
    }

    async fn frame(&self, frame: Frame) -> Result<(), StreamClosed> {
        if self.finished {
            return Err(StreamClosed);
        }
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(StreamClosed),
            sent = self.frames.send(frame) => sent.map_err(|_| StreamClosed),
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.table.left(self.id, self.finished);
    }
}

/// A session's streams as its connection sees them.
#[derive(Debug, Default)]
pub(super) struct Table {
    state: Mutex<State>,
    /// Some stream was left unfinished.
    pub(super) abandoned: Notify,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<StreamId, Entry>,
    /// Dropped before they were finished: to be reset.
    abandoned: Vec<StreamId>,
}

#[derive(Debug)]
struct Entry {
    /// None when the other side has finished.
    inbox: Option<mpsc::Sender<Bytes>>,
    ended: CancellationToken,
    /// Our side has finished.
    finished: bool,
}

impl Table {
    /// Takes a stream in, with room for so many pieces, unless there are too many.
    pub(super) fn open(
        self: &Arc<Self>,
        (id, headers, fin): (StreamId, Headers, bool),
        frames: mpsc::Sender<Frame>,
        (streams_max, pieces): (usize, usize),
    ) -> Option<Stream> {
        let mut state = self.state.lock();
        if state.streams.len() >= streams_max {
            return None;
        }
        let (inbox, pieces) = mpsc::channel(pieces);
        let ended = CancellationToken::new();
        let inbox = (!fin).then_some(inbox);
        state.streams.insert(id, Entry { inbox, ended: ended.clone(), finished: false });
        drop(state);
        let inbox = Inbox { pieces, ended: ended.clone() };
        let outbox = Outbox { id, frames, ended, table: Arc::clone(self), finished: false };
        Some(Stream { id, headers, inbox, outbox })
    }

    /// Where a stream's bytes go.
    pub(super) fn inbox(&self, id: StreamId) -> Option<mpsc::Sender<Bytes>> {
        self.state.lock().streams.get(&id)?.inbox.clone()
    }

    /// The other side has finished a stream.
    pub(super) fn peer_finished(&self, id: StreamId) {
        if let Some(entry) = self.state.lock().streams.get_mut(&id) {
            entry.inbox = None;
        }
    }

    /// A stream is reset: nothing of it is wanted any more.
    pub(super) fn reset(&self, id: StreamId) {
        if let Some(entry) = self.state.lock().streams.remove(&id) {
            entry.ended.cancel();
        }
    }

    fn finished(&self, id: StreamId) {
        if let Some(entry) = self.state.lock().streams.get_mut(&id) {
            entry.finished = true;
        }
    }

    fn left(&self, id: StreamId, finished: bool) {
        let mut state = self.state.lock();
        if state.streams.remove(&id).is_some() && !finished {
            state.abandoned.push(id);
            drop(state);
            self.abandoned.notify_one();
        }
    }

    /// The streams that are to be reset.
    pub(super) fn take_abandoned(&self) -> Vec<StreamId> {
        std::mem::take(&mut self.state.lock().abandoned)
    }

    /// Ends all streams. Answers those that the other side is to be told of.
    pub(super) fn end(&self) -> Vec<StreamId> {
        let mut state = self.state.lock();
        let mut open: Vec<StreamId> = state
            .streams
            .drain()
            .inspect(|(_, entry)| entry.ended.cancel())
            .filter_map(|(id, entry)| (!entry.finished).then_some(id))
            .collect();
        open.append(&mut state.abandoned);
        open.sort_unstable();
        open
    }
}
