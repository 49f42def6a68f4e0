//! Reading the headers of a frame, without trusting a single byte of it.
//!
//! Every offset is one of a few small numbers (a frame carries at most two VLAN tags, and nothing
//! behind IP options or extension headers is read), so that the verifier of any kernel can follow.
//! All of them are even: a frame is read in 16-bit words, left in the order they lie in memory.

use crate::layout::{Address, Mac};

/// A frame that can be read with bounds checked.
pub trait Frame {
    /// The `N` words at the even offset `at` (below 256), or nothing when the frame ends before
    /// their end.
    fn read<const N: usize>(&self, at: usize) -> Option<[u16; N]>;

    /// The length of the frame in bytes.
    fn length(&self) -> usize;
}

/// A frame that can also be changed in place.
pub trait FrameMut: Frame {
    /// Writes `words` at the even offset `at` (below 256), or nothing at all when the frame ends
    /// before their end.
    fn write<const N: usize>(&mut self, at: usize, words: [u16; N]) -> Option<()>;
}

impl Frame for [u8] {
    fn read<const N: usize>(&self, at: usize) -> Option<[u16; N]> {
        let bytes = self.get(at..at.checked_add(2 * N)?)?;
        Some(core::array::from_fn(|n| u16::from_ne_bytes([bytes[2 * n], bytes[2 * n + 1]])))
    }

    fn length(&self) -> usize {
        self.len()
    }
}

impl FrameMut for [u8] {
    fn write<const N: usize>(&mut self, at: usize, words: [u16; N]) -> Option<()> {
        let bytes = self.get_mut(at..at.checked_add(2 * N)?)?;
        for (pair, word) in bytes.chunks_exact_mut(2).zip(words) {
            pair.copy_from_slice(&word.to_ne_bytes());
        }
        Some(())
    }
}

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Length of an IPv4 header without options.
pub const IPV4: usize = 20;
/// Length of an IPv6 header.
pub const IPV6: usize = 40;
/// Length of a TCP header without options.
pub const TCP: u16 = 20;
/// Length of an ARP packet for IPv4 over Ethernet.
pub const ARP: usize = 28;
/// Length of an ICMP or `ICMPv6` echo header.
pub const ECHO: u16 = 8;
/// Length of a neighbour solicitation without options.
pub const SOLICIT: u16 = 24;
/// Length of a link-layer address option.
pub const LINK_OPTION: u16 = 8;

/// IP protocol number of ICMP.
pub const PROTO_ICMP: u8 = 1;
/// IP protocol number of TCP.
pub const PROTO_TCP: u8 = 6;
/// IP protocol number of `ICMPv6`.
pub const PROTO_ICMP6: u8 = 58;
/// IPv6 next header of a fragment.
pub const PROTO_FRAGMENT: u8 = 44;

/// The same as a length field tells it.
const IPV4_WORD: u16 = 20;
const VLAN: usize = 4;
const TYPE_IPV4: u16 = 0x0800;
const TYPE_ARP: u16 = 0x0806;
const TYPE_IPV6: u16 = 0x86dd;
const TYPE_VLAN: u16 = 0x8100;
const TYPE_QINQ: u16 = 0x88a8;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// An ARP request for an IPv4 address over Ethernet.
    ArpRequest,
    /// An IP packet.
    Ip(Ip),
    /// Something else, or more tags than we look behind.
    Other,
}

/// The headers of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Where the frame goes.
    pub to: Mac,
    /// Where the network header starts.
    pub network: usize,
    /// What the network header says.
    pub carried: Carried,
}

/// What both IP headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Whether it is IPv6.
    pub v6: bool,
    /// Destination address.
    pub destination: Address,
    /// Protocol, or the first next header.
    pub protocol: u8,
    /// Hop limit or time to live.
    pub hops: u8,
    /// Whether the packet is a part of another one.
    pub fragment: bool,
    /// Where the payload starts, when no options stand before it and the frame holds all of it.
    pub payload: Option<Payload>,
}

