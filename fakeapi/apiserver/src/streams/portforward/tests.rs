//! Pairs of streams over a pipe, with a clock that can be moved.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use pretty_assertions::assert_eq;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::copy::HALF_CLOSED;
use super::pairs::PAIRING;
use super::{Target, serve};
use crate::kubelet::{Kubelet, PodConnection, PortRefused};
use crate::streams::spdy::{CANCEL, Frame, Peer};

/// Port 80 is the other end of a pipe, port 81 breaks when it is read, port 82 says [`LONG`] bytes
/// when it is told a byte, others refuse.
#[derive(Default)]
struct Pod(Mutex<Option<DuplexStream>>);

impl Kubelet for Pod {
    fn connect(&self, _: &str, _: &str, port: u16) -> Result<PodConnection, PortRefused> {
        match port {
            80 => Ok(Box::new(self.0.lock().take().ok_or(PortRefused)?)),
            81 => Ok(Box::new(Broken)),
            82 => {
                let (near, far) = duplex(LONG);
                tokio::spawn(talk_when_told(far));
                Ok(Box::new(near))
            }
            _ => Err(PortRefused),
        }
    }
}

/// Four of a session's pieces.
const LONG: usize = 64 * 1024;

async fn talk_when_told(mut connection: DuplexStream) {
    connection.read_u8().await.unwrap();
    connection.write_all(&vec![b'.'; LONG]).await.unwrap();
    // Until the client hangs up.
    drop(connection.read_u8().await);
}

struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("it broke")))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A client, the pod's end of port 80, and what ends the session when it is dropped.
fn begin() -> (Peer, DuplexStream, oneshot::Sender<()>) {
    let (ours, theirs) = duplex(8 * 1024);
    let (near, pod) = duplex(1024);
    let kubelet = Arc::new(Pod(Mutex::new(Some(near))));
    let target = Target::new(kubelet, ("default", "web"), "uid", true);
    let (close, closing) = oneshot::channel::<()>();
    tokio::spawn(serve(ours, target, async move { drop(closing.await) }));
    (Peer::new(theirs), pod, close)
}

async fn open(peer: &mut Peer, id: u32, kind: &str, port: &str, request: &str) {
    peer.open(id, &[("streamType", kind), ("port", port), ("requestID", request)]).await;
    let reply = peer.next().await;
    assert!(matches!(reply, Some(Frame::SynReply { id: of, .. }) if of == id), "{reply:?}");
}

async fn connect(peer: &mut Peer, port: &str) {
    open(peer, 1, "error", port, "0").await;
    peer.fin(1).await;
    open(peer, 3, "data", port, "0").await;
}

fn data(id: u32, fin: bool, bytes: &'static str) -> Frame {
    Frame::Data { id, fin, bytes: Bytes::from_static(bytes.as_bytes()) }
}

/// What a stream says, and the frame that follows.
async fn text(peer: &mut Peer, of: u32) -> (String, Option<Frame>) {
    let mut text = Vec::new();
    loop {
        match peer.next().await {
            Some(Frame::Data { id, bytes, fin: false }) if id == of => {
                text.extend_from_slice(&bytes);
            }
            next => return (String::from_utf8(text).unwrap(), next),
        }
    }
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let (mut peer, mut pod, _close) = begin();
    connect(&mut peer, "80").await;
    peer.data(3, "question").await;
    peer.fin(3).await;
    let mut question = String::new();
    pod.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    pod.write_all(b"answer").await.unwrap();
    assert_eq!(peer.next().await, Some(data(3, false, "answer")));
    drop(pod);
    assert_eq!(peer.next().await, Some(data(3, true, "")));
    assert_eq!(peer.next().await, Some(data(1, true, "")));
}

#[tokio::test]
async fn the_streams_come_in_any_order() {
    let (mut peer, mut pod, _close) = begin();
    open(&mut peer, 1, "data", "80", "x").await;
    open(&mut peer, 3, "error", "80", "x").await;
    peer.data(1, "through").await;
    let mut got = [0; 7];
    pod.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"through");
}

