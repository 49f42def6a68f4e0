//! One CIDR and which of its addresses are taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::slots::Slots;
use super::{IpamError, Reserved};

/// Ranges no cluster can be served from, with the reason a user is told.
const UNUSABLE_V4: [(Ipv4Net, &str); 3] = [
    (Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8), "\"this network\", never a destination"),
    (Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4), "multicast"),
    (Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4), "reserved, with the broadcast address"),
];
const UNUSABLE_V6: [(Ipv6Net, &str); 4] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "the unspecified address"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), "IPv4-mapped"),
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
        "link-local: needs a scope",
    ),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8), "multicast"),
];

/// A pool of addresses, given in ascending order first and by age of release afterwards.
#[derive(Debug)]
pub(super) struct Pool {
    net: IpNet,
    /// The lowest address that may be given, as a number; slot 0.
    base: u128,
    slots: Slots,
}

impl Pool {
    /// A pool of the addresses of `net`; its host bits are ignored.
    ///
    /// # Errors
    /// When `net` touches a range that cannot be served, or has no address to give.
    pub(super) fn new(net: IpNet) -> Result<Self, IpamError> {
        let net = net.trunc();
        refuse_unusable(net)?;
        let (mut first, mut last) = (number(net.network()), number(net.broadcast()));
        match net {
            IpNet::V4(v4) if v4.prefix_len() < 31 => {
                first += 1;
                last -= 1;
            }
            // The subnet-router anycast address (RFC 4291, 2.6.1).
            IpNet::V6(v6) if v6.prefix_len() < 127 => first += 1,
            _ => {}
        }
        let mut slots = Slots::new(last - first + 1);
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        for ip in loopback.into_iter().filter(|ip| net.contains(ip)) {
            slots.withhold(number(ip) - first);
        }
        if slots.capacity() == 0 {
            return Err(IpamError::NothingToGive { pool: net });
        }
        Ok(Self { net, base: first, slots })
    }

    pub(super) fn net(&self) -> IpNet {
        self.net
    }

    pub(super) fn used(&self) -> u128 {
        self.slots.used()
    }

    /// Addresses this pool can give at most.
    pub(super) fn capacity(&self) -> u128 {
        self.slots.capacity()
    }

    pub(super) fn take_fresh(&mut self) -> Option<IpAddr> {
        let slot = self.slots.take_fresh()?;
        Some(address(self.net, self.base + slot))
    }

    pub(super) fn take_released(&mut self) -> Option<IpAddr> {
        let slot = self.slots.take_released()?;
        Some(address(self.net, self.base + slot))
    }

    /// Takes exactly `ip`, which lies in this pool.
    pub(super) fn claim(&mut self, ip: IpAddr) -> Result<(), IpamError> {
        let slot = self.slot(ip)?;
        if self.slots.claim(slot) {
            Ok(())
        } else {
            Err(IpamError::InUse { wanted: ip.to_string() })
        }
    }

    /// Gives `ip`, which lies in this pool, back.
    pub(super) fn release(&mut self, ip: IpAddr) -> Result<(), IpamError> {
        let slot = self.slot(ip)?;
        if self.slots.release(slot) {
            Ok(())
        } else {
            Err(IpamError::NotAllocated { addr: ip.to_string() })
        }
    }

    fn slot(&self, ip: IpAddr) -> Result<u128, IpamError> {
        let refuse = |reserved| Err(IpamError::Reserved { ip, pool: self.net, reserved });
        if is_host_loopback(ip) {
            return refuse(Reserved::HostLoopback);
        }
        let slot = number(ip).checked_sub(self.base).filter(|slot| *slot < self.slots.count());
        match (slot, self.net) {
            (Some(slot), _) => Ok(slot),
            (None, IpNet::V6(_)) => refuse(Reserved::SubnetRouter),
            (None, IpNet::V4(v4)) if ip == v4.network() => refuse(Reserved::Network),
            (None, IpNet::V4(_)) => refuse(Reserved::Broadcast),
        }
    }
}

fn refuse_unusable(pool: IpNet) -> Result<(), IpamError> {
    let touches = |range: IpNet| range.contains(&pool) || pool.contains(&range);
    let v4 = UNUSABLE_V4.map(|(range, why)| (IpNet::V4(range), why));
    let v6 = UNUSABLE_V6.map(|(range, why)| (IpNet::V6(range), why));
    match v4.into_iter().chain(v6).find(|(range, _)| touches(*range)) {
        Some((range, why)) => Err(IpamError::NotServable { pool, range, why }),
        None => Ok(()),
    }
}

/// The addresses the host itself answers on; everything else of 127.0.0.0/8 is ours to give.
fn is_host_loopback(ip: IpAddr) -> bool {
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(family: IpNet, number: u128) -> IpAddr {
    match family {
        IpNet::V4(_) => {
            let bits = u32::try_from(number).expect("an address of an IPv4 pool has 32 bits");
            Ipv4Addr::from_bits(bits).into()
        }
        IpNet::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}
