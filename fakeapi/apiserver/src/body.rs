//! What is sent back: bytes at once, bytes in parts, or bytes as they come.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures::Stream;
use http_body::{Frame, SizeHint};

/// The body of a response.
pub enum Body {
    /// Parts that are all known: none is copied to join them.
    Parts(VecDeque<Bytes>),
    /// Parts that come when they come.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::Parts(VecDeque::new())
    }

    /// Bytes as they come.
    pub fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self::Stream(Box::pin(stream))
    }

    /// How many bytes it is, when that is known.
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::Parts(parts) => Some(parts.iter().map(Bytes::len).sum()),
            Self::Stream(_) => None,
        }
    }

    /// Whether it is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Parts(VecDeque::from([bytes.into()]))
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        Self::Parts(parts.into_iter().collect())
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.len() {
            Some(len) => write!(f, "Body({len} bytes)"),
            None => f.write_str("Body(stream)"),
        }
    }
}

/// The most bytes handed to the transport in one frame of a body in parts.
const FRAME: usize = 64 * 1024;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Parts(parts) => Poll::Ready(next_frame(parts).map(|b| Ok(Frame::data(b)))),
            Self::Stream(stream) => {
                stream.as_mut().poll_next(cx).map(|next| next.map(|b| Ok(Frame::data(b))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.len().map_or_else(SizeHint::default, |len| SizeHint::with_exact(len as u64))
    }
}

/// Small parts travel together: a frame each would cost more than copying them.
fn next_frame(parts: &mut VecDeque<Bytes>) -> Option<Bytes> {
    while parts.front().is_some_and(Bytes::is_empty) {
        parts.pop_front();
    }
    let first = parts.front_mut()?;
    if first.len() >= FRAME {
        // A slice, not a copy.
        return Some(first.split_to(first.len().min(FRAME)));
    }
    let first = parts.pop_front()?;
    if parts.is_empty() {
        return Some(first);
    }
    let mut frame = Vec::with_capacity(room_for(&first, parts));
    frame.extend_from_slice(&first);
    while let Some(next) = parts.front_mut() {
        let room = FRAME - frame.len();
        if next.len() > room {
            frame.extend_from_slice(&next[..room]);
            next.advance(room);
            break;
        }
        frame.extend_from_slice(next);
        parts.pop_front();
    }
    Some(frame.into())
}

/// How much of a frame the parts fill; no more parts are looked at than it takes.
fn room_for(first: &Bytes, parts: &VecDeque<Bytes>) -> usize {
    let mut room = first.len();
    for part in parts {
        room += part.len();
        if room >= FRAME {
            return FRAME;
        }
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(parts: &[usize]) -> Vec<usize> {
        let mut parts: VecDeque<Bytes> = parts.iter().map(|len| vec![b'x'; *len].into()).collect();
        std::iter::from_fn(|| next_frame(&mut parts)).map(|frame| frame.len()).collect()
    }

    #[test]
    fn small_parts_travel_together_and_large_ones_in_pieces() {
        let cases: [(&[usize], &[usize]); 6] = [
            (&[], &[]),
            (&[0, 0], &[]),
            (&[10, 1], &[11]),
            (&[10, FRAME], &[FRAME, 10]),
            (&[2 * FRAME + 5, 5], &[FRAME, FRAME, 10]),
            (&[FRAME, 1], &[FRAME, 1]),
        ];
        for (parts, expected) in cases {
            assert_eq!(frames(parts), expected, "{parts:?}");
        }
    }
}
