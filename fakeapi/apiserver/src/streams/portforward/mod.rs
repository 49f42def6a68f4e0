//! Port-forward: connections to a pod's ports over one connection of the client, as the kubelet's
//! streaming server serves them.

mod channels;
mod copy;
mod pairs;
mod target;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::channels::{Codec, PORTS_MAX, serve_channels};
use self::copy::{Destination, Gone, Source, copy};
use self::pairs::{Added, Pair, Pairs, Part};
pub(crate) use self::target::Target;
use crate::streams::spdy::{Arrivals, Inbox, Outbox, Session, Stream};

/// Forwards what comes as pairs of streams of a SPDY session, until it ends or `closing`
/// completes.
pub(crate) async fn serve<IO>(io: IO, target: Target, closing: impl Future<Output = ()> + Send)
where
    IO: AsyncRead + AsyncWrite + Send,
{
    let (session, arrivals) = Session::new(io);
    let ended = tokio::select! {
        ended = session.run(closing) => ended,
        () = pair_up(arrivals, &target) => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a port-forward session was cut");
    }
}

/// Joins streams to pairs and forwards each pair. Never ends by itself before its session.
async fn pair_up(arrivals: Arrivals, target: &Target) {
    let (complete, pairs) = mpsc::channel(1);
    tokio::join!(take_in(arrivals, complete), forward_all(pairs, target));
}

/// Accepts streams and joins them to pairs.
///
/// It waits for room in the session's outbox, as the forwarded connections do, and room is given
/// out in the order of asking, to whoever polls or not. So this must not be what polls them: while
/// it waited, all room could fall to connections that stand before it and do not run, for ever.
async fn take_in(mut arrivals: Arrivals, complete: mpsc::Sender<Pair>) {
    let mut pairs = Pairs::default();
    loop {
        let deadline = pairs.deadline();
        tokio::select! {
            stream = arrivals.recv() => match stream {
                Some(stream) => {
                    if let Some(pair) = taken(stream, &mut pairs).await {
                        // Who takes it goes on as long as this does.
                        drop(complete.send(pair).await);
                    }
                }
                // The session says its last words.
                None => std::future::pending().await,
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                if let Some((error, why)) = pairs.expire() {
                    explain(error, why).await;
                }
            }
        }
    }
}

/// Forwards every pair. It never waits for one thing alone, so that all of them go on.
async fn forward_all(mut pairs: mpsc::Receiver<Pair>, target: &Target) {
    let mut forwards = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(pair) = pairs.recv() => forwards.push(forward(pair, target)),
            Some(()) = forwards.next() => {}
            else => return,
        }
    }
}

/// Takes a stream that says what it is for. Answers with its pair when that is complete.
async fn taken(mut stream: Stream, pairs: &mut Pairs) -> Option<Pair> {
    let Some(part) = Part::read(stream.id(), stream.headers()) else {
        stream.reset().await;
        return None;
    };
    stream.forget_headers();
    // A stream that was reset meanwhile is found out when it is used.
    drop(stream.accept().await);
    let request = part.request.clone();
    match pairs.add(part, stream) {
        Added::Complete(pair) => Some(pair),
        Added::Waits => None,
        Added::Twice(why) => {
            tracing::debug!(why, "a stream was refused");
            if let Some(error) = pairs.error_stream(&request) {
                // Its client may have left; nobody else is to be told.
                drop(error.send(why.into()).await);
            }
            None
        }
    }
}

/// Connects a pair with its port. Whatever fails is told on the error stream.
async fn forward(pair: Pair, target: &Target) {
    let Pair { port, mut error, mut data } = pair;
    let done = match target.connect(port) {
        Ok(pod) => {
            let left = data.ended();
            let (inbox, outbox) = data.halves();
            copy(pod, inbox, outbox, left).await.map_err(|error| target.broke(port, &error))
        }
        Err(refused) => Err(target.refused(port, refused)),
    };
    match done {
        Ok(()) => {
            // Either is closed already when the client has left.
            drop(data.finish().await);
            drop(error.finish().await);
        }
        Err(why) => {
            tracing::debug!(why, "a port was not forwarded");
            // Both are reset, so that the client may try again with new ones.
            drop(error.send(why.into()).await);
            data.reset().await;
            error.reset().await;
        }
    }
}

/// Says on an error stream why it comes to nothing.
async fn explain(mut error: Stream, why: String) {
    tracing::debug!(why, "a pair of streams is not complete");
    drop(error.send(why.into()).await);
    drop(error.finish().await);
}

impl Source for &mut Inbox {
    async fn next(&mut self) -> Option<Bytes> {
        self.recv().await
    }
}

impl Destination for &mut Outbox {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        Outbox::send(self, bytes).await.map_err(|_| Gone)
    }

    async fn finish(&mut self) -> Result<(), Gone> {
        Outbox::finish(self).await.map_err(|_| Gone)
    }
}
