//! What is to be done with a packet or a connection: pure rules over headers and table answers.
//!
//! The first rule is that nothing is taken away from anybody else: whatever is not addressed to a
//! cluster or to a guarded prefix, on a link we own, in a frame meant for us, passes untouched.

use crate::layout::{
    ANSWER_NEIGHBOURS, ANSWER_PING, Address, AddressValue, Config, DROP_ALL, DestValue, Edge,
    Family, Mac, REFUSE_WITH_RESET, Reason, listener_index,
};
use crate::packet::{
    Carried, ECHO, Frame, Headers, Ip, PROTO_ICMP, PROTO_ICMP6, PROTO_TCP, Payload, SOLICIT, TCP,
    parse,
};

/// What the rules ask the outside world while they decide.
pub trait Tables {
    /// The allocated address, if it is one.
    fn address(&self, address: &Address) -> Option<AddressValue>;
    /// Whether the address lies in a guarded prefix and not in an exempt one inside it.
    fn guarded(&self, address: &Address) -> bool;
    /// Sixteen random bits.
    fn random(&self) -> u16;
}

/// Which answer a frame is to be turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An ARP reply.
    Arp,
    /// A neighbour advertisement.
    Neighbour(Payload),
    /// An ICMP echo reply.
    Echo,
    /// An `ICMPv6` echo reply.
    Echo6,
    /// A TCP reset over IPv4.
    Reset(Payload),
    /// A TCP reset over IPv6.
    Reset6(Payload),
}

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to the stack as it is.
    Pass,
    /// It ends here.
    Drop,
    /// It is turned round.
    Answer(Answer),
}

/// A verdict and what is to be counted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What happens.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The counter of the allocated address the frame is for.
    pub slot: Option<u32>,
    /// Where the network header starts; an answer is built from there.
    pub network: usize,
}

impl Judgement {
    const fn new(verdict: Verdict, reason: Reason) -> Self {
        Self { verdict, reason, slot: None, network: 0 }
    }

    #[inline(always)]
    const fn pass(reason: Reason) -> Self {
        Self::new(Verdict::Pass, reason)
    }

    /// Whether a fault of the address dropped the frame.
    #[inline(always)]
    pub const fn by_fault(&self) -> bool {
        matches!(self.reason, Reason::Blackhole | Reason::Lossy)
    }
}

/// Judges a frame that arrived at `edge`.
#[inline(always)]
pub fn judge<F, T>(frame: &F, tables: &T, edge: Edge, config: Config) -> Judgement
where
    F: Frame + ?Sized,
    T: Tables,
{
    let Ok(headers) = parse(frame) else {
        return Judgement::pass(Reason::Malformed);
    };
    let judged = match headers.carried {
        Carried::ArpRequest => judge_arp(frame, &headers, tables, edge),
        Carried::Ip(ip) => judge_ip(frame, &headers, &ip, tables, edge, config),
        Carried::Other => Judgement::pass(Reason::Foreign),
    };
    Judgement { network: headers.network, ..judged }
}

#[inline(always)]
fn judge_arp<F, T>(frame: &F, headers: &Headers, tables: &T, edge: Edge) -> Judgement
where
    F: Frame + ?Sized,
    T: Tables,
{
    let meant_for_us = headers.to.is_group() || headers.to == edge.mac;
    if edge.flags & ANSWER_NEIGHBOURS == 0 || !meant_for_us {
        return Judgement::pass(Reason::Foreign);
    }
    match arp_target(frame, headers.network) {
        Some(target) => asked_for(&target, tables, Answer::Arp, Reason::ArpAnswered),
        None => Judgement::pass(Reason::Foreign),
    }
}

/// Whom an ARP request asks for, unless it is an announcement or cannot be answered.
#[inline(always)]
fn arp_target<F: Frame + ?Sized>(frame: &F, network: usize) -> Option<Address> {
    let asker = Mac(frame.read::<3>(network + 8)?);
    let sender = frame.read::<2>(network + 14)?;
    let target = frame.read::<2>(network + 24)?;
    (!asker.is_group() && sender != target).then_some(Address::from_v4(target))
}

/// The rule ARP and neighbour discovery share: we speak for allocated addresses, nobody speaks for
/// guarded ones, the stack speaks for the rest.
#[inline(always)]
fn asked_for<T: Tables>(target: &Address, tables: &T, answer: Answer, reason: Reason) -> Judgement {
    if tables.address(target).is_some() {
        Judgement::new(Verdict::Answer(answer), reason)
    } else if tables.guarded(target) {
        Judgement::new(Verdict::Drop, Reason::Unallocated)
    } else {
        Judgement::pass(Reason::Foreign)
    }
}

#[inline(always)]
fn judge_ip<F, T>(
    frame: &F,
    headers: &Headers,
    ip: &Ip,
    tables: &T,
    edge: Edge,
    config: Config,
) -> Judgement
where
    F: Frame + ?Sized,
    T: Tables,
{
    if edge.flags & ANSWER_NEIGHBOURS != 0
        && let Some((payload, target)) = solicitation(frame, headers, ip, edge.mac)
    {
        let answer = Answer::Neighbour(payload);
        return asked_for(&target, tables, answer, Reason::NeighbourAnswered);
    }
    // A mapped address has no place in an IPv6 header, and is not the IPv4 cluster it looks like.
    if headers.to != edge.mac || (ip.v6 && ip.destination.is_mapped()) {
        return Judgement::pass(Reason::Foreign);
    }
    match tables.address(&ip.destination) {
        Some(entry) => Judgement {
            slot: Some(entry.slot),
            ..judge_allocated(frame, headers, ip, entry, tables, config)
        },
        None if tables.guarded(&ip.destination) => judge_unallocated(frame, headers, ip, config),
        None => Judgement::pass(Reason::Foreign),
    }
}

