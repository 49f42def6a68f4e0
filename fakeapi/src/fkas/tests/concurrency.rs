//! Many callers at once, callers that leave, and the orderly end.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;

use super::{Server, request};
use crate::fkas::fake::FakeRegistrar;
use crate::fkas::{Limits, Stopped};

const SLOW: Duration = Duration::from_millis(300);

fn slow_server(delay: Duration) -> Server {
    let registrar = FakeRegistrar { delay, ..FakeRegistrar::default() };
    Server::with(registrar, Limits::default())
}

#[tokio::test]
async fn sixty_four_for_one_name_get_one_address() {
    let server = slow_server(SLOW);
    let body = r#"{"cluster":"c","namespace":"ns"}"#;
    let answers = join_all((0..64).map(|_| server.ask_short("POST", "/register", body))).await;
    let distinct: BTreeSet<_> = answers.into_iter().collect();
    assert_eq!(distinct.len(), 1);
    assert_eq!(distinct.first().unwrap().0, 200);
    assert_eq!(server.registrar.clusters.lock().len(), 1);
}

#[tokio::test]
async fn sixty_four_names_get_sixty_four_addresses() {
    let server = slow_server(SLOW);
    let register = |number: usize| {
        let body = format!(r#"{{"cluster":"c{number}","namespace":"ns"}}"#);
        let server = &server;
        async move { server.ask_short("POST", "/register", &body).await }
    };
    let answers = join_all((0..64).map(register)).await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
    let hosts: BTreeSet<_> =
        answers.iter().map(|(_, text)| text.split("\"Host\":").nth(1).unwrap()).collect();
    assert_eq!(hosts.len(), 64);
}

/// Sends a registration and waits until it is being carried out.
async fn begin(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let request = request("POST", "/register", r#"{"cluster":"c","namespace":"ns"}"#);
    stream.write_all(request.as_bytes()).unwrap();
    while server.registrar.begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stream
}

#[tokio::test]
async fn a_write_finishes_when_its_client_has_left() {
    let server = slow_server(SLOW);
    let stream = begin(&server).await;
    // Closing then resets the connection.
    let linger = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    linger.unwrap();
    drop(stream);
    assert!(server.registrar.get("ns/c").is_none(), "the client left too late to show anything");
    assert_eq!(server.control.shutdown(20 * SLOW).await, Stopped::Drained);
    assert!(server.registrar.get("ns/c").is_some());
}

#[tokio::test]
async fn a_write_finishes_when_its_connection_is_cut() {
    let server = slow_server(SLOW);
    let stream = begin(&server).await;
    let Server { registrar, control } = server;
    drop(control);
    assert!(registrar.get("ns/c").is_none(), "the cut came too late to show anything");
    let finished = async {
        while registrar.get("ns/c").is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(20 * SLOW, finished).await;
    assert!(waited.is_ok(), "the write died with its connection");
    drop(stream);
}

#[tokio::test]
async fn shutdown_lets_answers_out_and_closes_idle_connections() {
    let server = slow_server(SLOW);
    let address = server.address();
    let idle = TcpStream::connect(address).unwrap();
    let mut asking = begin(&server).await;
    assert_eq!(server.control.shutdown(20 * SLOW).await, Stopped::Drained);
    let mut answer = String::new();
    asking.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(TcpStream::connect(address).is_err(), "the port is still open");
    drop(idle);
}

#[tokio::test]
async fn shutdown_cuts_at_its_deadline() {
    let server = slow_server(Duration::from_mins(10));
    let mut stream = begin(&server).await;
    let stopped = server.control.shutdown(SLOW).await;
    let expected = Stopped::Cut { connections: 1, writes: 1 };
    assert_eq!(stopped, expected);
    let mut rest = [0; 1];
    let ended = tokio::task::spawn_blocking(move || stream.read(&mut rest));
    assert!(matches!(ended.await.unwrap(), Ok(0) | Err(_)));
}
