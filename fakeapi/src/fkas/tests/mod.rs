//! The control port over real HTTP on loopback.

mod bounds;
mod bulk;
mod concurrency;
mod connections;
mod contract;
mod newer;
mod older;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::fake::FakeRegistrar;
use super::{ControlServer, Limits};

/// A server over a [`FakeRegistrar`], on a port of its own.
struct Server {
    registrar: Arc<FakeRegistrar>,
    control: ControlServer,
}

impl Server {
    fn start() -> Self {
        Self::with(FakeRegistrar::default(), Limits::default())
    }

    fn with(registrar: FakeRegistrar, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registrar = Arc::new(registrar);
        let control = ControlServer::start(
            listener,
            Arc::clone(&registrar) as _,
            Arc::new(|| "fakeapi_clusters 1\n".to_owned()),
            limits,
        );
        Self { registrar, control: control.unwrap() }
    }

    fn address(&self) -> SocketAddr {
        self.control.address()
    }

    /// Sends one request and gives the whole answer.
    async fn ask(&self, method: &str, target: &str, body: &str) -> String {
        let request = request(method, target, body);
        let address = self.address();
        tokio::task::spawn_blocking(move || exchange(address, request.as_bytes())).await.unwrap()
    }

    /// The status and body of an answer.
    async fn ask_short(&self, method: &str, target: &str, body: &str) -> (u16, String) {
        let answer = self.ask(method, target, body).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        (head[9..12].parse().unwrap(), body.to_owned())
    }
}

fn request(method: &str, target: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends bytes and reads to the end, without the `Date` and `Connection` headers.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let head: Vec<_> = head
        .split("\r\n")
        .filter(|line| !line.starts_with("Date: ") && !line.starts_with("Connection: "))
        .collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n"))
}
