//! How requests end: with their client, or with the server.

use std::sync::atomic::Ordering;
use std::time::Instant;

use http::Method;

use super::client::{Client, Dial, empty, read, request};
use super::*;
use crate::serve::drain::DrainReport;
use crate::serve::stats::Cut;

/// The last worker closes its listener a moment after the first.
async fn nobody_listens(at: ClusterAddr) {
    let began = Instant::now();
    while tokio::net::TcpStream::connect(at.0).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(2), "somebody listens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn first_chunk(client: &mut Client, path: &str) -> hyper::body::Incoming {
    let mut body = client.get(path).await.unwrap().into_body();
    let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(chunk, "first\n");
    body
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_ends_watches() {
    for alpn in ["http/1.1", "h2"] {
        let site = Site::start(fast());
        let (at, tenant) = site.tenant("a", "127.0.0.1");
        let dial = || Dial::new(at, &tenant.authority, alpn).http();
        let (mut idle, mut waiting, mut watching) = (dial().await, dial().await, dial().await);
        idle.text("/who").await.unwrap();
        let watch = first_chunk(&mut watching, "/watch").await;
        let waiting = tokio::spawn(async move { waiting.text("/gate").await });
        eventually("it waits", || tenant.at_gate.load(Ordering::SeqCst) == 1).await;

        let began = Instant::now();
        let drained = tokio::spawn(site.server.shutdown());
        let rest = watch.collect().await.expect("the watch ends in order").to_bytes();
        assert_eq!(rest, "last\n");
        nobody_listens(at).await;
        assert!(!drained.is_finished(), "a request is in flight");
        tenant.gate.notify_one();
        let (status, body) = waiting.await.unwrap().expect("it finishes");
        assert_eq!((status, body.as_str()), (StatusCode::OK, "through the gate"));
        assert_eq!(drained.await.unwrap(), DrainReport { finished: 3, cut: 0 });
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        idle.text("/who").await.unwrap_err();
    }
}

#[tokio::test]
async fn what_does_not_end_within_the_bound_is_cut() {
    for alpn in ["http/1.1", "h2"] {
        let limits = Limits { drain: Duration::from_millis(400), ..Limits::default() };
        let site = Site::start(limits);
        let (at, tenant) = site.tenant("a", "127.0.0.1");
        let mut client = Dial::new(at, &tenant.authority, alpn).http().await;
        let body = first_chunk(&mut client, "/forever").await;
        let began = Instant::now();
        let report = site.server.shutdown().await;
        assert_eq!(report, DrainReport { finished: 0, cut: 1 });
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(4), "{took:?}");
        body.collect().await.expect_err("it was cut");
        assert_eq!(tenant.connections.open(), 0);
    }
}

#[tokio::test]
async fn an_upgraded_connection_counts_until_it_is_closed() {
    let site = Site::start(fast());
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut tunnels = Vec::new();
    for _ in 0..2 {
        let mut client = Dial::new(at, &tenant.authority, "http/1.1").http().await;
        let mut request = request(Method::POST, "/upgrade", empty());
        let headers = request.headers_mut();
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("upgrade", "echo".parse().unwrap());
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        let mut tunnel = hyper_util::rt::TokioIo::new(upgraded);
        tunnel.write_all(b"hello").await.unwrap();
        let mut echoed = [0; 5];
        tunnel.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, b"hello");
        tunnels.push(tunnel);
    }
    assert_eq!((site.server.stats().open, tenant.connections.open()), (2, 2));
    drop(tunnels.pop());
    eventually("one is gone", || tenant.connections.open() == 1).await;
    let drained = tokio::spawn(site.server.shutdown());
    let (rest, end) = read_to_end(&mut tunnels[0]).await;
    end.expect("it ends in order");
    assert_eq!(rest, b"");
    assert_eq!(drained.await.unwrap(), DrainReport { finished: 1, cut: 0 });
}

#[tokio::test]
async fn a_read_dies_with_its_client_and_a_write_does_not() {
    for (method, survives) in [(Method::GET, 0), (Method::POST, 1)] {
        for alpn in ["http/1.1", "h2"] {
            let site = Site::start(fast());
            let (at, tenant) = site.tenant("a", "127.0.0.1");
            let mut client = Dial::new(at, &tenant.authority, alpn).http().await;
            let request = request(method.clone(), "/gate", empty());
            let sent = tokio::spawn(async move { client.send(request).await.map(drop) });
            eventually("it waits", || tenant.at_gate.load(Ordering::SeqCst) == 1).await;
            sent.abort();
            eventually("its client is gone", || tenant.connections.open() == 0).await;
            tenant.gate.notify_waiters();
            let report = site.server.shutdown().await;
            assert_eq!(tenant.passed_gate.load(Ordering::SeqCst), survives, "{method} {alpn}");
            assert_eq!(report.cut, 0);
        }
    }
}

#[tokio::test]
async fn a_connection_that_never_asked_does_not_hold_the_drain() {
    let limits = Limits { drain: Duration::from_secs(20), ..Limits::default() };
    let site = Site::start(limits);
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let _silent = Dial::new(at, &tenant.authority, "http/1.1").tls().await.unwrap();
    let _in_handshake = tokio::net::TcpStream::connect(at.0).await.unwrap();
    eventually("both are there", || tenant.connections.open() == 2).await;
    let began = Instant::now();
    let report = site.server.shutdown().await;
    assert_eq!(report, DrainReport { finished: 2, cut: 0 });
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_response_during_a_drain_says_that_the_connection_ends() {
    let site = Site::start(fast());
    let (at, tenant) = site.tenant("a", "127.0.0.1");
    let mut client = Dial::new(at, &tenant.authority, "http/1.1").http().await;
    let waiting = tokio::spawn(async move { client.get("/gate").await });
    eventually("it waits", || tenant.at_gate.load(Ordering::SeqCst) == 1).await;
    let drained = tokio::spawn(site.server.shutdown());
    tokio::time::sleep(Duration::from_millis(100)).await;
    tenant.gate.notify_one();
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.headers()["connection"], "close");
    read(response).await.unwrap();
    drained.await.unwrap();
}

#[tokio::test]
async fn the_connections_of_a_removed_tenant_end_and_no_others() {
    for alpn in ["http/1.1", "h2"] {
        let limits = Limits { removal: Duration::from_millis(300), ..fast() };
        let site = Site::start(limits);
        let (a, tenant_a) = site.tenant("a", "127.0.0.1");
        let (b, tenant_b) = site.tenant("b", "127.0.0.2");
        let dial = || Dial::new(a, &tenant_a.authority, alpn).http();
        let (mut idle, mut watching, mut stubborn) = (dial().await, dial().await, dial().await);
        let mut other = Dial::new(b, &tenant_b.authority, alpn).http().await;
        idle.text("/who").await.unwrap();
        other.text("/who").await.unwrap();
        let watch = first_chunk(&mut watching, "/watch").await;
        let forever = first_chunk(&mut stubborn, "/forever").await;

        site.directory.0.lock().remove(&a);
        tenant_a.removed.cancel();
        assert_eq!(watch.collect().await.unwrap().to_bytes(), "last\n");
        forever.collect().await.expect_err("it was cut");
        eventually("all are gone", || tenant_a.connections.open() == 0).await;
        assert_eq!(site.server.stats().cut(Cut::Removed), 1);
        idle.text("/who").await.unwrap_err();
        other.text("/who").await.unwrap();
    }
}
