//! The roles that socket addresses play, as types, so that they cannot be swapped.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where a cluster is served: the destination of its clients' packets, and the only thing that
/// selects the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterAddr(pub SocketAddr);

/// Where a client's connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(pub SocketAddr);

impl ClusterAddr {
    /// The virtual IP.
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The port clients connect to.
    pub fn port(self) -> u16 {
        self.0.port()
    }
}

impl fmt::Display for ClusterAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An accepted socket on a wildcard IPv6 listener names IPv4 peers in mapped form; a cluster is
/// known by the plain one.
impl From<SocketAddr> for ClusterAddr {
    fn from(addr: SocketAddr) -> Self {
        Self(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
    }
}
