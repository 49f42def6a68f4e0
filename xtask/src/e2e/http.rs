//! HTTP/1.1 as far as the control port and `kubectl proxy` need it: one request after the other on
//! one connection.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The longest answer that is read, in bytes: a list of all machines of some hundred clusters.
const MAX_BODY: usize = 64 << 20;

/// A connection that is kept open.
#[derive(Debug)]
pub(super) struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// What a server says to a request.
#[derive(Debug)]
pub(super) struct Answer {
    /// The code.
    pub(super) status: u16,
    /// The whole body.
    pub(super) body: String,
}

impl Answer {
    /// Whether the request was carried out.
    pub(super) fn succeeded(&self) -> bool {
        self.status / 100 == 2
    }
}

/// How a body's end is known.
enum Length {
    Known(usize),
    Chunked,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { address, stream: BufReader::new(stream) })
    }

    /// Whether the peer has ended it.
    pub(super) fn ended(&self) -> bool {
        let stream = self.stream.get_ref();
        let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        let quiet = peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        stream.set_nonblocking(false).is_err() || !quiet
    }

    /// Sends a request; the body of its answer.
    ///
    /// # Errors
    /// When the answer is no success (the error tells what it says), or no answer.
    pub(super) fn request(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        let answer = self.send(method, path, "application/json", body)?;
        let told = answer.body.trim();
        ensure!(answer.succeeded(), "{method} {path} is answered with {}: {told}", answer.status);
        Ok(answer.body)
    }

    /// Sends a request with a body of the type `content`; its answer, whatever that is.
    ///
    /// # Errors
    /// When there is no answer.
    pub(super) fn send(
        &mut self,
        method: &str,
        path: &str,
        content: &str,
        body: &str,
    ) -> Result<Answer> {
        let (address, length) = (self.address, body.len());
        let kind = match body {
            "" => String::new(),
            _ => format!("Content-Type: {content}\r\n"),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer().with_context(|| format!("{method} {path}"))
    }

    fn answer(&mut self) -> Result<Answer> {
        let (status, length) = self.head()?;
        let mut body = Vec::new();
        match length {
            Length::Known(length) => self.take(length, &mut body)?,
            Length::Chunked => self.chunks(&mut body)?,
        }
        Ok(Answer { status, body: String::from_utf8(body)? })
    }

    /// Status and length of the body.
    fn head(&mut self) -> Result<(u16, Length)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let Some(status) = status else { bail!("{first:?} begins no answer") };
        let mut length = Length::Known(0);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let parsed = value.parse().with_context(|| format!("{line:?} is no length"))?;
                length = Length::Known(parsed);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                ensure!(value.eq_ignore_ascii_case("chunked"), "{line:?} is not understood");
                length = Length::Chunked;
            }
        }
        Ok((status, length))
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> Result<()> {
        let before = body.len();
        ensure!(length <= MAX_BODY - before, "an answer of more than {MAX_BODY} bytes");
        body.resize(before + length, 0);
        Ok(self.stream.read_exact(&mut body[before..])?)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<()> {
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16)
                .with_context(|| format!("{line:?} begins no chunk"))?;
            self.take(length, body)?;
            // The line's end after a chunk, or the end of the trailers after the last.
            let rest = self.line()?;
            ensure!(rest.is_empty(), "{rest:?} after a chunk");
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the connection ended");
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answers_are_read_one_after_the_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let answers = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi\
                           HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                           3\r\none\r\nb;x=y\r\nand another\r\n0\r\n\r\n\
                           HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\n\r\ntook";
            peer.write_all(answers.as_bytes()).unwrap();
            let mut asked = String::new();
            peer.read_to_string(&mut asked).unwrap();
            assert!(asked.starts_with("GET /a HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("GET /b HTTP/1.1\r\n"), "{asked}");
        });
        let mut connection = Connection::open(address).unwrap();
        assert_eq!(connection.request("GET", "/a", "").unwrap(), "hi");
        assert_eq!(connection.request("GET", "/c", "").unwrap(), "oneand another");
        let error = connection.request("GET", "/b", "").unwrap_err().to_string();
        assert_eq!(error, "GET /b is answered with 409: took");
        drop(connection);
        server.join().unwrap();
    }
}
