//! The handshake of one connection, and the ways in which it fails.

use std::io;
use std::sync::Arc;

use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::outage::{NO_TLS, Outage};
use super::plaintext;
use super::socket::Socket;
use super::stats::HandshakeFailure;
use super::worker::Worker;
use super::{BoxError, Directory, Tenant};
use crate::addr::{ClientAddr, ClusterAddr};

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("not done in time")]
    Deadline,
    #[error("the server is draining")]
    Draining,
    #[error("the peer spoke HTTP without TLS")]
    Plaintext,
    #[error("the cluster has an outage")]
    Outage,
    #[error("no serving certificate")]
    Certificate(#[source] BoxError),
    #[error("the peer broke off")]
    Gone(#[source] io::Error),
    #[error("the peer broke the protocol or does not trust us")]
    Protocol(#[source] io::Error),
}

impl HandshakeError {
    /// Under which reason it is counted.
    pub(super) fn counted_as(&self) -> HandshakeFailure {
        match self {
            Self::Deadline => HandshakeFailure::Deadline,
            Self::Draining => HandshakeFailure::Draining,
            Self::Plaintext => HandshakeFailure::Plaintext,
            Self::Outage => HandshakeFailure::Outage,
            Self::Certificate(_) => HandshakeFailure::Certificate,
            Self::Gone(_) => HandshakeFailure::Gone,
            Self::Protocol(_) => HandshakeFailure::Protocol,
        }
    }

    /// Only what is our own fault is the operator's to know; the rest any stranger can cause.
    pub(super) fn log(&self, at: ClusterAddr, client: ClientAddr) {
        let source = std::error::Error::source(self);
        if let Self::Certificate(_) = self {
            tracing::error!(cluster = %at, %client, source, "handshake: {self}");
        } else {
            tracing::debug!(cluster = %at, %client, source, "handshake: {self}");
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let by_rustls =
            error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
        if by_rustls { Self::Protocol(error) } else { Self::Gone(error) }
    }
}

/// Makes a TLS stream of a socket, within [`super::Limits::handshake`] and until the drain. The
/// stream is boxed because it is a kilobyte that its owners pass on from one to the next.
pub(super) async fn handshake<D: Directory>(
    worker: &Worker<D>,
    tenant: &Arc<D::Tenant>,
    at: ClusterAddr,
    socket: Socket<D::Tenant>,
) -> Result<Box<TlsStream<Socket<D::Tenant>>>, HandshakeError> {
    let handshake = async {
        let outage = tenant.outage().now();
        if outage == Some(Outage::Refuse) {
            // It began after the connection was let in.
            socket.reset_on_close();
            return Err(HandshakeError::Outage);
        }
        if outage == Some(Outage::Reset) {
            socket.peek(&mut [0]).await?;
            socket.reset_on_close();
            return Err(HandshakeError::Outage);
        }
        if plaintext::is_http(&socket).await? {
            plaintext::refuse(socket).await?;
            return Err(HandshakeError::Plaintext);
        }
        if outage == Some(Outage::TlsFailure) {
            // Which alert it is does not matter, as long as the client gets one.
            let failed = TlsAcceptor::from(NO_TLS.clone()).accept(socket).await;
            return failed.map(Box::new).map_err(|_| HandshakeError::Outage);
        }
        let config = worker.configs.get(at, &**tenant).map_err(HandshakeError::Certificate)?;
        Ok(Box::new(TlsAcceptor::from(config).accept(socket).await?))
    };
    tokio::select! {
        stream = handshake => stream,
        () = sleep(worker.limits.handshake) => Err(HandshakeError::Deadline),
        () = worker.draining.cancelled() => Err(HandshakeError::Draining),
    }
}