#[tokio::test]
async fn a_port_that_refuses_is_told_on_the_error_stream() {
    let (mut peer, _pod, _close) = begin();
    connect(&mut peer, "9").await;
    let (why, next) = text(&mut peer, 1).await;
    let (begin, rest) = why.split_once(", uid : ").unwrap();
    let sandbox = begin.strip_prefix("error forwarding port 9 to pod ").unwrap();
    assert_eq!(sandbox.len(), 64);
    assert_eq!(
        rest,
        format!(
            "failed to execute portforward in network namespace \"host\": failed to connect to \
             localhost:9 inside namespace \"{sandbox}\", IPv4: dial tcp4 127.0.0.1:9: connect: \
             connection refused IPv6 dial tcp6 [::1]:9: connect: connection refused "
        )
    );
    assert_eq!(next, Some(Frame::RstStream { id: 3, status: CANCEL }));
    assert_eq!(peer.next().await, Some(Frame::RstStream { id: 1, status: CANCEL }));
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_too() {
    let (mut peer, _pod, _close) = begin();
    connect(&mut peer, "81").await;
    let (why, _) = text(&mut peer, 1).await;
    assert!(why.contains("failed to execute portforward for \""), "{why}");
    assert!(why.ends_with("port 81: it broke"), "{why}");
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_pods_connection_along() {
    let (mut peer, mut pod, _close) = begin();
    connect(&mut peer, "80").await;
    peer.send(Frame::RstStream { id: 3, status: CANCEL }).await;
    assert_eq!(peer.next().await, Some(data(1, true, "")));
    assert_eq!(pod.read(&mut [0]).await.unwrap(), 0);
    pod.write_all(b"x").await.unwrap_err();
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_connections() {
    let (mut peer, mut pod, close) = begin();
    connect(&mut peer, "80").await;
    drop(close);
    assert_eq!(pod.read(&mut [0]).await.unwrap(), 0);
    // The error stream's other half is still open too.
    let reset = |id| Frame::RstStream { id, status: CANCEL };
    let bye = Frame::GoAway { last: 3, status: 0 };
    assert_eq!(peer.rest().await, [reset(1), reset(3), bye]);
}

#[tokio::test(start_paused = true)]
async fn a_pair_must_be_complete_in_time() {
    let (mut peer, _pod, _close) = begin();
    open(&mut peer, 1, "error", "80", "a").await;
    let began = Instant::now();
    open(&mut peer, 3, "data", "80", "b").await;
    let (why, next) = text(&mut peer, 1).await;
    assert_eq!(why, "(request=a) timed out waiting for streams");
    assert_eq!(began.elapsed().as_secs(), PAIRING.as_secs());
    let mut rest = [next, peer.next().await];
    rest.sort_by_key(|frame| matches!(frame, Some(Frame::RstStream { .. })));
    assert_eq!(rest, [Some(data(1, true, "")), Some(Frame::RstStream { id: 3, status: CANCEL })]);
}

#[tokio::test(start_paused = true)]
async fn half_a_connection_lasts_while_bytes_go() {
    let (mut peer, mut pod, _close) = begin();
    connect(&mut peer, "80").await;
    peer.fin(3).await;
    for _ in 0..3 {
        tokio::time::sleep(HALF_CLOSED * 9 / 10).await;
        pod.write_all(b"slow").await.unwrap();
        assert_eq!(peer.next().await, Some(data(3, false, "slow")));
    }
    let began = Instant::now();
    assert_eq!(peer.next().await, Some(data(3, true, "")));
    assert_eq!(began.elapsed().as_secs(), HALF_CLOSED.as_secs());
    let mut rest = Vec::new();
    timeout(HALF_CLOSED, pod.read_to_end(&mut rest)).await.unwrap().unwrap();
}

/// Room in the session's outbox goes to who has asked first: here to connections, until all of it is
/// theirs, and only then to the answer to a new stream. They must use it while that waits.
#[tokio::test(start_paused = true)]
async fn a_stream_comes_while_more_connections_wait_than_there_is_room_for() {
    const CONNECTIONS: u32 = 50;
    let (mut peer, _pod, _close) = begin();
    let ids = |connection| (connection * 4 + 1, connection * 4 + 3);
    for connection in 0..CONNECTIONS {
        let (error, data) = ids(connection);
        open(&mut peer, error, "error", "82", &connection.to_string()).await;
        open(&mut peer, data, "data", "82", &connection.to_string()).await;
    }
    for connection in 0..CONNECTIONS {
        peer.data(ids(connection).1, "x").await;
    }
    // The clock moves when all of them wait, for nobody reads.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (error, last) = ids(CONNECTIONS);
    for (id, kind) in [(error, "error"), (last, "data")] {
        let headers = [("streamType", kind), ("port", "82"), ("requestID", "last")];
        peer.open(id, &headers).await;
    }
    peer.data(last, "x").await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut left = LONG * (CONNECTIONS as usize + 1);
    while left > 0 {
        let next = timeout(Duration::from_secs(10), peer.next()).await;
        match next.unwrap_or_else(|_| panic!("{left} bytes never come")) {
            Some(Frame::Data { bytes, fin: false, .. }) => left -= bytes.len(),
            Some(Frame::SynReply { id, .. }) => assert!(id == error || id == last, "{id}"),
            other => panic!("{other:?}"),
        }
    }
}
