//! Sessions over a pipe.

use bytes::Bytes;
use pretty_assertions::assert_eq;
use tokio::io::duplex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use super::peer::Peer;
use crate::streams::spdy::frame::Frame;
use crate::streams::spdy::{
    Arrivals, CANCEL, IDLE, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_STALL, STREAMS_MAX, Session,
    SessionError, StreamClosed,
};

struct Running {
    peer: Peer,
    arrivals: Arrivals,
    close: oneshot::Sender<()>,
    session: JoinHandle<Result<(), SessionError>>,
}

fn begin() -> Running {
    let (ours, theirs) = duplex(8 * 1024);
    let (session, arrivals) = Session::new(ours);
    let (close, closing) = oneshot::channel::<()>();
    let closing = async move { closing.await.unwrap() };
    let session = tokio::spawn(session.run(closing));
    Running { peer: Peer::new(theirs), arrivals, close, session }
}

fn reset(id: u32, status: u32) -> Frame {
    Frame::RstStream { id, status }
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_way_ends_by_itself() {
    let mut run = begin();
    run.peer.open(1, &[("streamType", "data")]).await;
    let mut stream = run.arrivals.recv().await.unwrap();
    assert_eq!((stream.id(), stream.headers().get("streamtype")), (1, Some("data")));
    stream.accept().await.unwrap();
    assert!(matches!(run.peer.next().await, Some(Frame::SynReply { id: 1, fin: false, .. })));
    run.peer.data(1, "to the pod").await;
    run.peer.fin(1).await;
    let (inbox, outbox) = stream.halves();
    assert_eq!(inbox.recv().await.as_deref(), Some(&b"to the pod"[..]));
    assert_eq!(inbox.recv().await, None);
    assert!(!inbox.has_ended());
    outbox.send("from the pod".into()).await.unwrap();
    outbox.finish().await.unwrap();
    assert_eq!(outbox.send("more".into()).await, Err(StreamClosed));
    let data = |fin, bytes| Some(Frame::Data { id: 1, fin, bytes: Bytes::from_static(bytes) });
    assert_eq!(run.peer.next().await, data(false, b"from the pod"));
    assert_eq!(run.peer.next().await, data(true, b""));
    drop(stream);
    run.close.send(()).unwrap();
    assert_eq!(run.peer.rest().await, [Frame::GoAway { last: 1, status: 0 }]);
    run.session.await.unwrap().unwrap();
}

#[tokio::test]
async fn pings_of_the_client_come_back() {
    let mut run = begin();
    run.peer.send(Frame::Settings(vec![(4, 1)])).await;
    run.peer.send(Frame::WindowUpdate { id: 0, delta: 9 }).await;
    run.peer.send(Frame::Ping(2)).await;
    run.peer.send(Frame::Ping(77)).await;
    assert_eq!(run.peer.next().await, Some(Frame::Ping(77)));
}

#[tokio::test]
async fn numbers_must_be_odd_and_rise() {
    let mut run = begin();
    run.peer.open(5, &[]).await;
    let _stream = run.arrivals.recv().await.unwrap();
    for id in [5, 3, 8] {
        run.peer.open(id, &[]).await;
        assert_eq!(run.peer.next().await, Some(reset(id, PROTOCOL_ERROR)));
    }
    run.peer.open(9, &[]).await;
    assert_eq!(run.arrivals.recv().await.unwrap().id(), 9);
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_for_its_reader_and_writer() {
    let mut run = begin();
    run.peer.open(1, &[]).await;
    let mut stream = run.arrivals.recv().await.unwrap();
    run.peer.send(reset(1, CANCEL)).await;
    let (inbox, outbox) = stream.halves();
    assert_eq!(inbox.recv().await, None);
    assert!(inbox.has_ended());
    assert_eq!(outbox.send("late".into()).await, Err(StreamClosed));
    drop(stream);
    run.peer.data(1, "late").await;
    run.peer.send(Frame::Ping(1)).await;
    assert_eq!(run.peer.next().await, Some(Frame::Ping(1)), "nothing is said of it any more");
}

#[tokio::test]
async fn a_stream_left_unfinished_is_reset() {
    let mut run = begin();
    run.peer.open(1, &[]).await;
    drop(run.arrivals.recv().await);
    assert_eq!(run.peer.next().await, Some(reset(1, CANCEL)));
}

#[tokio::test]
async fn what_was_said_before_a_reset_arrives_before_it() {
    let mut run = begin();
    run.peer.open(1, &[]).await;
    let mut stream = run.arrivals.recv().await.unwrap();
    stream.send("why".into()).await.unwrap();
    stream.reset().await;
    assert!(matches!(run.peer.next().await, Some(Frame::Data { bytes, .. }) if bytes == "why"));
    assert_eq!(run.peer.next().await, Some(reset(1, CANCEL)));
}

#[tokio::test]
async fn closing_resets_what_is_open_and_says_farewell() {
    let mut run = begin();
    for id in [1, 3, 5] {
        run.peer.open(id, &[]).await;
    }
    let _first = run.arrivals.recv().await.unwrap();
    let mut second = run.arrivals.recv().await.unwrap();
    let mut third = run.arrivals.recv().await.unwrap();
    second.finish().await.unwrap();
    run.close.send(()).unwrap();
    let frames = run.peer.rest().await;
    let fin = Frame::Data { id: 3, fin: true, bytes: Bytes::new() };
    let bye = Frame::GoAway { last: 5, status: 0 };
    assert_eq!(frames, [fin, reset(1, CANCEL), reset(5, CANCEL), bye]);
    assert_eq!(third.halves().0.recv().await, None);
    assert!(run.arrivals.recv().await.is_none());
    run.session.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_clients_farewell_ends_the_session() {
    let mut run = begin();
    run.peer.send(Frame::GoAway { last: 0, status: 0 }).await;
    assert_eq!(run.peer.rest().await, [Frame::GoAway { last: 0, status: 0 }]);
    run.session.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_frame_ends_the_session_with_the_reason() {
    let mut run = begin();
    run.peer.bytes(&[0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]).await;
    assert_eq!(run.peer.rest().await, [Frame::GoAway { last: 0, status: 1 }]);
    assert!(matches!(run.session.await.unwrap(), Err(SessionError::Frame(_))));
}

#[tokio::test]
async fn too_many_streams_are_refused() {
    let mut run = begin();
    let mut held = Vec::new();
    let number = |index: usize| u32::try_from(index * 2 + 1).unwrap();
    for index in 0..STREAMS_MAX {
        run.peer.open(number(index), &[]).await;
        held.push(run.arrivals.recv().await.unwrap());
    }
    run.peer.open(number(STREAMS_MAX), &[]).await;
    let refused = reset(number(STREAMS_MAX), REFUSED_STREAM);
    assert_eq!(run.peer.next().await, Some(refused));
    held.clear();
    for index in 0..STREAMS_MAX {
        assert_eq!(run.peer.next().await, Some(reset(number(index), CANCEL)));
    }
    run.peer.open(number(STREAMS_MAX + 1), &[]).await;
    assert!(run.arrivals.recv().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_holds_its_session_up_for_a_bounded_time() {
    let mut run = begin();
    run.peer.open(1, &[]).await;
    run.peer.open(3, &[]).await;
    let _slow = run.arrivals.recv().await.unwrap();
    let mut quick = run.arrivals.recv().await.unwrap();
    let began = Instant::now();
    for _ in 0..17 {
        run.peer.data(1, "x").await;
    }
    run.peer.data(3, "through").await;
    assert_eq!(quick.halves().0.recv().await.as_deref(), Some(&b"through"[..]));
    let waited = began.elapsed();
    assert!(waited >= STREAM_STALL && waited < STREAM_STALL * 2, "{waited:?}");
    assert_eq!(run.peer.next().await, Some(reset(1, 7)));
}

#[tokio::test(start_paused = true)]
async fn a_session_in_which_nothing_happens_ends() {
    let mut run = begin();
    tokio::time::sleep(IDLE.saturating_sub(Duration::from_secs(1))).await;
    run.peer.send(Frame::Ping(1)).await;
    assert_eq!(run.peer.next().await, Some(Frame::Ping(1)));
    let began = Instant::now();
    assert_eq!(run.peer.rest().await, [Frame::GoAway { last: 0, status: 0 }]);
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs());
    assert!(matches!(run.session.await.unwrap(), Err(SessionError::Idle)));
}
