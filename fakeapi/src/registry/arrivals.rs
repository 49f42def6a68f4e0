//! What brings a cluster's connections to the server: the kernel's steering, a listener of the
//! cluster's own, or nothing where a wildcard listener takes all.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Weak};

use crate::addr::ClusterAddr;
use crate::datapath::{self, Counters, Datapath};
use crate::register::{Fault, RegisterError, Traffic};
use crate::serve::Server;
use crate::serve::listener::ListenError;
use crate::serve::worker::owner;

use super::failed;

/// What brings connections to the server.
pub struct Arrivals {
    /// The kernel side, where it can be had. Its owner takes it out of the kernel at the end.
    pub datapath: Option<Weak<Datapath>>,
    /// The server, where every cluster needs a listener of its own.
    pub listeners: Option<Weak<Server>>,
    /// Whether clusters have ports of an address that is this machine's own, where others listen
    /// too.
    pub own_ports: bool,
    /// How many workers share the clusters.
    pub workers: u32,
    /// Whether packets are judged at an edge, so that a cluster's faults can act.
    pub edges: bool,
    /// Whether clusters share an IP: what is done to its packets is done to all of them.
    pub shared_ip: bool,
}

/// The kernel side was taken out: the program is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the kernel side is gone")]
struct Gone;

impl Arrivals {
    /// The kernel side, where there is one.
    fn kernel(&self) -> Result<Option<Arc<Datapath>>, RegisterError> {
        let alive = |datapath: &Weak<Datapath>| {
            datapath.upgrade().ok_or_else(|| failed("the program is stopping")(Gone))
        };
        self.datapath.as_ref().map(alive).transpose()
    }

    /// Lets connections to an address arrive.
    pub(super) async fn open(&self, at: ClusterAddr) -> Result<(), RegisterError> {
        if let Some(datapath) = self.kernel()? {
            self.check_free(at)?;
            datapath
                .allow(at, owner(at, self.workers))
                .map_err(failed("the kernel did not take the address"))?;
        }
        if let Some(server) = self.listeners.as_ref().and_then(Weak::upgrade) {
            server.listen(at).await.map_err(|error| {
                RegisterError::Failed("the cluster's port could not be opened", Box::new(error))
            })?;
        }
        Ok(())
    }

    /// Lets connections to many addresses arrive, at the start.
    ///
    /// # Errors
    /// When the kernel does not take them, or a port is in use.
    pub async fn open_all(&self, all: &[ClusterAddr]) -> Result<(), RegisterError> {
        if let Some(datapath) = self.kernel()? {
            all.iter().try_for_each(|at| self.check_free(*at))?;
            datapath
                .allow_many(all.iter().map(|at| (*at, owner(*at, self.workers))))
                .map_err(failed("the kernel did not take the addresses"))?;
        }
        if self.listeners.is_some() {
            for at in all {
                self.open(*at).await?;
            }
        }
        Ok(())
    }

    /// Refuses a port that somebody else listens on: the kernel side would take that one's
    /// connections away without a word.
    fn check_free(&self, at: ClusterAddr) -> Result<(), RegisterError> {
        if !self.own_ports {
            return Ok(());
        }
        match TcpListener::bind(at.0) {
            Ok(_free) => Ok(()),
            Err(source) => {
                Err(failed("the cluster's port could not be opened")(ListenError::Bind {
                    address: at.0,
                    source,
                }))
            }
        }
    }

    /// Whether an address could not be opened because another program listens there.
    pub(super) fn is_in_use(error: &RegisterError) -> bool {
        let RegisterError::Failed(_, source) = error else { return false };
        let Some(ListenError::Bind { source, .. }) = source.downcast_ref() else { return false };
        source.kind() == io::ErrorKind::AddrInUse
    }

    /// Lets no more connections to an address arrive.
    pub(super) async fn close(&self, at: ClusterAddr) -> Result<(), RegisterError> {
        if let Some(datapath) = self.kernel()? {
            datapath.revoke(at).map_err(failed("the kernel did not let the address go"))?;
        }
        if let Some(server) = self.listeners.as_ref().and_then(Weak::upgrade) {
            server.unlisten(at).await.map_err(failed("the cluster's port could not be closed"))?;
        }
        Ok(())
    }

    pub(super) fn traffic(&self, at: ClusterAddr) -> Result<Traffic, RegisterError> {
        let Some(datapath) = self.kernel()? else { return Ok(Traffic::default()) };
        let Counters { packets, bytes, dropped } =
            datapath.counters(at.ip()).map_err(failed("the kernel did not tell its counters"))?;
        Ok(Traffic { packets, bytes, dropped })
    }

    /// Why faults cannot act, if they cannot.
    fn no_faults(&self) -> Option<&'static str> {
        match (&self.datapath, self.edges, self.shared_ip) {
            (None, ..) => Some("faults of packets need the kernel side, which is not loaded"),
            (_, false, _) => Some("faults of packets act at an edge: name a link with --edge"),
            (_, _, true) => Some("the cluster shares its IP with others, which would fail as well"),
            (Some(_), true, false) => None,
        }
    }

    pub(super) fn set_fault(&self, at: ClusterAddr, fault: Fault) -> Result<(), RegisterError> {
        let Some(datapath) = self.kernel()?.filter(|_| self.no_faults().is_none()) else {
            let message = self.no_faults().unwrap_or_default().to_owned();
            return Err(RegisterError::Invalid { field: "fault", message });
        };
        let fault = match fault {
            Fault::None => datapath::Fault::None,
            Fault::Blackhole => datapath::Fault::Blackhole,
            Fault::Drop { per_mille } => datapath::Fault::Drop { per_mille },
        };
        datapath.set_fault(at.ip(), fault).map_err(failed("the kernel did not take the fault"))
    }
}
