//! Connections that are taken over: port-forward's tunnels, and how they end.

use std::time::{Duration, Instant};

use fakeapi_tests::{Access, Program};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

const PATH: &str = "/api/v1/namespaces/kube-system/pods/kube-apiserver-n0/portforward";
const PING: [u8; 12] = [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1];
/// The server's farewell when no stream was opened.
const GOAWAY: [u8; 16] = [0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];

async fn program() -> (Program, Access) {
    let program = Program::start(&[]).await.unwrap();
    program.control().register("c").await.unwrap();
    program.control().control_plane("c", "n0").await.unwrap();
    let access = program.access("c").await.unwrap();
    (program, access)
}

/// A SPDY session that has answered a ping.
async fn tunnel(access: &Access) -> TlsStream<TcpStream> {
    let mut stream = access.http1().tls().await.unwrap();
    let head = format!(
        "POST {PATH}?timeout=10s HTTP/1.1\r\nHost: c\r\nConnection: Upgrade\r\n\
         Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 switching protocols\r\n"), "{answer}");
    assert!(answer.contains("\r\nupgrade: spdy/3.1\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-stream-protocol-version: portforward.k8s.io\r\n"), "{answer}");
    assert!(is_alive(&mut stream).await);
    stream
}

async fn is_alive(stream: &mut TlsStream<TcpStream>) -> bool {
    let mut pong = [0; PING.len()];
    stream.write_all(&PING).await.is_ok()
        && stream.read_exact(&mut pong).await.is_ok()
        && pong == PING
}

async fn last_words(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut last = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut last)).await;
    read.expect("the tunnel ends").unwrap();
    last
}

#[tokio::test]
async fn a_removed_cluster_closes_its_tunnels_and_no_others() {
    let (program, access) = program().await;
    program.control().register("other").await.unwrap();
    program.control().control_plane("other", "n0").await.unwrap();
    let mut others = tunnel(&program.access("other").await.unwrap()).await;
    let mut stream = tunnel(&access).await;
    let began = Instant::now();
    program.control().unregister("c").await.unwrap();
    assert_eq!(last_words(&mut stream).await, GOAWAY);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(is_alive(&mut others).await);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_tunnels() {
    let (mut program, access) = program().await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(tunnel(&access).await);
    }
    let began = Instant::now();
    let status = program.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}: {}", program.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for stream in &mut streams {
        assert_eq!(last_words(stream).await, GOAWAY);
    }
}

#[tokio::test]
async fn http2_has_no_connection_to_take_over() {
    let (_program, access) = program().await;
    let session = access.connect().await.unwrap();
    for method in [Method::GET, Method::POST] {
        let answer = session.call(method, PATH, "application/json", "").await.unwrap();
        assert_eq!(answer.status, 400, "{answer}");
        assert_eq!(answer.json().unwrap()["message"], "Upgrade request required");
    }
    let absent = PATH.replace("n0", "n1");
    let answer = session.get(&absent).await.unwrap();
    assert_eq!(answer.status, 404, "{answer}");
}
