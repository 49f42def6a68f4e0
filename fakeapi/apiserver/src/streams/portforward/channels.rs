//! Port-forward by WebSocket channels, `v4.channel.k8s.io` and `v4.base64.channel.k8s.io`
//! (`cri-streaming/pkg/streaming/portforward/websocket.go`): the ports are in the query, and each
//! has two channels, for data and for errors, which begin with its number in two bytes.
//!
//! There is one connection a port, and no end of one direction: when all ports have ended, so
//! does the WebSocket.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::copy::{Destination, Gone, Source, copy};
use super::target::Target;
use crate::streams::spdy::{IDLE, STREAM_STALL};
use crate::streams::websocket;

/// Messages that wait for a pod to take them, a port.
const INBOX: usize = 16;
/// Messages that wait for the connection, of all ports.
const OUTBOX: usize = 32;
/// A channel's number is one byte, and there are two a port.
pub(crate) const PORTS_MAX: usize = 127;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// A byte for the channel, then the bytes; in binary messages.
    Binary,
    /// A digit for the channel, then the bytes in base64; in messages of text.
    Base64,
}

impl Codec {
    fn encode(self, channel: u8, bytes: &[u8]) -> Message {
        match self {
            Self::Binary => Message::binary([&[channel], bytes].concat()),
            Self::Base64 => {
                let digit = char::from(b'0'.wrapping_add(channel));
                Message::text(format!("{digit}{}", STANDARD.encode(bytes)))
            }
        }
    }

    /// A message's channel and bytes; none for what upstream passes over.
    fn decode(self, message: &[u8]) -> Option<(u8, Bytes)> {
        let (channel, bytes) = message.split_first()?;
        match self {
            Self::Binary => Some((*channel, Bytes::copy_from_slice(bytes))),
            Self::Base64 => Some((channel.wrapping_sub(b'0'), STANDARD.decode(bytes).ok()?.into())),
        }
    }
}

/// Forwards ports over a WebSocket until all of them have ended, the client leaves, or `closing`
/// completes.
pub(crate) async fn serve_channels<IO>(
    io: IO,
    (codec, ports): (Codec, Vec<u16>),
    target: Target,
    closing: impl Future<Output = ()> + Send,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (mut sink, mut messages) = websocket::open(io).await.split();
    let (outbox, mut queue) = mpsc::channel::<Message>(OUTBOX);
    let mut inboxes = Vec::new();
    let mut forwards = FuturesUnordered::new();
    for (index, port) in (0_u8..).zip(ports.into_iter().take(PORTS_MAX)) {
        let (inbox, pieces) = mpsc::channel(INBOX);
        inboxes.push(Some(inbox));
        let channel = Channel { number: index * 2, codec, outbox: outbox.clone() };
        forwards.push(forward(port, pieces, channel, &target));
    }
    drop(outbox);
    let reading = async {
        while let Ok(Some(message)) = timeout(IDLE, messages.next()).await {
            if hand_on(codec, message?, &mut inboxes).await.is_none() {
                break;
            }
        }
        Ok::<(), Error>(())
    };
    let writing = async {
        while let Some(message) = queue.recv().await {
            sink.send(message).await?;
        }
        Ok::<(), Error>(())
    };
    // Each forward drops its sender at its end: the last one ends the writing.
    let forwarding = async {
        while forwards.next().await.is_some() {}
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
        () = forwarding => Ok(()),
        () = closing => Ok(()),
    };
    match ended {
        Err(error) if !websocket::is_end(&error) => {
            tracing::debug!(%error, "a port-forward by channels was cut");
        }
        // A client that has left needs no farewell.
        _ => drop(timeout(STREAM_STALL, sink.close()).await),
    }
}

/// Passes a message to its port. None when the client leaves.
async fn hand_on(
    codec: Codec,
    message: Message,
    inboxes: &mut [Option<mpsc::Sender<Bytes>>],
) -> Option<()> {
    let message = match message {
        Message::Binary(bytes) => bytes,
        Message::Text(text) => Bytes::from(text),
        Message::Close(_) => return None,
        _ => return Some(()),
    };
    let Some((channel, bytes)) = codec.decode(&message) else {
        return Some(());
    };
    // The odd channels carry errors to the client only.
    if channel % 2 == 1 || bytes.is_empty() {
        return Some(());
    }
    if let Some(slot) = inboxes.get_mut(usize::from(channel / 2))
        && let Some(inbox) = slot
        && !matches!(timeout(STREAM_STALL, inbox.send(bytes)).await, Ok(Ok(())))
    {
        // The pod has hung up, or takes nothing for too long.
        *slot = None;
    }
    Some(())
}

/// One port's data channel; its error channel is the next.
#[derive(Clone)]
struct Channel {
    number: u8,
    codec: Codec,
    outbox: mpsc::Sender<Message>,
}

impl Channel {
    async fn write(&self, number: u8, bytes: &[u8]) -> Result<(), Gone> {
        self.outbox.send(self.codec.encode(number, bytes)).await.map_err(|_| Gone)
    }
}

async fn forward(port: u16, pieces: mpsc::Receiver<Bytes>, channel: Channel, target: &Target) {
    let number = channel.number;
    for number in [number, number + 1] {
        if channel.write(number, &port.to_le_bytes()).await.is_err() {
            return;
        }
    }
    let done = match target.connect(port) {
        Ok(pod) => copy(pod, pieces, channel.clone(), std::future::pending())
            .await
            .map_err(|error| target.broke(port, &error)),
        Err(refused) => Err(target.refused(port, refused)),
    };
    if let Err(why) = done {
        tracing::debug!(why, "a port was not forwarded");
        // A client that has left needs no reason.
        drop(channel.write(number + 1, why.as_bytes()).await);
    }
}

impl Source for mpsc::Receiver<Bytes> {
    async fn next(&mut self) -> Option<Bytes> {
        self.recv().await
    }
}

impl Destination for Channel {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.write(self.number, &bytes).await
    }

    async fn finish(&mut self) -> Result<(), Gone> {
        Ok(())
    }
}
