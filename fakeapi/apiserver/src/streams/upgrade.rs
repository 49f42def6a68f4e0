//! Taking a connection over.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::kubelet::PodConnection;

/// What is done with a connection that was taken over.
pub type Takeover = Box<dyn FnOnce(PodConnection) -> BoxFuture<'static, ()> + Send>;

/// In the extensions of a request whose connection can be taken over.
#[derive(Clone)]
pub struct Upgrade(Arc<dyn Fn(Takeover) + Send + Sync>);

impl Upgrade {
    /// `run` is called at most once, before `101 Switching Protocols` is answered. It has the
    /// takeover run when the connection is free, to its end.
    pub fn new(run: impl Fn(Takeover) + Send + Sync + 'static) -> Self {
        Self(Arc::new(run))
    }

    /// Takes the connection over as soon as the answer has left.
    pub(crate) fn take(
        &self,
        session: impl FnOnce(PodConnection) -> BoxFuture<'static, ()> + Send + 'static,
    ) {
        (self.0)(Box::new(session));
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}
