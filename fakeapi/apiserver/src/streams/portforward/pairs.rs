//! Which two streams belong together (`cri-streaming/pkg/streaming/portforward/httpstream.go`).

use std::time::Duration;

use tokio::time::Instant;

use crate::streams::spdy::{Headers, Stream, StreamId};

/// How long the second stream of a pair may take.
pub(crate) const PAIRING: Duration = Duration::from_secs(30);

/// What a stream of a pair is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It tells what went wrong.
    Error,
    /// It carries the bytes.
    Data,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Data => "data",
        }
    }
}

/// What a stream's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) port: u16,
    /// What the two streams of a pair have in common.
    pub(super) request: String,
}

impl Part {
    /// Reads a stream's headers; none when they do not say what is needed.
    pub(super) fn read(id: StreamId, headers: &Headers) -> Option<Self> {
        let port = headers.get("port")?;
        // Go's parser of numbers takes no sign.
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then_some(port)?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let role = match headers.get("streamtype")? {
            "error" => Role::Error,
            "data" => Role::Data,
            _ => return None,
        };
        let request = headers.get("requestid").filter(|request| !request.is_empty());
        let request = request.map_or_else(|| guessed(id, role), str::to_owned);
        Some(Self { role, port, request })
    }
}

/// Clients before Kubernetes 1.5 do not say which streams belong together: the data stream comes
/// right after its error stream.
fn guessed(id: StreamId, role: Role) -> String {
    match role {
        Role::Error => i64::from(id).to_string(),
        Role::Data => (i64::from(id) - 2).to_string(),
    }
}

/// Both streams of a forwarded connection.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) port: u16,
    pub(super) error: Stream,
    pub(super) data: Stream,
}

/// A pair of which one stream is missing.
#[derive(Debug)]
struct Half {
    request: String,
    role: Role,
    /// Of the data stream, when it is that.
    port: u16,
    stream: Stream,
    deadline: Instant,
}

/// What came of a stream.
#[derive(Debug)]
pub(super) enum Added {
    /// Its pair is complete.
    Complete(Pair),
    /// The other stream is missing.
    Waits,
    /// A stream of its kind is there already: words for the pair's error stream.
    Twice(String),
}

/// The pairs that are not complete, the oldest first. There are no more than streams that live: one
/// that was reset is forgotten when the next comes.
#[derive(Debug, Default)]
pub(super) struct Pairs(Vec<Half>);

impl Pairs {
    /// Adds a stream.
    pub(super) fn add(&mut self, part: Part, stream: Stream) -> Added {
        let Part { role, port, request } = part;
        self.0.retain(|half| !half.stream.has_ended());
        let Some(at) = self.0.iter().position(|half| half.request == request) else {
            let deadline = Instant::now() + PAIRING;
            self.0.push(Half { request, role, port, stream, deadline });
            return Added::Waits;
        };
        if self.0[at].role == role {
            return Added::Twice(format!(
                "error processing stream for request {request}: {} stream already assigned",
                role.name()
            ));
        }
        let half = self.0.remove(at);
        Added::Complete(match role {
            Role::Error => Pair { port: half.port, error: stream, data: half.stream },
            Role::Data => Pair { port, error: half.stream, data: stream },
        })
    }

    /// The error stream of a pair that is not complete.
    pub(super) fn error_stream(&mut self, request: &str) -> Option<&mut Stream> {
        let half = self.0.iter_mut().find(|half| half.request == request)?;
        (half.role == Role::Error).then_some(&mut half.stream)
    }

    /// When the oldest pair must be complete.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.first().map(|half| half.deadline)
    }

    /// Gives up on the oldest pair: its error stream, if it is that, and words for it.
    pub(super) fn expire(&mut self) -> Option<(Stream, String)> {
        let half = (!self.0.is_empty()).then(|| self.0.remove(0))?;
        let why = format!("(request={}) timed out waiting for streams", half.request);
        (half.role == Role::Error).then_some((half.stream, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: StreamId, pairs: &[(&str, &str)]) -> Option<(Role, u16, String)> {
        let headers = pairs.iter().fold(Headers::default(), |all, (n, v)| all.with(n, v));
        Part::read(id, &headers).map(|part| (part.role, part.port, part.request))
    }

    #[test]
    fn headers_say_what_a_stream_is_for() {
        let error = [("streamType", "error"), ("port", "80"), ("requestID", "7")];
        assert_eq!(part(1, &error), Some((Role::Error, 80, "7".into())));
        let old = [("streamType", "data"), ("port", "80")];
        assert_eq!(part(7, &old), Some((Role::Data, 80, "5".into())));
        assert_eq!(part(1, &old), Some((Role::Data, 80, "-1".into())));
        let old = [("streamType", "error"), ("port", "65535")];
        assert_eq!(part(5, &old), Some((Role::Error, 65_535, "5".into())));
        for port in ["", "0", "65536", "-1", "+1", "http"] {
            assert_eq!(part(1, &[("streamType", "data"), ("port", port)]), None, "{port}");
        }
        assert_eq!(part(1, &[("port", "80")]), None);
        assert_eq!(part(1, &[("streamType", "data")]), None);
        assert_eq!(part(1, &[("streamType", "stdin"), ("port", "80")]), None);
    }
}
