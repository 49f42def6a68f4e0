//! `WebSocket`s (RFC 6455) on the server's side: the handshake, and one as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::{Sink, Stream};
use http::HeaderMap;
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::header::{HeaderName, UPGRADE};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The largest message taken. client-go's hold 32 KiB of data.
pub const MESSAGE_MAX: usize = 1024 * 1024;
/// The largest message sent.
const MESSAGE_OUT: usize = 32 * 1024;
/// What is read at once.
const READ_BUFFER: usize = 16 * 1024;
/// What may wait for the connection to take it.
const WRITE_BUFFER_MAX: usize = 128 * 1024;

/// Whether a request wants its connection to be upgraded, to whatever.
pub(crate) fn wants_upgrade(headers: &HeaderMap) -> bool {
    texts(headers, &CONNECTION).any(|value| value.to_ascii_lowercase().contains("upgrade"))
}

/// Whether a request wants to speak WebSocket.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    let upgrade = texts(headers, &UPGRADE).next();
    upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket")) && wants_upgrade(headers)
}

/// The subprotocols offered, in their order.
pub(crate) fn offered(headers: &HeaderMap) -> Vec<&str> {
    let value = texts(headers, &SEC_WEBSOCKET_PROTOCOL).next().unwrap_or_default();
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// `Sec-WebSocket-Accept` for a handshake; none when it is not one of version 13.
pub(crate) fn accept_key(headers: &HeaderMap) -> Option<String> {
    use base64::Engine;
    let version = texts(headers, &SEC_WEBSOCKET_VERSION).next()?;
    let key = texts(headers, &SEC_WEBSOCKET_KEY).next()?.trim();
    let nonce = base64::engine::general_purpose::STANDARD.decode(key).ok()?;
    (version.trim() == "13" && nonce.len() == 16).then(|| derive_accept_key(key.as_bytes()))
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// The server's side of a WebSocket, with our bounds.
pub(crate) async fn open<IO: AsyncRead + AsyncWrite + Unpin>(io: IO) -> WebSocketStream<IO> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

/// A WebSocket that carries one stream of bytes in binary messages, whose borders mean nothing.
#[derive(Debug)]
pub struct Tunnel<IO> {
    socket: WebSocketStream<IO>,
    /// What of a message was not read yet.
    unread: Bytes,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Tunnel<IO> {
    /// A tunnel over a connection whose handshake is done.
    pub async fn over(io: IO) -> Self {
        Self { socket: open(io).await, unread: Bytes::new() }
    }
}

/// What a WebSocket's error is to who reads or writes bytes.
fn as_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

/// Whether an error says that the other side has left.
pub(crate) fn is_end(error: &Error) -> bool {
    matches!(
        error,
        Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
    )
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tunnel<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.unread.has_remaining() {
                let taken = this.unread.len().min(buf.remaining());
                buf.put_slice(&this.unread.split_to(taken));
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => this.unread = bytes,
                Some(Ok(Message::Text(_))) => {
                    let why = "a message of text came in a tunnel";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                // Pings are answered below, at the next flush or read.
                Some(Ok(_)) => {}
                Some(Err(error)) if is_end(&error) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(as_io(error))),
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tunnel<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut self.get_mut().socket;
        ready!(Pin::new(&mut *socket).poll_ready(cx)).map_err(as_io)?;
        let part = &buf[..buf.len().min(MESSAGE_OUT)];
        let message = Message::Binary(Bytes::copy_from_slice(part));
        Pin::new(socket).start_send(message).map_err(as_io)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx).map_err(as_io)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.get_mut().socket).poll_close(cx)) {
            Err(error) if !is_end(&error) => Poll::Ready(Err(as_io(error))),
            Ok(()) | Err(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    async fn pair() -> (Tunnel<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (ours, theirs) = duplex(4096);
        let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        (Tunnel::over(ours).await, client)
    }

    #[tokio::test]
    async fn bytes_pass_whatever_the_messages_are() {
        let (mut tunnel, mut client) = pair().await;
        for message in ["ab", "", "c"] {
            client.send(Message::binary(message)).await.unwrap();
        }
        client.send(Message::Ping("there?".into())).await.unwrap();
        client.send(Message::binary("def")).await.unwrap();
        let mut bytes = [0; 6];
        tunnel.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"abcdef");
        let long = vec![b'x'; 100_000];
        let writing = tokio::spawn(async move {
            tunnel.write_all(&long).await.unwrap();
            tunnel.shutdown().await.unwrap();
        });
        let (mut pongs, mut got) = (0, 0);
        while let Some(Ok(message)) = client.next().await {
            match message {
                Message::Binary(bytes) => got += bytes.len(),
                Message::Pong(said) => pongs += usize::from(said == "there?"),
                Message::Close(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((got, pongs), (100_000, 1));
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn a_close_ends_the_bytes() {
        let (mut tunnel, mut client) = pair().await;
        client.send(Message::binary("a")).await.unwrap();
        client.close(None).await.unwrap();
        let mut bytes = Vec::new();
        tunnel.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"a");
    }

    #[tokio::test]
    async fn text_is_no_part_of_a_tunnel() {
        let (mut tunnel, mut client) = pair().await;
        client.send(Message::text("a")).await.unwrap();
        let error = tunnel.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_message_has_a_bound() {
        let (mut tunnel, mut client) = pair().await;
        tokio::spawn(async move { client.send(Message::binary(vec![0; MESSAGE_MAX + 1])).await });
        assert!(tunnel.read_u8().await.is_err());
    }

    #[test]
    fn a_handshake_has_a_version_and_a_key() {
        let headers = |version: &str, key: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_WEBSOCKET_VERSION, version.parse().unwrap());
            headers.insert(SEC_WEBSOCKET_KEY, key.parse().unwrap());
            headers
        };
        // The example of RFC 6455, 1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let accept = Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned());
        assert_eq!(accept_key(&headers("13", key)), accept);
        assert_eq!(accept_key(&headers("8", key)), None);
        assert_eq!(accept_key(&headers("13", "c2hvcnQ=")), None);
        assert_eq!(accept_key(&HeaderMap::new()), None);
    }
}
