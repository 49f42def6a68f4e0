//! What the kernel is told about destinations and addresses.
//!
//! An address may carry several ports (port mode: one address, a port a cluster), so its entry is
//! counted by its ports and goes with the last of them.

use std::collections::HashMap;
use std::net::IpAddr;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap as KernelMap, MapData, MapError};
use fakeapi_common::layout::{self, Address, AddressValue, Count, DestKey, DestValue};
use foldhash::fast::RandomState;
use ipnet::IpNet;

use super::DatapathError;
use super::load::take;
use crate::addr::ClusterAddr;

/// The kernel's flag for "only if the key is new".
const NEW_ONLY: u64 = 1;
/// How much longer a prefix is in the mapped form of an IPv4 address.
const MAPPED_BITS: u8 = 96;
/// What the kernel calls a share of one.
const WHOLE: u32 = layout::DROP_ALL;

/// What an edge does to packets for an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It drops this many of a thousand, at random; from 1,000 on it is a blackhole.
    Drop {
        /// The share.
        per_mille: u16,
    },
    /// It drops all of them.
    Blackhole,
}

impl Fault {
    fn share(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Drop { per_mille } => u32::from(per_mille.min(1_000)) * WHOLE / 1_000,
            Self::Blackhole => WHOLE,
        }
    }
}

/// What the edges saw for one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames addressed to it, whatever became of them.
    pub packets: u64,
    /// Their bytes, Ethernet header included.
    pub bytes: u64,
    /// How many of the frames its fault dropped.
    pub dropped: u64,
}

/// The tables, and what of them we must remember ourselves.
pub(super) struct Table {
    destinations: KernelMap<MapData, DestKey, DestValue>,
    addresses: KernelMap<MapData, Address, AddressValue>,
    counts: Array<MapData, Count>,
    pools: LpmTrie<MapData, Address, u32>,
    known: HashMap<Address, Known, RandomState>,
    slots: Slots,
}

/// An allocated address.
#[derive(Clone, Copy, Debug)]
struct Known {
    slot: u32,
    ports: u32,
}

/// The counters that are free: those given back, then those never used.
#[derive(Debug)]
struct Slots {
    returned: Vec<u32>,
    unused: std::ops::Range<u32>,
}

impl Slots {
    fn take(&mut self) -> Option<u32> {
        self.returned.pop().or_else(|| self.unused.next())
    }
}

impl Table {
    pub(super) fn new(object: &mut Ebpf, max_addresses: u32) -> Result<Self, DatapathError> {
        Ok(Self {
            destinations: take(object, layout::DESTS)?,
            addresses: take(object, layout::ADDRESSES)?,
            counts: take(object, layout::COUNTS)?,
            pools: take(object, layout::POOLS)?,
            known: HashMap::default(),
            slots: Slots { returned: Vec::new(), unused: 0..max_addresses },
        })
    }

    pub(super) fn allow(&mut self, addr: ClusterAddr, worker: u32) -> Result<(), DatapathError> {
        self.allow_one(addr, worker).map(|_new| ())
    }