/// The part of a frame behind a plain IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Where it starts.
    pub at: usize,
    /// Its length as the IP header tells it; the frame is at least that long.
    pub length: u16,
}

/// A frame that ends within a header, or whose header contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads the headers of a frame.
///
/// # Errors
/// When the frame ends within a header that its ethertype promises, or the header is nonsense.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F) -> Result<Headers, Malformed> {
    let to = Mac(frame.read::<3>(0).ok_or(Malformed)?);
    let (ethertype, network) = ethertype(frame)?;
    let carried = match ethertype {
        TYPE_IPV4 => Carried::Ip(ipv4(frame, network)?),
        TYPE_IPV6 => Carried::Ip(ipv6(frame, network)?),
        TYPE_ARP => arp(frame, network)?,
        _ => Carried::Other,
    };
    Ok(Headers { to, network, carried })
}

/// A word as a number.
#[inline(always)]
fn number<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<u16, Malformed> {
    match frame.read::<1>(at) {
        Some([word]) => Ok(u16::from_be(word)),
        None => Err(Malformed),
    }
}

/// The ethertype behind at most two tags, and where its header starts.
#[inline(always)]
fn ethertype<F: Frame + ?Sized>(frame: &F) -> Result<(u16, usize), Malformed> {
    let outer = number(frame, ETHERNET - 2)?;
    if !is_tag(outer) {
        return Ok((outer, ETHERNET));
    }
    let inner = number(frame, ETHERNET + VLAN - 2)?;
    if !is_tag(inner) {
        return Ok((inner, ETHERNET + VLAN));
    }
    Ok((number(frame, ETHERNET + 2 * VLAN - 2)?, ETHERNET + 2 * VLAN))
}

#[inline(always)]
const fn is_tag(ethertype: u16) -> bool {
    ethertype == TYPE_VLAN || ethertype == TYPE_QINQ
}

#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<Ip, Malformed> {
    let destination = Address::from_v4(frame.read::<2>(at + 16).ok_or(Malformed)?);
    let [version, _] = number(frame, at)?.to_be_bytes();
    let length = number(frame, at + 2)?;
    let header = u16::from(version & 0x0f) * 4;
    if version >> 4 != 4 || header < IPV4_WORD || length < header {
        return Err(Malformed);
    }
    // More-fragments flag or an offset.
    let fragment = number(frame, at + 6)? & 0x3fff != 0;
    let [hops, protocol] = number(frame, at + 8)?.to_be_bytes();
    let whole = at + usize::from(length) <= frame.length();
    let payload = (header == IPV4_WORD && whole)
        .then_some(Payload { at: at + IPV4, length: length.wrapping_sub(IPV4_WORD) });
    Ok(Ip { v6: false, destination, protocol, hops, fragment, payload })
}

#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<Ip, Malformed> {
    let destination = Address(frame.read::<8>(at + 24).ok_or(Malformed)?);
    let [version, _] = number(frame, at)?.to_be_bytes();
    if version >> 4 != 6 {
        return Err(Malformed);
    }
    let length = number(frame, at + 4)?;
    let [protocol, hops] = number(frame, at + 6)?.to_be_bytes();
    let whole = at + IPV6 + usize::from(length) <= frame.length();
    Ok(Ip {
        v6: true,
        destination,
        protocol,
        hops,
        fragment: protocol == PROTO_FRAGMENT,
        payload: whole.then_some(Payload { at: at + IPV6, length }),
    })
}

#[inline(always)]
fn arp<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<Carried, Malformed> {
    // Ethernet, IPv4, the lengths that belong to them, a request.
    const REQUEST: [u16; 4] =
        [1u16.to_be(), TYPE_IPV4.to_be(), u16::from_be_bytes([6, 4]).to_be(), 1u16.to_be()];
    frame.read::<1>(at + ARP - 2).ok_or(Malformed)?;
    let head = frame.read::<4>(at).ok_or(Malformed)?;
    Ok(if head == REQUEST { Carried::ArpRequest } else { Carried::Other })
}
