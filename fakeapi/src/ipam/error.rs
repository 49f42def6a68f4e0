//! Why an address cannot be given, taken or planned.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::MAX_POOLS;

/// Why an address inside a pool is never given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reserved {
    /// The first address of an IPv4 subnet wider than /31.
    #[error("the subnet's own address")]
    Network,
    /// The last address of an IPv4 subnet wider than /31.
    #[error("the subnet's broadcast address")]
    Broadcast,
    /// The first address of an IPv6 subnet wider than /127 (RFC 4291, 2.6.1).
    #[error("the subnet-router anycast address")]
    SubnetRouter,
    /// 127.0.0.1 or `::1`, where the host's own services listen.
    #[error("the host's own loopback address")]
    HostLoopback,
}

/// A refusal of the allocator. Nothing changed when one is returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// The plan names no pool.
    #[error("no address pool was given")]
    NoPools,
    /// The plan names more pools than a lookup should walk.
    #[error("{given} address pools were given; at most {MAX_POOLS} are kept")]
    TooManyPools {
        /// How many the plan had.
        given: usize,
    },
    /// Two pools of one plan share addresses.
    #[error("pools {first} and {second} overlap")]
    Overlapping {
        /// The pool named earlier.
        first: IpNet,
        /// The pool named later.
        second: IpNet,
    },
    /// A pool touches a range that is never a cluster's.
    #[error("pool {pool} touches {range} ({why})")]
    NotServable {
        /// The pool as planned.
        pool: IpNet,
        /// The range it touches.
        range: IpNet,
        /// What that range is.
        why: &'static str,
    },
    /// A pool consists of reserved addresses only.
    #[error("pool {pool} has no address to give")]
    NothingToGive {
        /// The pool as planned.
        pool: IpNet,
    },
    /// The range of a port plan is empty.
    #[error("port range {}-{} is empty", range.start(), range.end())]
    EmptyRange {
        /// The range as planned.
        range: RangeInclusive<u16>,
    },
    /// Port 0 is not a port a client can connect to.
    #[error("port 0 cannot be served")]
    PortZero,
    /// The address asked for is in no pool (or not the planned IP or port range).
    #[error("{wanted} is outside of {planned}")]
    Outside {
        /// What was asked for.
        wanted: String,
        /// What the plan has.
        planned: String,
    },
    /// The address asked for belongs to a cluster already.
    #[error("{wanted} is in use by another cluster")]
    InUse {
        /// What was asked for.
        wanted: String,
    },
    /// The address asked for lies in a pool but is never given.
    #[error("{ip} of pool {pool} is reserved: {reserved}")]
    Reserved {
        /// What was asked for.
        ip: IpAddr,
        /// The pool it lies in.
        pool: IpNet,
        /// Why it is never given.
        reserved: Reserved,
    },
    /// An address is given back that nobody has.
    #[error("{addr} is not allocated")]
    NotAllocated {
        /// What was given back.
        addr: String,
    },
    /// Everything is in use.
    #[error("all {capacity} addresses of {planned} are in use")]
    Exhausted {
        /// How many there are.
        capacity: u128,
        /// What the plan has.
        planned: String,
    },
}
