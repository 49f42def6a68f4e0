//! Connections that begin and end inside of this process: what a port-forward leads to.
//!
//! They are served as those from outside are, under the same bounds and ended by the same drain,
//! on the worker of the connection that they came through.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::UnixTime;
use tokio::io::DuplexStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::Activity;
use super::client_cert::judge;
use super::conn::{Begun, speak};
use super::limits::{Limits, Place};
use super::stats::WorkerStats;
use super::tls::ALPN_H2;
use super::{ClientIdentity, Peer, Tenant};
use crate::addr::{ClientAddr, ClusterAddr};

/// Bytes on their way in each direction of a connection inside of the process.
const PIPE: usize = 64 * 1024;

/// Found in the extensions of every request (as `Arc<Within>`): where connections go that the
/// request leads to.
#[derive(Debug)]
pub struct Within {
    pub(super) client: ClientAddr,
    pub(super) at: ClusterAddr,
    pub(super) limits: Arc<Limits>,
    pub(super) stats: Arc<WorkerStats>,
    pub(super) tracker: TaskTracker,
    pub(super) draining: CancellationToken,
}

impl Within {
    /// Opens a connection to a tenant, by TLS or, without a configuration, in plain HTTP/1.1.
    /// It has a place among the tenant's; `None` when there is none left, or all is ending.
    ///
    /// Must be called on the runtime of the request. The connection ends with its near end, with
    /// the tenant, and with the server.
    pub fn connect<T: Tenant>(
        self: &Arc<Self>,
        tenant: &Arc<T>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Option<DuplexStream> {
        if self.draining.is_cancelled() || tenant.removed().is_cancelled() {
            return None;
        }
        let place = Place::take(tenant, self.limits.connections_per_cluster)?;
        let (near, far) = tokio::io::duplex(PIPE);
        let (this, tenant) = (Arc::clone(self), Arc::clone(tenant));
        self.tracker.spawn(async move {
            match tls {
                Some(config) => this.serve_tls(tenant, config, far).await,
                None => this.serve_plain(tenant, far).await,
            }
            drop(place);
        });
        Some(near)
    }

    fn peer(&self, identity: ClientIdentity) -> Peer {
        Peer { client: self.client, at: self.at, identity }
    }

    async fn serve_plain<T: Tenant>(self: Arc<Self>, tenant: Arc<T>, far: DuplexStream) {
        let peer = self.peer(ClientIdentity::None);
        speak(self.begun(tenant, peer, false), far).await;
    }

    async fn serve_tls<T: Tenant>(
        self: Arc<Self>,
        tenant: Arc<T>,
        config: Arc<ServerConfig>,
        far: DuplexStream,
    ) {
        let handshake = timeout(self.limits.handshake, TlsAcceptor::from(config).accept(far));
        let done = tokio::select! {
            done = handshake => done,
            () = self.draining.cancelled() => return,
            () = tenant.removed().cancelled() => return,
        };
        let stream = match done {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => {
                return tracing::debug!(cluster = %self.at, %error, "a handshake inside failed");
            }
            Err(_) => {
                return tracing::debug!(cluster = %self.at, "a handshake inside took too long");
            }
        };
        let (_, tls) = stream.get_ref();
        let h2 = tls.alpn_protocol() == Some(ALPN_H2);
        let identity = judge(tls.peer_certificates(), &tenant.client_roots(), UnixTime::now());
        let peer = self.peer(identity);
        speak(self.begun(tenant, peer, h2), stream).await;
    }

    fn begun<T: Tenant>(self: Arc<Self>, tenant: Arc<T>, peer: Peer, h2: bool) -> Begun<T> {
        let activity = Activity::new();
        activity.handshake_done(h2);
        let cuts = tenant.outage().cuts();
        Begun { within: self, tenant, peer, activity, h2, cuts }
    }
}

#[cfg(test)]
impl Within {
    /// That of a request which came through no server.
    pub(crate) fn alone() -> Arc<Self> {
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 6443));
        Arc::new(Self {
            client: ClientAddr(nowhere),
            at: ClusterAddr(nowhere),
            limits: Arc::default(),
            stats: Arc::default(),
            tracker: TaskTracker::new(),
            draining: CancellationToken::new(),
        })
    }
}
