//! The two plans behind one face: pools of addresses with one port, or one address and its ports.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::pool::Pool;
use super::slots::Slots;
use super::{IpamError, MAX_POOLS, Plan, Usage};
use crate::addr::ClusterAddr;

/// What is free and what is taken. The lock is around it, not in it.
#[derive(Debug)]
pub(super) enum Allocator {
    Addresses { pools: Vec<Pool>, port: u16 },
    Ports { ip: IpAddr, range: RangeInclusive<u16>, slots: Slots },
}

impl Allocator {
    pub(super) fn new(plan: Plan) -> Result<Self, IpamError> {
        match plan {
            Plan::Addresses { pools, port } => {
                refuse_port_zero(port)?;
                Ok(Self::Addresses { pools: build_pools(&pools)?, port })
            }
            Plan::Ports { ip, range } => {
                refuse_port_zero(*range.start())?;
                if range.is_empty() {
                    return Err(IpamError::EmptyRange { range });
                }
                let count = u128::from(*range.end() - *range.start()) + 1;
                Ok(Self::Ports { ip: ip.to_canonical(), range, slots: Slots::new(count) })
            }
        }
    }

    pub(super) fn take_any(&mut self) -> Result<ClusterAddr, IpamError> {
        let taken = match self {
            Self::Addresses { pools, port } => {
                // Released ones only after every pool's fresh ones: reused last means last of all.
                let fresh = pools.iter_mut().find_map(Pool::take_fresh);
                let ip = fresh.or_else(|| pools.iter_mut().find_map(Pool::take_released));
                ip.map(|ip| SocketAddr::new(ip, *port))
            }
            Self::Ports { ip, range, slots } => {
                let slot = slots.take_fresh().or_else(|| slots.take_released());
                slot.map(|slot| SocketAddr::new(*ip, port_of(range, slot)))
            }
        };
        taken.map(ClusterAddr).ok_or_else(|| IpamError::Exhausted {
            capacity: self.capacity(),
            planned: self.to_string(),
        })
    }

    /// Takes what was asked for; `None` stands for whatever the plan fixes.
    pub(super) fn take(
        &mut self,
        ip: Option<IpAddr>,
        port: Option<u16>,
    ) -> Result<ClusterAddr, IpamError> {
        let outside = |wanted: &dyn fmt::Display, planned: String| {
            Err(IpamError::Outside { wanted: wanted.to_string(), planned })
        };
        match self {
            Self::Addresses { port: fixed, .. } if port.is_some_and(|port| port != *fixed) => {
                outside(&Port(port), format!("the plan, where every cluster has port {fixed}"))
            }
            Self::Ports { ip: fixed, .. } if ip.is_some_and(|ip| ip != *fixed) => {
                let wanted = ip.expect("the guard saw an address");
                outside(&wanted, format!("the plan, where every cluster has address {fixed}"))
            }
            Self::Addresses { pools, port } => {
                let Some(ip) = ip else { return self.take_any() };
                let Some(pool) = pool_of(pools, ip) else {
                    return outside(&ip, self.to_string());
                };
                pool.claim(ip)?;
                Ok(ClusterAddr(SocketAddr::new(ip, *port)))
            }
            Self::Ports { ip: fixed, range, slots } => {
                let Some(port) = port else {
                    return self.take_any();
                };
                let Some(slot) = slot_of(range, port) else {
                    return outside(&Port(Some(port)), self.to_string());
                };
                let addr = SocketAddr::new(*fixed, port);
                if slots.claim(slot) {
                    Ok(ClusterAddr(addr))
                } else {
                    Err(IpamError::InUse { wanted: addr.to_string() })
                }
            }
        }
    }

    pub(super) fn release(&mut self, addr: ClusterAddr) -> Result<(), IpamError> {
        let (ip, port) = (addr.ip().to_canonical(), addr.port());
        match self {
            Self::Addresses { pools, port: fixed } if port == *fixed => {
                if let Some(pool) = pool_of(pools, ip) {
                    return pool.release(ip);
                }
            }
            Self::Ports { ip: fixed, range, slots } if ip == *fixed => {
                if let Some(slot) = slot_of(range, port) {
                    let released = slots.release(slot);
                    return released
                        .then_some(())
                        .ok_or_else(|| IpamError::NotAllocated { addr: addr.to_string() });
                }
            }
            Self::Addresses { .. } | Self::Ports { .. } => {}
        }
        Err(IpamError::Outside { wanted: addr.to_string(), planned: self.to_string() })
    }

    pub(super) fn used(&self) -> u128 {
        match self {
            Self::Addresses { pools, .. } => pools.iter().map(Pool::used).sum(),
            Self::Ports { slots, .. } => slots.used(),
        }
    }

    pub(super) fn capacity(&self) -> u128 {
        match self {
            // Pools are disjoint and none is all of IPv6, so the sum stays below 2^128.
            Self::Addresses { pools, .. } => pools.iter().map(Pool::capacity).sum(),
            Self::Ports { slots, .. } => slots.capacity(),
        }
    }

    pub(super) fn usage(&self) -> Vec<Usage> {
        match self {
            Self::Addresses { pools, .. } => pools.iter().map(usage_of_pool).collect(),
            Self::Ports { slots, .. } => {
                let (used, capacity) = (slots.used(), slots.capacity());
                vec![Usage { name: self.to_string(), used, capacity }]
            }
        }
    }
}

/// The plan as a user would write it.
impl fmt::Display for Allocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses { pools, .. } => {
                for (position, pool) in pools.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{}", pool.net())?;
                }
                Ok(())
            }
            Self::Ports { ip, range, .. } => {
                let first = SocketAddr::new(*ip, *range.start());
                write!(f, "{first}-{}", range.end())
            }
        }
    }
}

/// A port as the subject of an error.
struct Port(Option<u16>);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(port) => write!(f, "port {port}"),
            None => f.write_str("any port"),
        }
    }
}

fn usage_of_pool(pool: &Pool) -> Usage {
    Usage { name: pool.net().to_string(), used: pool.used(), capacity: pool.capacity() }
}

fn build_pools(nets: &[IpNet]) -> Result<Vec<Pool>, IpamError> {
    if nets.is_empty() {
        return Err(IpamError::NoPools);
    }
    if nets.len() > MAX_POOLS {
        return Err(IpamError::TooManyPools { given: nets.len() });
    }
    for (position, second) in nets.iter().enumerate() {
        let clash = nets[..position].iter().find(|first| overlap(first, second));
        if let Some(first) = clash {
            return Err(IpamError::Overlapping { first: *first, second: *second });
        }
    }
    nets.iter().map(|net| Pool::new(*net)).collect()
}

/// Two CIDRs share an address exactly when one contains the other.
fn overlap(first: &IpNet, second: &IpNet) -> bool {
    first.contains(second) || second.contains(first)
}

fn pool_of(pools: &mut [Pool], ip: IpAddr) -> Option<&mut Pool> {
    pools.iter_mut().find(|pool| pool.net().contains(&ip))
}

fn refuse_port_zero(port: u16) -> Result<(), IpamError> {
    if port == 0 { Err(IpamError::PortZero) } else { Ok(()) }
}

fn slot_of(range: &RangeInclusive<u16>, port: u16) -> Option<u128> {
    range.contains(&port).then(|| u128::from(port - range.start()))
}

fn port_of(range: &RangeInclusive<u16>, slot: u128) -> u16 {
    let offset = u16::try_from(slot).expect("a port range has at most 65,535 slots");
    range.start() + offset
}
