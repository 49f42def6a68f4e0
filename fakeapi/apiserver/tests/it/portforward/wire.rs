//! Bytes over loopback, as WebSocket clients of the old kind send them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use pretty_assertions::assert_eq;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{listen, server};
use crate::harness::PODS;

async fn connect(query: &str, protocol: &'static str) -> WebSocketStream<TcpStream> {
    let address = listen(server().await).await;
    let uri = format!("ws://{address}{PODS}/web/portforward{query}");
    let mut request = uri.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    let socket = TcpStream::connect(address).await.unwrap();
    let (socket, response) = client_async(request, socket).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
    socket
}

#[tokio::test]
async fn channels_carry_ports_side_by_side() {
    let mut socket = connect("?ports=7,81&ports=13", "v4.channel.k8s.io").await;
    let (mut begun, mut why, mut said, mut echoed) = (Vec::new(), None, 0, false);
    let mut sent = false;
    while let Some(message) = socket.next().await {
        let bytes = match message.unwrap() {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => panic!("port 7 is still open"),
            other => panic!("{other:?}"),
        };
        match (bytes[0], &bytes[1..]) {
            (channel, number) if number.len() == 2 && begun.len() < 6 => {
                begun.push((channel, u16::from_le_bytes(number.try_into().unwrap())));
            }
            (3, text) => why = Some(String::from_utf8(text.to_vec()).unwrap()),
            (4, bytes) => said += bytes.len(),
            (0, bytes) => {
                assert_eq!(bytes, b"hello");
                echoed = true;
            }
            other => panic!("{other:?}"),
        }
        if begun.len() == 6 && !sent {
            sent = true;
            // Channels that nobody reads are passed over.
            for message in [&b"\x01x"[..], b"\x09x", b"", b"\x00hello"] {
                socket.send(Message::binary(message.to_vec())).await.unwrap();
            }
        }
        if echoed && said == 500_000 && why.is_some() {
            break;
        }
    }
    begun.sort_unstable();
    assert_eq!(begun, [(0, 7), (1, 7), (2, 81), (3, 81), (4, 13), (5, 13)]);
    let why = why.unwrap();
    assert!(why.starts_with("error forwarding port 81 to pod "), "{why}");
    assert!(why.contains("connect: connection refused"), "{why}");
}

#[tokio::test]
async fn when_all_ports_have_ended_so_does_the_websocket() {
    let mut socket = connect("?ports=81&ports=82", "v4.base64.channel.k8s.io").await;
    let mut messages = Vec::new();
    while let Some(message) = socket.next().await {
        match message.unwrap() {
            Message::Text(text) => {
                let bytes = STANDARD.decode(&text[1..]).unwrap();
                messages.push((text[..1].to_owned(), bytes));
            }
            Message::Close(_) => break,
            other => panic!("{other:?}"),
        }
    }
    let numbers: Vec<&str> = messages.iter().map(|(number, _)| &**number).collect();
    assert_eq!(numbers.len(), 6, "{numbers:?}");
    assert_eq!(messages[0], ("0".to_owned(), vec![81, 0]));
    let texts = messages.iter().filter(|(_, bytes)| bytes.starts_with(b"error forwarding port 8"));
    assert_eq!(texts.count(), 2);
}

#[tokio::test]
async fn base64_is_read_as_it_is_written() {
    let mut socket = connect("?ports=7", "v4.base64.channel.k8s.io").await;
    for _ in 0..2 {
        socket.next().await.unwrap().unwrap();
    }
    socket.send(Message::text(format!("0{}", STANDARD.encode("to and fro")))).await.unwrap();
    let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("not text") };
    assert_eq!(STANDARD.decode(&text[1..]).unwrap(), b"to and fro");
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn a_server_that_goes_down_closes_its_tunnels() {
    let server = server().await;
    let address = listen(server.clone()).await;
    let uri = format!("ws://{address}{PODS}/web/portforward");
    let mut request = uri.into_client_request().unwrap();
    let protocol = "SPDY/3.1+portforward.k8s.io".parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(request, socket).await.unwrap();
    socket.send(Message::binary(vec![0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 7])).await.unwrap();
    let ping = socket.next().await.unwrap().unwrap();
    assert_eq!(ping.into_data(), &[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 7][..]);
    server.stop();
    let mut last = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(bytes) = message {
            last.extend_from_slice(&bytes);
        }
    }
    assert_eq!(last, [0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0], "GOAWAY");
}
