//! Connections that are taken over: what follows `101 Switching Protocols` (port-forward).
//!
//! The socket keeps its places among the limits, its deadline for writes, and its place in the
//! drain; who takes it over has to end when [`super::Draining`] says so. A connection that is
//! idle as a matter of HTTP is not looked at any more.

use http::Request;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use super::RequestBody;

/// The connection of a request that may be taken over.
#[derive(Clone, Debug)]
pub struct Takeover(OnUpgrade);

impl Takeover {
    /// The connection of this request; none on HTTP/2, whose connections carry other requests.
    pub fn of(request: &mut Request<RequestBody>) -> Option<Self> {
        request.extensions_mut().remove().map(Self)
    }

    /// Has `session` run as a task once the answer has left. The task ends with it, or when the
    /// client leaves before.
    pub fn run<S>(self, session: impl FnOnce(TokioIo<Upgraded>) -> S + Send + 'static)
    where
        S: Future<Output = ()> + Send,
    {
        tokio::spawn(async move {
            match self.0.await {
                Ok(connection) => session(TokioIo::new(connection)).await,
                Err(error) => tracing::debug!(%error, "a connection was not taken over"),
            }
        });
    }
}
