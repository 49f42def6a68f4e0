//! Bodies on their way through: a request's, bounded in time, and a response's, which keeps its
//! request counted as in flight until the last byte is taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::activity::InFlight;
use super::stall::Progress;

/// Why a request's body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client was too slow ([`super::limits::BODY`]).
    #[error("the request body did not arrive in time")]
    TimedOut,
    /// The connection failed, or the body was not well-formed.
    #[error("the request body could not be read")]
    Receive(#[source] hyper::Error),
}

/// The body of a request, which fails once its deadline is past.
///
/// Its size is not bounded here: what is too large depends on what is asked for.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    /// None for a body that may take as long as it likes.
    deadline: Option<Instant>,
    /// Made when the body first has to be waited for; most are there with their header.
    timer: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, deadline: Instant) -> Self {
        Self { incoming, deadline: Some(deadline), timer: None }
    }

    /// The body of a request that goes on as long as its client likes, as a stream of messages
    /// does.
    #[must_use]
    pub fn without_deadline(self) -> Self {
        Self { deadline: None, ..self }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Receive)));
        }
        let Some(deadline) = this.deadline else { return Poll::Pending };
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx).map(|()| Some(Err(BodyError::TimedOut)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A response body that holds its request's place among those in flight and, on HTTP/2, tells
/// whether it waits for its client.
pub(super) struct ResponseBody<B> {
    body: Pin<Box<B>>,
    progress: Option<Arc<Progress>>,
    _in_flight: InFlight,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(body: B, progress: Option<Arc<Progress>>, in_flight: InFlight) -> Self {
        Self { body: Box::pin(body), progress, _in_flight: in_flight }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let frame = this.body.as_mut().poll_frame(cx);
        if let Some(progress) = &this.progress {
            match &frame {
                Poll::Ready(Some(Ok(_))) => progress.handed_out(),
                Poll::Ready(_) | Poll::Pending => progress.waits(),
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
