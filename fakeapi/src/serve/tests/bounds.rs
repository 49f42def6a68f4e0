//! Deadlines and limits, each by a client that breaks it.

use std::io::ErrorKind;
use std::time::Instant;

use http::Method;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::{Body, Dial, bytes, request};
use super::*;
use crate::serve::stats::{Cut, HandshakeFailure, Refusal};

const SHORT: Duration = Duration::from_millis(300);
/// Far more than [`SHORT`], far less than any default.
const SOON: Duration = Duration::from_secs(8);

/// That the server still answers, and not late.
async fn answers(at: ClusterAddr, tenant: &TestTenant) {
    let began = Instant::now();
    let mut client = Dial::new(at, &tenant.authority, "h2").http().await;
    client.text("/who").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stalled_handshake_is_cut_and_holds_up_nobody() {
    let limits = Limits { handshake: SHORT, ..fast() };
    let site = Site::with(limits, 1, Listen::Wildcard { port: 0 }, &mut |_, _, _| Ok(()));
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let began = Instant::now();
    let mut silent = TcpStream::connect(at.0).await.unwrap();
    let mut half = TcpStream::connect(at.0).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    answers(at, &tenant).await;
    for stalled in [&mut silent, &mut half] {
        let _ = tokio::time::timeout(SOON, read_to_end(stalled)).await.unwrap();
        assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
    }
    eventually("both are counted", || {
        site.server.stats().handshake_failed(HandshakeFailure::Deadline) == 2
    })
    .await;
}

#[tokio::test]
async fn a_header_over_the_limit_is_431() {
    let limits = Limits { header_bytes: 16 * 1024, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    for alpn in ["http/1.1", "h2"] {
        for (size, expected) in [(10 * 1024, 200), (17 * 1024, 431)] {
            let mut client = Dial::new(at, &tenant.authority, alpn).http().await;
            let mut request = request(Method::GET, "/who", client::empty());
            let value = "x".repeat(size).parse().unwrap();
            request.headers_mut().insert("x-large", value);
            let response = client.send(request).await.unwrap();
            assert_eq!(response.status(), expected, "{alpn}, {size}");
        }
    }
}

#[tokio::test]
async fn a_slow_header_is_cut() {
    let limits = Limits { header: SHORT, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    // The first header of a connection, and one that follows an answered request.
    for first in ["", "GET /who HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let began = Instant::now();
        let mut stream = Dial::new(at, &tenant.authority, "http/1.1").tls().await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        if !first.is_empty() {
            assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
        }
        stream.write_all(b"GET /who HTTP/1.1\r\n").await.unwrap();
        let (read, _) = tokio::time::timeout(SOON, read_to_end(&mut stream)).await.unwrap();
        assert_eq!(read, b"");
        assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
    }
    assert_eq!(site.server.stats().cut(Cut::Header), 2);
}

#[tokio::test]
async fn an_h2_connection_between_requests_owes_no_header() {
    let limits = Limits { header: SHORT, h2_ping: SHORT / 2, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut client = Dial::new(at, &tenant.authority, "h2").http().await;
    client.text("/who").await.unwrap();
    tokio::time::sleep(SHORT * 4).await;
    client.text("/who").await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let limits = Limits { idle: SHORT, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut watching = Dial::new(at, &tenant.authority, "h2").http().await;
    let mut watch = watching.get("/watch").await.unwrap().into_body();
    watch.frame().await.unwrap().unwrap();
    for alpn in ["http/1.1", "h2"] {
        let mut client = Dial::new(at, &tenant.authority, alpn).http().await;
        client.text("/who").await.unwrap();
        eventually("the idle connection is gone", || tenant.connections.open() == 1).await;
        client.text("/who").await.unwrap_err();
    }
    assert_eq!(site.server.stats().cut(Cut::Idle), 2);
    watching.text("/who").await.expect("a watch is not idleness");
}

#[tokio::test]
async fn a_slow_body_is_the_tenants_to_answer() {
    let limits = Limits { body: SHORT, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    for alpn in ["http/1.1", "h2"] {
        let mut client = Dial::new(at, &tenant.authority, alpn).http().await;
        let whole = request(Method::POST, "/echo", bytes(vec![0; 300_000]));
        let (_, answer) = client::read(client.send(whole).await.unwrap()).await.unwrap();
        assert_eq!(answer, "300000 bytes");
        let never: Body = BodyExt::boxed(StreamBody::new(stream::pending()));
        let stalled = request(Method::POST, "/echo", never);
        let (status, answer) = client::read(client.send(stalled).await.unwrap()).await.unwrap();
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(answer, "the request body did not arrive in time");
    }
}

#[tokio::test]
async fn the_server_and_each_cluster_hold_so_many_connections() {
    let limits = Limits { connections: 3, connections_per_cluster: 2, ..fast() };
    let site = Site::start(limits);
    let (a, tenant_a) = site.tenant("a", "127.0.0.1");
    let (b, tenant_b) = site.tenant("b", "127.0.0.2");
    let mut open = Vec::new();
    for (at, tenant) in [(a, &tenant_a), (a, &tenant_a)] {
        open.push(Dial::new(at, &tenant.authority, "h2").http().await);
    }
    let refused = Dial::new(a, &tenant_a.authority, "h2").tls().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
    assert_eq!(site.server.stats().refused(Refusal::ClusterFull), 1);

    open.push(Dial::new(b, &tenant_b.authority, "h2").http().await);
    let refused = Dial::new(b, &tenant_b.authority, "h2").tls().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
    let stats = site.server.stats();
    assert_eq!((stats.refused(Refusal::ServerFull), stats.open), (1, 3));

    drop(open);
    eventually("the places are free", || site.server.stats().open == 0).await;
    answers(a, &tenant_a).await;
    answers(b, &tenant_b).await;
}

#[tokio::test]
async fn a_client_that_never_reads_slows_nobody_and_is_cut() {
    let limits = Limits { write_stall: SHORT, ..fast() };
    let site = Site::with(limits, 1, Listen::Wildcard { port: 0 }, &mut |_, _, _| Ok(()));
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut deaf = Dial::new(at, &tenant.authority, "http/1.1").tls().await.unwrap();
    deaf.write_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    eventually("it is served", || site.server.stats().requests == 1).await;
    answers(at, &tenant).await;
    eventually("it is cut", || site.server.stats().cut(Cut::WriteStall) == 1).await;
    eventually("it is closed", || tenant.connections.open() == 0).await;
    let (read, end) = read_to_end(&mut deaf).await;
    assert!(read.len() > 100_000, "{}", read.len());
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stream_that_is_never_read_is_reset_and_the_others_go_on() {
    let limits = Limits { write_stall: SHORT, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut client = Dial::new(at, &tenant.authority, "h2").http().await;
    // Its window fills and is not granted anew, because the body is not read.
    let flood = client.get("/flood").await.unwrap();
    let watch = client.get("/watch").await.unwrap();
    client.text("/who").await.unwrap();
    eventually("it is reset", || site.server.stats().cut(Cut::StreamStall) == 1).await;
    flood.into_body().collect().await.expect_err("it was reset");
    client.text("/who").await.unwrap();
    tokio::time::sleep(SHORT * 2).await;
    let first = watch.into_body().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first\n");
    let stats = site.server.stats();
    let cut = (stats.cut(Cut::StreamStall), stats.cut(Cut::WriteStall));
    assert_eq!(cut, (1, 0));
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_cut() {
    let limits = Limits { write_stall: SHORT, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut slow = Dial::new(at, &tenant.authority, "http/1.1").tls().await.unwrap();
    slow.write_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // Slow enough that a third of the kernel's largest send buffer lasts longer than the bound.
    let mut buf = vec![0; 32 * 1024];
    for _ in 0..60 {
        slow.read_exact(&mut buf).await.unwrap();
        tokio::time::sleep(SHORT / 15).await;
    }
    assert_eq!(site.server.stats().cut(Cut::WriteStall), 0);
}

/// A connection that was taken over.
async fn taken_over(at: ClusterAddr, tenant: &TestTenant) -> TlsStream<TcpStream> {
    let mut stream = Dial::new(at, &tenant.authority, "http/1.1").tls().await.unwrap();
    let head = b"GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    stream
}

#[tokio::test]
async fn a_connection_that_was_taken_over_is_not_idle() {
    let limits = Limits { idle: SHORT, header: SHORT, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut stream = taken_over(at, &tenant).await;
    let mut echoed = [0; 4];
    for _ in 0..3 {
        tokio::time::sleep(SHORT * 2).await;
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, b"ping");
    }
    assert_eq!(tenant.connections.open(), 1, "it keeps its place");
    drop(stream);
    eventually("its place is given back", || tenant.connections.open() == 0).await;
}

#[tokio::test]
async fn a_connection_that_was_taken_over_may_not_stall() {
    let limits = Limits { write_stall: SHORT, ..fast() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut deaf = taken_over(at, &tenant).await;
    let flood = async { while deaf.write_all(&[0; 4096]).await.is_ok() {} };
    tokio::time::timeout(SOON, flood).await.expect("it is cut");
    eventually("it is counted", || site.server.stats().cut(Cut::WriteStall) == 1).await;
    eventually("its place is given back", || tenant.connections.open() == 0).await;
}

#[tokio::test]
async fn an_h2_connection_carries_250_requests_at_once() {
    let site = Site::start(fast());
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut client = Dial::new(at, &tenant.authority, "h2").http().await;
    let mut watches = Vec::new();
    for _ in 0..250 {
        watches.push(client.get("/watch").await.unwrap());
    }
    assert_eq!(site.server.stats().requests, 250);
    let one_more = tokio::time::timeout(SHORT, client.get("/who")).await;
    assert!(one_more.is_err(), "the 251st did not wait");
    watches.pop();
    client.text("/who").await.unwrap();
}
