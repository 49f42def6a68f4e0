//! Making packets for cluster addresses arrive at this machine.
//!
//! Addresses cost nothing each in the modes that are chosen by themselves: 127.0.0.0/8 is local
//! on every host, and one local route (`AnyIP`) makes a whole pool so. One real address a cluster
//! on a dummy link is there for networks that need it. Whatever the mode, what a killed run left
//! is adopted by the next, and a pool the host already uses is refused.
//!
//! An IPv6 address that is only covered by a local route can be connected to, and a wildcard
//! listener serves it, but binding to it needs `IP_FREEBIND`.

mod choose;
mod error;
#[cfg(test)]
mod fake;
mod kernel;
mod message;
mod overlap;
mod owner;
mod plane;
mod prefix;
mod rtnetlink;
mod secondary;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use choose::{Choice, ChooseError, DEFAULT_POOL, LOOPBACK_NET, Privileges, Wish, choose};
pub use error::NetlinkError;
pub use kernel::{
    Address, Change, Kernel, Link, LinkIndex, LinkKind, Refusal, Route, TABLE_LOCAL, TABLE_MAIN,
};
pub use overlap::{Host, Overlap, Taken};
pub use plane::{Options, Plane};
pub use rtnetlink::Rtnetlink;
pub use secondary::{MAX_LINKS, PER_LINK};

/// The routing protocol number (`rtm_protocol`) that marks our routes: user range, and used by
/// none of the daemons in iproute2's `rt_protos`.
pub const ROUTE_PROTOCOL: u8 = 0xfa;

/// How cluster addresses are made local.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A slice of 127.0.0.0/8: local already, nothing to set up, no privilege, this host only.
    Loopback,
    /// One local route a pool.
    Prefix,
    /// One /32 or /128 a cluster on dummy links.
    Secondary,
    /// One address of the host for all clusters, a port for each.
    Port,
}

impl Mode {
    /// The word used in flags and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Prefix => "prefix",
            Self::Secondary => "secondary",
            Self::Port => "port",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address mode; there are loopback, prefix, secondary and port")]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        let modes = [Self::Loopback, Self::Prefix, Self::Secondary, Self::Port];
        let found = modes.into_iter().find(|mode| mode.name() == word);
        found.ok_or_else(|| UnknownMode(word.to_owned()))
    }
}
