//! A client that speaks HTTP to this HTTPS port is told so in its own words, as Go's server does;
//! a TLS alert would reach its user as garbage.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Tenant;
use super::socket::Socket;

/// What Go's `net/http` answers, byte for byte.
const ANSWER: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// The first byte of a TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// How requests begin, as far as a TLS record header reaches; Go's list.
const REQUESTS: [&[u8; 5]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];
/// How much of the request is read, so that closing does not reset what was answered.
const REST: u64 = 64 * 1024;
/// How long that may take.
const REST_WAIT: Duration = Duration::from_secs(1);

/// Whether the client's first bytes are an HTTP request. Takes none of them.
pub(super) async fn is_http<T: Tenant>(socket: &Socket<T>) -> io::Result<bool> {
    let mut first = [0; 5];
    let read = socket.peek(&mut first).await?;
    if read == 0 || first[0] == TLS_HANDSHAKE {
        return Ok(false);
    }
    Ok(read == first.len() && REQUESTS.contains(&&first))
}

/// Answers the request and closes the connection.
pub(super) async fn refuse<T: Tenant>(mut socket: Socket<T>) -> io::Result<()> {
    socket.write_all(ANSWER).await?;
    socket.shutdown().await?;
    let rest = &mut tokio::io::sink();
    let mut request = socket.take(REST);
    // A client that goes on sending is one we need not be polite to.
    match timeout(REST_WAIT, tokio::io::copy(&mut request, rest)).await {
        Ok(read) => read.map(drop),
        Err(_) => Ok(()),
    }
}
