//! A connection's life: accept, TLS by destination, HTTP, drain.
//!
//! The cluster a client reaches is decided by one fact only, the address its packets went to.
//! The kernel keeps it on the accepted socket, so a connection is routed before its first byte is
//! read, and neither SNI nor `Host` can change that.
//!
//! Follow a connection in this order: [`listener`] opens the sockets, [`worker`] accepts, admits
//! and routes, [`tls`] answers with the cluster's certificate, [`client_cert`] tells who the peer
//! is, `conn` speaks HTTP, [`drain`] ends it, [`outage`] lets it go wrong on purpose. [`limits`] names every bound on the way and
//! [`stats`] counts every outcome.
//!
//! Who answers is not known here: the registry of clusters implements [`Directory`], a cluster
//! implements [`Tenant`].

mod activity;
mod body;
pub mod client_cert;
mod conn;
pub mod drain;
mod handshake;
pub mod limits;
pub mod listener;
pub mod outage;
mod plaintext;
mod server;
mod socket;
mod stall;
pub mod stats;
mod takeover;
pub mod tls;
mod version1;
mod within;
pub mod worker;

#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use self::outage::OutageSwitch;
use crate::addr::{ClientAddr, ClusterAddr};

pub use body::{BodyError, RequestBody};
pub use client_cert::{ClientCertificate, ClientIdentity};
pub use drain::Draining;
pub use limits::{ConnectionCount, Limits};
pub use server::{Config, Server, StartError};
pub use takeover::Takeover;
pub use within::Within;

/// An error of another part, which this one hands on without looking inside.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Who answers at an address.
///
/// Asked once a connection, on the worker's own thread: it must not block.
pub trait Directory: Send + Sync + 'static {
    /// What serves one address.
    type Tenant: Tenant;

    /// The tenant at this address, or none, in which case the connection is reset.
    fn tenant(&self, at: ClusterAddr) -> Option<Arc<Self::Tenant>>;
}

/// What serves one address: a fake cluster.
pub trait Tenant: Send + Sync + 'static {
    /// The body of its responses. A body that never ends (a watch) must end when [`Draining`],
    /// found in the request's extensions, says so; one that does not is cut.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Which identity [`Tenant::certificate`] answers now. Two identities ever served at one
    /// address during the life of the process must differ in it, also those of two tenants that
    /// had the address one after the other: TLS configurations are cached by address and
    /// generation.
    fn generation(&self) -> u64;

    /// The serving certificate and its key. Called at a handshake when the worker holds no
    /// configuration for this address and generation; it may sign, so it may take milliseconds.
    fn certificate(&self) -> Result<Arc<CertifiedKey>, BoxError>;

    /// The authorities whose client certificates are trusted.
    fn client_roots(&self) -> Arc<RootCertStore>;

    /// The count of this tenant's open connections, for [`Limits::connections_per_cluster`].
    fn connections(&self) -> &ConnectionCount;

    /// Is cancelled when the tenant is taken away: its connections are then ended, in good order
    /// for a moment and then by force. [`Draining`] tells the requests in flight.
    fn removed(&self) -> &CancellationToken;

    /// Whether the tenant has an outage; one that never has any need not say so.
    fn outage(&self) -> &Arc<OutageSwitch> {
        &outage::NEVER
    }

    /// Answers one request. Runs on the worker that owns the address.
    ///
    /// The future of a read (`GET`, `HEAD`, `OPTIONS`) is dropped when the client goes; that of
    /// any other method runs to its end. The request's extensions hold [`Draining`] and, on
    /// HTTP/1.1, what [`Takeover`] needs.
    fn serve(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// The two ends of a connection and who is at the far one.
#[derive(Debug)]
pub struct Peer {
    /// Where the connection comes from.
    pub client: ClientAddr,
    /// Where it went to, which selected the tenant.
    pub at: ClusterAddr,
    /// What its client certificate says.
    pub identity: ClientIdentity,
}
