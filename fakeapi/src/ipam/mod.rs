//! Which address a cluster gets.
//!
//! An address is a cluster's identity to its clients, so it must never be given twice, a client
//! that asks for one must get that one or a clear refusal, and an address just taken back is
//! given again last, when nobody remembers its former owner. A hundred thousand registrations
//! come in a burst, so each operation is O(1) under one short lock.
//!
//! Two plans: pools of addresses sharing one port, or one address and a range of ports. What a
//! machine must be told so that packets for those addresses arrive is the business of
//! [`netlink`](crate::netlink).

mod claims;
mod error;
mod plan;
mod pool;
mod released;
mod slots;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use parking_lot::Mutex;

use crate::addr::ClusterAddr;
use plan::Allocator;

pub use error::{IpamError, Reserved};

/// The most pools one plan can have: finding the pool of an address walks them.
pub const MAX_POOLS: usize = 256;

/// What there is to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Every cluster has an IP of its own and the same port.
    Addresses {
        /// Used in this order: the next one when one is full. Host bits are ignored.
        pools: Vec<IpNet>,
        /// The port every cluster is served on.
        port: u16,
    },
    /// Every cluster has a port of its own on the same IP.
    Ports {
        /// The IP of all clusters.
        ip: IpAddr,
        /// The ports to give, both ends included.
        range: RangeInclusive<u16>,
    },
}

/// What a registration asked for. The part that is not named is what the plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This IP.
    Ip(IpAddr),
    /// This port.
    Port(u16),
    /// Exactly this address.
    Addr(ClusterAddr),
}

impl Wanted {
    fn parts(self) -> (Option<IpAddr>, Option<u16>) {
        match self {
            Self::Ip(ip) => (Some(ip.to_canonical()), None),
            Self::Port(port) => (None, Some(port)),
            Self::Addr(ClusterAddr(addr)) => (Some(addr.ip().to_canonical()), Some(addr.port())),
        }
    }
}

/// How full one pool (or the port range) is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The pool, or the IP and its ports, as a user writes it.
    pub name: String,
    /// Addresses in use.
    pub used: u128,
    /// Addresses that can be in use at once.
    pub capacity: u128,
}

/// The allocator of cluster addresses. Shared between threads; every call takes one lock for the
/// time of a few memory accesses.
#[derive(Debug)]
pub struct Ipam {
    allocator: Mutex<Allocator>,
}

impl Ipam {
    /// An allocator with everything free.
    ///
    /// # Errors
    /// When the plan has no pool or too many, pools overlap, a pool cannot be served, or the port
    /// or the range of ports is not usable.
    pub fn new(plan: Plan) -> Result<Self, IpamError> {
        Ok(Self { allocator: Mutex::new(Allocator::new(plan)?) })
    }

    /// Gives a free address, or exactly the wanted one.
    ///
    /// # Errors
    /// [`IpamError::Exhausted`] when nothing is free; for a wanted address
    /// [`IpamError::Outside`], [`IpamError::Reserved`] or [`IpamError::InUse`].
    pub fn allocate(&self, wanted: Option<Wanted>) -> Result<ClusterAddr, IpamError> {
        let mut allocator = self.allocator.lock();
        match wanted {
            None => allocator.take_any(),
            Some(wanted) => {
                let (ip, port) = wanted.parts();
                allocator.take(ip, port)
            }
        }
    }

    /// Takes the address a cluster had before a restart.
    ///
    /// # Errors
    /// As for a wanted address: the pools may have changed since.
    pub fn claim(&self, addr: ClusterAddr) -> Result<(), IpamError> {
        self.allocate(Some(Wanted::Addr(addr))).map(drop)
    }

    /// Takes an address back; it is given again after all others that are free.
    ///
    /// # Errors
    /// [`IpamError::NotAllocated`] when it is free, and as for a wanted address when it is none
    /// of the plan's.
    pub fn release(&self, addr: ClusterAddr) -> Result<(), IpamError> {
        self.allocator.lock().release(addr)
    }

    /// Addresses that can still be given.
    pub fn free(&self) -> u128 {
        let allocator = self.allocator.lock();
        allocator.capacity() - allocator.used()
    }

    /// Addresses in use.
    pub fn used(&self) -> u128 {
        self.allocator.lock().used()
    }

    /// Addresses that can be in use at once.
    pub fn capacity(&self) -> u128 {
        self.allocator.lock().capacity()
    }

    /// How full each pool is, in the plan's order.
    pub fn usage(&self) -> Vec<Usage> {
        self.allocator.lock().usage()
    }
}
