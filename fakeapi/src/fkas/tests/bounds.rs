//! Bounds and deadlines.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Server, exchange, request};
use crate::fkas::Limits;
use crate::fkas::fake::FakeRegistrar;

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn a_body_that_is_too_long() {
    let server = Server::start();
    let address = server.address();
    let head = "POST /register HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    // One says so, the other is found out.
    let said = format!("{head}Content-Length: 1048577\r\n\r\n");
    let half = "x".repeat(600_000);
    let found = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{0:x}\r\n{half}\r\n{0:x}\r\n{half}\r\n",
        600_000
    );
    for request in [said, found] {
        let answer = blocking(move || exchange(address, request.as_bytes())).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.ends_with("Request body is larger than 1048576 bytes\n"), "{answer}");
    }
    // The largest that fits is read.
    let fits = format!(r#"{{"cluster":"a","namespace":"b"}}{}"#, " ".repeat((1 << 20) - 31));
    assert_eq!(fits.len(), 1 << 20);
    assert_eq!(server.ask_short("POST", "/register", &fits).await.0, 200);
}

#[tokio::test]
async fn heads_have_a_bound_above_64_kib() {
    let server = Server::start();
    let address = server.address();
    let with_header = |bytes: usize| {
        format!(
            "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n",
            "y".repeat(bytes)
        )
    };
    for (bytes, status) in [(100_000, "200"), (140_000, "431")] {
        let request = with_header(bytes);
        let answer = blocking(move || exchange(address, request.as_bytes())).await;
        assert_eq!(&answer[9..12], status, "{bytes}");
    }
    let target = |bytes: usize| format!("/register?resource=a/b&caKey=&x={}", "y".repeat(bytes));
    assert_eq!(server.ask_short("GET", &target(60_000), "").await.0, 200);
    let request = request("GET", &target(70_000), "");
    let answer = blocking(move || exchange(address, request.as_bytes())).await;
    assert_eq!(&answer[9..12], "414");
}

#[tokio::test]
async fn deadlines_end_connections() {
    let limits = Limits {
        read_deadline: Duration::from_millis(300),
        idle_deadline: Duration::from_secs(3),
        ..Limits::default()
    };
    let server = Server::with(FakeRegistrar::default(), limits);
    let address = server.address();
    let lasts = |bytes: &'static str| {
        blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let started = Instant::now();
            stream.write_all(bytes.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            (started.elapsed().as_millis(), answer)
        })
    };
    let head_missing = "GET /healthz HTTP/1.1\r\nHost:";
    let body_missing = "POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    for slow in ["", head_missing, body_missing] {
        let (lasted, answer) = lasts(slow).await;
        assert!((250..2900).contains(&lasted), "{slow:?} lasted {lasted} ms");
        assert_eq!(answer, "");
    }
    let (lasted, answer) = lasts("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(lasted >= 2900, "idle lasted {lasted} ms");
}

#[tokio::test]
async fn connections_past_the_bound_wait() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = Server::with(FakeRegistrar::default(), limits);
    let address = server.address();
    let first = blocking(move || {
        let mut first = TcpStream::connect(address).unwrap();
        first.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut some = [0; 12];
        first.read_exact(&mut some).unwrap();
        first
    })
    .await;
    let asking = server.ask_short("GET", "/healthz", "");
    let mut asking = std::pin::pin!(asking);
    let early = tokio::time::timeout(Duration::from_millis(300), asking.as_mut()).await;
    assert!(early.is_err(), "the second connection was served beside the first");
    drop(first);
    assert_eq!(asking.await, (200, "ok".to_owned()));
}