#[inline(always)]
fn judge_allocated<F, T>(
    frame: &F,
    headers: &Headers,
    ip: &Ip,
    entry: AddressValue,
    tables: &T,
    config: Config,
) -> Judgement
where
    F: Frame + ?Sized,
    T: Tables,
{
    if entry.fault >= DROP_ALL {
        return Judgement::new(Verdict::Drop, Reason::Blackhole);
    }
    if entry.fault != 0 && u32::from(tables.random()) < entry.fault {
        return Judgement::new(Verdict::Drop, Reason::Lossy);
    }
    if ip.fragment {
        return Judgement::pass(Reason::Fragment);
    }
    if config.has(ANSWER_PING) && is_echo_request(frame, headers, ip) {
        let answer = if ip.v6 { Answer::Echo6 } else { Answer::Echo };
        return Judgement::new(Verdict::Answer(answer), Reason::EchoAnswered);
    }
    Judgement::pass(Reason::Served)
}

#[inline(always)]
fn judge_unallocated<F>(frame: &F, headers: &Headers, ip: &Ip, config: Config) -> Judgement
where
    F: Frame + ?Sized,
{
    if config.has(REFUSE_WITH_RESET)
        && let Some(segment) = refusable(frame, headers, ip)
    {
        let answer = if ip.v6 { Answer::Reset6(segment) } else { Answer::Reset(segment) };
        return Judgement::new(Verdict::Answer(answer), Reason::Refused);
    }
    Judgement::new(Verdict::Drop, Reason::Unallocated)
}

/// Whether one can answer to the source: it is neither unspecified nor a group's.
#[inline(always)]
fn has_answerable_source<F: Frame + ?Sized>(frame: &F, headers: &Headers, ip: &Ip) -> bool {
    if ip.v6 {
        frame
            .read::<8>(headers.network + 8)
            .is_some_and(|source| source[0].to_ne_bytes()[0] != 0xff && source != [0; 8])
    } else {
        frame
            .read::<1>(headers.network + 12)
            .is_some_and(|[source]| !matches!(source.to_ne_bytes()[0], 0 | 224..))
    }
}

#[inline(always)]
fn is_echo_request<F: Frame + ?Sized>(frame: &F, headers: &Headers, ip: &Ip) -> bool {
    let Some(payload) = ip.payload else {
        return false;
    };
    let (protocol, kind) = if ip.v6 { (PROTO_ICMP6, 128) } else { (PROTO_ICMP, 8) };
    ip.protocol == protocol
        && payload.length >= ECHO
        && frame.read::<1>(payload.at) == Some([u16::from_ne_bytes([kind, 0])])
        && has_answerable_source(frame, headers, ip)
}

/// A whole TCP segment that may be answered with a reset (a reset never is: RFC 9293, 3.5.2).
#[inline(always)]
fn refusable<F: Frame + ?Sized>(frame: &F, headers: &Headers, ip: &Ip) -> Option<Payload> {
    const RST: u8 = 0x04;
    let segment = ip.payload?;
    if ip.fragment || ip.protocol != PROTO_TCP || !has_answerable_source(frame, headers, ip) {
        return None;
    }
    let [word] = frame.read::<1>(segment.at + 12)?;
    let [offset, flags] = word.to_ne_bytes();
    let header = u16::from(offset >> 4) * 4;
    (flags & RST == 0 && header >= TCP && header <= segment.length).then_some(segment)
}

/// A neighbour solicitation that we may answer, and its target.
#[inline(always)]
fn solicitation<F: Frame + ?Sized>(
    frame: &F,
    headers: &Headers,
    ip: &Ip,
    own: Mac,
) -> Option<(Payload, Address)> {
    let payload = ip.payload?;
    // RFC 4861, 7.1.1: a hop limit of 255 proves that the asker is on the link.
    if !ip.v6 || ip.protocol != PROTO_ICMP6 || ip.hops != 255 || payload.length < SOLICIT {
        return None;
    }
    let from = Mac(frame.read::<3>(6)?);
    let meant_for_us = headers.to == own || headers.to.is_group();
    let solicits = frame.read::<1>(payload.at)? == [u16::from_ne_bytes([135, 0])];
    if !meant_for_us || from.is_group() || !solicits {
        return None;
    }
    let target = Address(frame.read::<8>(payload.at + 8)?);
    (!target.is_mapped()).then_some((payload, target))
}

/// What happens to a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// The kernel's own choice of a socket stands.
    Leave,
    /// It goes to the listening socket at this index.
    To(u32),
    /// It is refused.
    Refuse,
}

/// Judges a new connection by what the tables say about its destination.
///
/// A guarded address is a cluster's or nobody's: a port that no cluster serves there is refused,
/// so that a wildcard listener of somebody else's does not answer in a cluster's name.
#[inline(always)]
pub const fn steer(family: Family, served: Option<DestValue>, guarded: bool) -> Steer {
    match served {
        Some(DestValue { worker }) => Steer::To(listener_index(worker, family)),
        None if guarded => Steer::Refuse,
        None => Steer::Leave,
    }
}
