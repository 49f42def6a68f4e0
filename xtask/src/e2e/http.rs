//! HTTP/1.1 as far as the control port needs it: one request after the other on one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The longest answer that is read, in bytes: a kubeconfig has some thousands.
const MAX_BODY: usize = 1 << 20;

/// A connection that is kept open.
#[derive(Debug)]
pub(super) struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
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

    /// Sends a request; the body of its answer.
    ///
    /// # Errors
    /// When the answer is no success (the error tells what it says), or no answer.
    pub(super) fn request(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (status, length) = self.head().with_context(|| format!("{method} {path}"))?;
        ensure!(length <= MAX_BODY, "{method} {path} is answered with {length} bytes");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8(body)?;
        ensure!(status / 100 == 2, "{method} {path} is answered with {status}: {}", body.trim());
        Ok(body)
    }

    /// Status and length of the body.
    fn head(&mut self) -> Result<(u16, usize)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let Some(status) = status else { bail!("{first:?} begins no answer") };
        let mut length = 0;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().with_context(|| format!("{line:?} is no length"))?;
            }
        }
        Ok((status, length))
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
                           HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\n\r\ntook";
            peer.write_all(answers.as_bytes()).unwrap();
            let mut asked = String::new();
            peer.read_to_string(&mut asked).unwrap();
            assert!(asked.starts_with("GET /a HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("GET /b HTTP/1.1\r\n"), "{asked}");
        });
        let mut connection = Connection::open(address).unwrap();
        assert_eq!(connection.request("GET", "/a", "").unwrap(), "hi");
        let error = connection.request("GET", "/b", "").unwrap_err().to_string();
        assert_eq!(error, "GET /b is answered with 409: took");
        drop(connection);
        server.join().unwrap();
    }
}
