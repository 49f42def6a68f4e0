//! Bytes between a client's stream and a pod's connection.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use crate::kubelet::PodConnection;
use crate::streams::spdy::PIECE_MAX;

/// How long a connection that has ended in one direction may stay without a byte in the other.
/// containerd gives it a second altogether, which cuts every answer to `nc -N` that takes longer.
pub(crate) const HALF_CLOSED: Duration = Duration::from_mins(5);

/// Where bytes for a pod come from.
pub(super) trait Source: Send {
    /// The next bytes; none at the end.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// Where bytes from a pod go.
pub(super) trait Destination: Send {
    /// Takes bytes.
    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Nothing more comes.
    fn finish(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// The client takes no bytes any more.
#[derive(Debug)]
pub(super) struct Gone;

/// Copies until both directions have ended, or the client has left.
///
/// # Errors
/// When the pod's connection broke before the pod had ended it.
pub(super) async fn copy(
    pod: PodConnection,
    source: impl Source,
    destination: impl Destination,
    left: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    tokio::select! {
        biased;
        () = left => Ok(()),
        ended = both_ways(pod, source, destination) => ended,
    }
}

async fn both_ways(
    pod: PodConnection,
    mut source: impl Source,
    mut destination: impl Destination,
) -> io::Result<()> {
    let (reader, writer) = tokio::io::split(pod);
    let progress = Progress(Mutex::new(Instant::now()));
    let mut up = pin!(to_pod(&mut source, writer, &progress));
    let mut down = pin!(from_pod(reader, &mut destination, &progress));
    tokio::select! {
        ended = up.as_mut() => tokio::select! {
            // When the pod reads no more: what it still says is passed on before the reason.
            down = down => down.and(ended),
            () = progress.silent() => ended,
        },
        ended = down.as_mut() => {
            ended?;
            tokio::select! {
                // The pod has hung up in order: that it reads no more either is no fault.
                _ = up => Ok(()),
                () = progress.silent() => Ok(()),
            }
        }
    }
}

async fn to_pod(
    source: &mut impl Source,
    mut pod: impl AsyncWrite + Unpin,
    progress: &Progress,
) -> io::Result<()> {
    while let Some(bytes) = source.next().await {
        progress.made();
        pod.write_all(&bytes).await?;
        pod.flush().await?;
    }
    pod.shutdown().await
}

async fn from_pod(
    mut pod: impl AsyncRead + Unpin,
    destination: &mut impl Destination,
    progress: &Progress,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE_MAX);
        let read = (&mut pod).take(PIECE_MAX as u64).read_buf(&mut buffer).await?;
        progress.made();
        if read == 0 {
            // Who takes nothing any more has no use for the end.
            drop(destination.finish().await);
            return Ok(());
        }
        if destination.send(buffer.split().freeze()).await.is_err() {
            return Ok(());
        }
    }
}

/// When bytes last went either way.
struct Progress(Mutex<Instant>);

impl Progress {
    fn made(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Completes when no byte has gone for [`HALF_CLOSED`].
    async fn silent(&self) {
        self.made();
        loop {
            let end = *self.0.lock() + HALF_CLOSED;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}