    pub(super) fn allow_many(
        &mut self,
        many: impl IntoIterator<Item = (ClusterAddr, u32)>,
    ) -> Result<(), DatapathError> {
        let mut added = Vec::new();
        for (addr, worker) in many {
            match self.allow_one(addr, worker) {
                Ok(true) => added.push(addr),
                Ok(false) => {}
                Err(error) => {
                    for addr in added {
                        self.revoke(addr)?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Allocates a destination and tells whether it is new.
    fn allow_one(&mut self, addr: ClusterAddr, worker: u32) -> Result<bool, DatapathError> {
        if worker >= layout::MAX_WORKERS {
            return Err(DatapathError::NoSuchWorker { worker, workers: layout::MAX_WORKERS });
        }
        let (key, value) = (destination(addr), DestValue { worker });
        match self.destinations.insert(key, value, NEW_ONLY) {
            Ok(()) => {}
            Err(error) if os_error(&error) == Some(libc::EEXIST) => {
                let moved = self.destinations.insert(key, value, 0);
                return moved.map(|()| false).map_err(|source| self.error(layout::DESTS, source));
            }
            Err(source) => return Err(self.error(layout::DESTS, source)),
        }
        if let Err(error) = self.hold_address(key.address) {
            self.remove_destination(&key)?;
            return Err(error);
        }
        Ok(true)
    }

    /// Counts one port more at an address, making its entry with the first.
    fn hold_address(&mut self, address: Address) -> Result<(), DatapathError> {
        if let Some(known) = self.known.get_mut(&address) {
            known.ports += 1;
            return Ok(());
        }
        let slot = self.slots.take().ok_or_else(|| self.full(layout::COUNTS))?;
        let entry = AddressValue { slot, fault: 0 };
        if let Err(source) = self.addresses.insert(address, entry, 0) {
            self.slots.returned.push(slot);
            return Err(self.error(layout::ADDRESSES, source));
        }
        self.known.insert(address, Known { slot, ports: 1 });
        Ok(())
    }

    pub(super) fn revoke(&mut self, addr: ClusterAddr) -> Result<(), DatapathError> {
        let key = destination(addr);
        if !self.remove_destination(&key)? {
            return Ok(());
        }
        let Some(known) = self.known.get_mut(&key.address) else {
            return Ok(());
        };
        known.ports -= 1;
        if known.ports > 0 {
            return Ok(());
        }
        let slot = known.slot;
        self.known.remove(&key.address);
        self.addresses
            .remove(&key.address)
            .map_err(|source| self.error(layout::ADDRESSES, source))?;
        // A packet that is being judged right now may still add one; that is harmless.
        self.counts
            .set(slot, Count::default(), 0)
            .map_err(|source| self.error(layout::COUNTS, source))?;
        self.slots.returned.push(slot);
        Ok(())
    }

    /// Removes a destination and tells whether it was there.
    fn remove_destination(&mut self, key: &DestKey) -> Result<bool, DatapathError> {
        match self.destinations.remove(key) {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(source) => Err(self.error(layout::DESTS, source)),
        }
    }

    pub(super) fn set_fault(&mut self, ip: IpAddr, fault: Fault) -> Result<(), DatapathError> {
        let address = Address::from(ip);
        let slot = self.slot(ip)?;
        let entry = AddressValue { slot, fault: fault.share() };
        self.addresses
            .insert(address, entry, 0)
            .map_err(|source| self.error(layout::ADDRESSES, source))
    }

    pub(super) fn counters(&self, ip: IpAddr) -> Result<Counters, DatapathError> {
        let Count { packets, bytes, dropped } = self
            .counts
            .get(&self.slot(ip)?, 0)
            .map_err(|source| self.error(layout::COUNTS, source))?;
        Ok(Counters { packets, bytes, dropped })
    }

    fn slot(&self, ip: IpAddr) -> Result<u32, DatapathError> {
        let known = self.known.get(&Address::from(ip));
        known.map(|known| known.slot).ok_or(DatapathError::NotAllocated(ip))
    }

    pub(super) fn set_pool(&mut self, prefix: IpNet, kind: u32) -> Result<(), DatapathError> {
        self.pools
            .insert(&pool(prefix), kind, 0)
            .map_err(|source| table_error(layout::POOLS, layout::MAX_POOLS, source))
    }

    pub(super) fn remove_pool(&mut self, prefix: IpNet) -> Result<(), DatapathError> {
        match self.pools.remove(&pool(prefix)) {
            Err(error) if !is_missing(&error) => {
                Err(table_error(layout::POOLS, layout::MAX_POOLS, error))
            }
            _ => Ok(()),
        }
    }

    fn error(&self, map: &'static str, source: MapError) -> DatapathError {
        table_error(map, self.counts.len(), source)
    }

    fn full(&self, map: &'static str) -> DatapathError {
        DatapathError::Full { map, entries: self.counts.len() }
    }
}

/// The error of a table, with "no room" told apart.
pub(super) fn table_error(map: &'static str, entries: u32, source: MapError) -> DatapathError {
    match os_error(&source) {
        // A hash answers E2BIG when it is full, a trie ENOSPC.
        Some(libc::E2BIG | libc::ENOSPC) => DatapathError::Full { map, entries },
        _ => DatapathError::Table { map, source },
    }
}

fn destination(addr: ClusterAddr) -> DestKey {
    DestKey { address: Address::from(addr.ip()), port: u32::from(addr.port()) }
}

fn pool(prefix: IpNet) -> Key<Address> {
    let prefix = prefix.trunc();
    let mapped = if prefix.addr().is_ipv4() { MAPPED_BITS } else { 0 };
    let bits = u32::from(prefix.prefix_len() + mapped);
    Key::new(bits, Address::from(prefix.addr()))
}

fn os_error(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(call) => call.io_error.raw_os_error(),
        MapError::IoError(error) => error.raw_os_error(),
        _ => None,
    }
}

fn is_missing(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound | MapError::ElementNotFound)
        || os_error(error) == Some(libc::ENOENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_whole_the_kernel_uses() {
        assert_eq!(Fault::None.share(), 0);
        assert_eq!(Fault::Drop { per_mille: 500 }.share(), 32_768);
        assert_eq!(Fault::Drop { per_mille: 1_000 }.share(), layout::DROP_ALL);
        assert_eq!(Fault::Drop { per_mille: u16::MAX }.share(), layout::DROP_ALL);
        assert_eq!(Fault::Blackhole.share(), layout::DROP_ALL);
    }

    #[test]
    fn a_prefix_is_cut_to_its_bits_and_mapped() {
        let key = pool("10.1.2.3/16".parse().unwrap());
        assert_eq!(key.prefix_len(), 112);
        assert_eq!(key.data(), Address::from("10.1.0.0".parse::<IpAddr>().unwrap()));
        let key = pool("2001:db8::1/64".parse().unwrap());
        assert_eq!(key.prefix_len(), 64);
        assert_eq!(key.data(), Address::from("2001:db8::".parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn slots_given_back_are_used_first_and_end_at_their_bound() {
        let mut slots = Slots { returned: Vec::new(), unused: 0..2 };
        assert_eq!((slots.take(), slots.take(), slots.take()), (Some(0), Some(1), None));
        slots.returned.push(1);
        assert_eq!((slots.take(), slots.take()), (Some(1), None));
    }
}
