//! The ways HTTP/1 clients use a connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::Server;

/// Sends `pieces`, each when the server had time to see the one before, ends the sending side, and
/// reads to the end.
async fn talk(server: &Server, pieces: Vec<String>) -> String {
    let address = server.address();
    let talking = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        for piece in pieces {
            stream.write_all(piece.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(30));
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers
    };
    tokio::task::spawn_blocking(talking).await.unwrap()
}

fn post(cluster: &str, extra: &str) -> (String, String) {
    let body = format!(r#"{{"cluster":"{cluster}","namespace":"ns"}}"#);
    let length = body.len();
    let head =
        format!("POST /register HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: {length}\r\n\r\n");
    (head, body)
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = Server::start();
    let (first, second) = (post("a", ""), post("b", ""));
    let together = format!("{}{}{}{}", first.0, first.1, second.0, second.1);
    let answers = talk(&server, vec![together]).await;
    let a = answers.find(r#""ResourceName":"ns/a""#).expect(&answers);
    let b = answers.find(r#""ResourceName":"ns/b""#).expect(&answers);
    assert!(a < b);
    let (head, body) = post("c", "");
    let (start, end) = body.split_at(5);
    let answers = talk(&server, vec![head, start.to_owned(), end.to_owned()]).await;
    assert!(answers.contains(r#""ResourceName":"ns/c""#), "{answers}");
}

#[tokio::test]
async fn a_client_may_ask_before_it_sends() {
    let server = Server::start();
    let (head, body) = post("a", "Expect: 100-continue\r\n");
    let answers = talk(&server, vec![head, body]).await;
    assert!(answers.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answers}");
    // One that would send too much is told before.
    let head = "POST /register HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n";
    let answers = talk(&server, vec![head.to_owned()]).await;
    assert!(answers.starts_with("HTTP/1.1 413 "), "{answers}");
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = Server::start();
    let answers = talk(&server, vec!["GET /healthz HTTP/1.0\r\n\r\n".to_owned()]).await;
    assert!(
        answers.starts_with("HTTP/1.0 200 OK\r\n") && answers.ends_with("\r\n\r\nok"),
        "{answers}"
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_registers_nothing() {
    let server = Server::start();
    let (head, body) = post("a", "");
    talk(&server, vec![head, body[..body.len() - 1].to_owned()]).await;
    assert!(server.registrar.clusters.lock().is_empty());
    assert_eq!(server.ask_short("GET", "/healthz", "").await.0, 200);
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = Server::start();
    for noise in
        ["\x16\x03\x01\x02\x00\x01\x00\x01", "nonsense\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let answers = talk(&server, vec![noise.to_owned()]).await;
        assert!(
            answers.is_empty()
                || answers.starts_with("HTTP/1.1 400 ")
                || answers.starts_with("HTTP/1.1 505 "),
            "{answers}"
        );
    }
    assert_eq!(server.ask_short("GET", "/healthz", "").await.0, 200);
}
