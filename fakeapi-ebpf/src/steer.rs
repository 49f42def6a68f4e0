//! `sk_lookup`: which listening socket a new connection belongs to.

use core::ptr::read_volatile;

use aya_ebpf::bindings::BPF_SK_LOOKUP_F_NO_REUSEPORT;
use aya_ebpf::bindings::sk_action::{SK_DROP, SK_PASS};
use aya_ebpf::programs::SkLookupContext;
use fakeapi_common::layout::{Address, DestKey, Family, LOG, Reason};
use fakeapi_common::packet::PROTO_TCP;
use fakeapi_common::verdict::{Steer, steer};

use crate::{log, maps};

/// The kernel's number for IPv4 (`AF_INET`).
const INET: u32 = 2;

/// The fields of the context that matter.
struct Connection {
    family: u32,
    protocol: u32,
    port: u32,
    v4: u32,
    v6: [u32; 4],
}

impl Connection {
    /// Copies the fields out, each by a load of its own, before anything branches: the verifier
    /// admits loads from the context at constant offsets only, and the compiler would merge the
    /// loads of two branches into one through a computed pointer.
    #[inline(always)]
    fn read(ctx: &SkLookupContext) -> Self {
        let lookup = ctx.lookup;
        // SAFETY: the kernel hands in a valid, aligned context for the time of the call; fields
        // that do not belong to the connection's family read as zero.
        unsafe {
            Self {
                family: read_volatile(&raw const (*lookup).family),
                protocol: read_volatile(&raw const (*lookup).protocol),
                port: read_volatile(&raw const (*lookup).local_port),
                v4: read_volatile(&raw const (*lookup).local_ip4),
                v6: [
                    read_volatile(&raw const (*lookup).local_ip6[0]),
                    read_volatile(&raw const (*lookup).local_ip6[1]),
                    read_volatile(&raw const (*lookup).local_ip6[2]),
                    read_volatile(&raw const (*lookup).local_ip6[3]),
                ],
            }
        }
    }

    /// The destination address; the kernel keeps both kinds in network order.
    #[inline(always)]
    fn destination(&self) -> (Family, Address) {
        if self.family == INET {
            return (Family::V4, Address::from_v4(words(self.v4)));
        }
        let [a, b, c, d] = self.v6.map(words);
        let all = [a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]];
        (Family::V6, Address(all))
    }
}

/// Four bytes of an address as the words they are in memory.
#[inline(always)]
fn words(four: u32) -> [u16; 2] {
    let [a, b, c, d] = four.to_ne_bytes();
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}

/// Judges a connection, counts it, and hands it over.
#[inline(always)]
pub(crate) fn judge_connection(ctx: &SkLookupContext) -> u32 {
    let connection = Connection::read(ctx);
    if connection.protocol != u32::from(PROTO_TCP) {
        return SK_PASS;
    }
    let (family, address) = connection.destination();
    let key = DestKey { address, port: connection.port };
    let served = maps::destination(&key);
    let guarded = served.is_none() && maps::guarded(&address);
    let (action, reason) = match steer(family, served, guarded) {
        Steer::Leave => return SK_PASS,
        Steer::Refuse => (SK_DROP, Reason::NotServed),
        Steer::To(index) => hand_over(ctx, index),
    };
    maps::count_reason(reason);
    if maps::config().has(LOG) {
        log::connection(ctx, key.port, reason as u32);
    }
    action
}

/// The worker's own socket, not one of its `SO_REUSEPORT` group: the owner alone knows the cluster.
#[inline(always)]
fn hand_over(ctx: &SkLookupContext, index: u32) -> (u32, Reason) {
    match maps::LISTENERS.redirect_sk_lookup(ctx, index, u64::from(BPF_SK_LOOKUP_F_NO_REUSEPORT)) {
        Ok(()) => (SK_PASS, Reason::Steered),
        Err(_) => (SK_DROP, Reason::NoListener),
    }
}
