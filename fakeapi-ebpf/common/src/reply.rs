//! Turning a frame into its answer, in place.
//!
//! The judgement has already made sure that the headers are there; a read or write beyond the end
//! still answers `None` rather than trusting that.

use crate::checksum::{add, finish, update};
use crate::layout::{Address, Edge, Mac};
use crate::packet::{
    ETHERNET, FrameMut, IPV4, IPV6, LINK_OPTION, PROTO_ICMP6, PROTO_TCP, Payload, SOLICIT, TCP,
};
use crate::verdict::Answer;

/// Hop limit and time to live of our answers.
const HOPS: u8 = 64;
/// A hop limit that proves the sender is on the link (RFC 4861).
const ON_LINK: u8 = 255;
/// The shortest frame Ethernet carries, without its check sequence; no answer is cut below it.
pub const SHORTEST: usize = 60;

const ALL_NODES: Address = Address([word(0xff, 2), 0, 0, 0, 0, 0, 0, word(0, 1)]);
const ALL_NODES_MAC: Mac = Mac([word(0x33, 0x33), 0, word(0, 1)]);

/// Turns the frame, whose network header starts at `network`, into `answer` and tells how long it
/// is now; never longer than it was. `None` when the frame is too short for what was judged.
#[inline(always)]
pub fn write<F>(frame: &mut F, network: usize, answer: Answer, edge: Edge) -> Option<usize>
where
    F: FrameMut + ?Sized,
{
    match answer {
        Answer::Arp => arp(frame, network, edge.mac),
        Answer::Neighbour(payload) => advertise(frame, network, payload, edge.mac),
        Answer::Echo => echo(frame, network),
        Answer::Echo6 => echo6(frame, network),
        Answer::Reset(segment) => reset(frame, network, segment),
        Answer::Reset6(segment) => reset6(frame, network, segment),
    }
}

/// Two bytes as the word they are in memory.
#[inline(always)]
const fn word(first: u8, second: u8) -> u16 {
    u16::from_ne_bytes([first, second])
}

#[inline(always)]
fn turn_ethernet<F: FrameMut + ?Sized>(frame: &mut F) -> Option<()> {
    let to = frame.read::<3>(0)?;
    let from = frame.read::<3>(6)?;
    frame.write(0, from)?;
    frame.write(6, to)
}

#[inline(always)]
fn arp<F: FrameMut + ?Sized>(frame: &mut F, network: usize, own: Mac) -> Option<usize> {
    let asker = frame.read::<3>(network + 8)?;
    let sender = frame.read::<2>(network + 14)?;
    let target = frame.read::<2>(network + 24)?;
    frame.write(0, asker)?;
    frame.write(6, own.0)?;
    frame.write(network + 6, [word(0, 2)])?;
    frame.write(network + 8, own.0)?;
    frame.write(network + 14, target)?;
    frame.write(network + 18, asker)?;
    frame.write(network + 24, sender)?;
    Some(frame.length())
}

/// The sum over the addresses, the length and the protocol that `ICMPv6` and TCP cover.
#[inline(always)]
fn pseudo<const N: usize>(from: &[u16; N], to: &[u16; N], length: u16, protocol: u8) -> u32 {
    add(add(0, from), to) + u32::from(length) + u32::from(protocol)
}

/// A neighbour advertisement, RFC 4861 section 7.2.4.
///
/// A solicitation without room for our link-layer option was sent by unicast by somebody who knows
/// it already, so leaving the option out is allowed. One from the unspecified address looks for a
/// duplicate of its own, and everybody is told.
#[inline(always)]
fn advertise<F>(frame: &mut F, network: usize, payload: Payload, own: Mac) -> Option<usize>
where
    F: FrameMut + ?Sized,
{
    const OVERRIDE: u8 = 0x20;
    const SOLICITED: u8 = 0x40;
    let asker = Address(frame.read::<8>(network + 8)?);
    let target = Address(frame.read::<8>(payload.at + 8)?);
    let from = Mac(frame.read::<3>(6)?);
    let (to, to_mac, flags) = if asker == Address::UNSPECIFIED {
        (ALL_NODES, ALL_NODES_MAC, OVERRIDE)
    } else {
        (asker, from, OVERRIDE | SOLICITED)
    };
    let with_option = payload.length >= SOLICIT + LINK_OPTION;
    let length = if with_option { SOLICIT + LINK_OPTION } else { SOLICIT };

    frame.write(0, to_mac.0)?;
    frame.write(6, own.0)?;
    frame.write(network + 4, [length.to_be(), word(PROTO_ICMP6, ON_LINK)])?;
    frame.write(network + 8, target.0)?;
    frame.write(network + 24, to.0)?;

    let head = [word(136, 0), 0, word(flags, 0), 0];
    let mut sum = pseudo(&target.0, &to.0, length, PROTO_ICMP6);
    sum = add(add(sum, &head), &target.0);
    if with_option {
        let option = [word(2, 1), own.0[0], own.0[1], own.0[2]];
        sum = add(sum, &option);
        frame.write(payload.at + usize::from(SOLICIT), option)?;
    }
    frame.write(payload.at, [head[0], finish(sum).to_be(), head[2], head[3]])?;
    Some(payload.at + usize::from(length))
}

#[inline(always)]
fn echo<F: FrameMut + ?Sized>(frame: &mut F, network: usize) -> Option<usize> {
    turn_ethernet(frame)?;
    turn_ipv4(frame, network)?;
    answer_echo(frame, network + IPV4, 8, 0)
}

#[inline(always)]
fn echo6<F: FrameMut + ?Sized>(frame: &mut F, network: usize) -> Option<usize> {
    turn_ethernet(frame)?;
    turn_ipv6(frame, network)?;
    answer_echo(frame, network + IPV6, 128, 129)
}

#[inline(always)]
fn answer_echo<F>(frame: &mut F, at: usize, asked: u8, answered: u8) -> Option<usize>
where
    F: FrameMut + ?Sized,
{
    let [_, sum] = frame.read::<2>(at)?;
    let sum = update(u16::from_be(sum), u16::from(asked) << 8, u16::from(answered) << 8);
    frame.write(at, [word(answered, 0), sum.to_be()])?;
    Some(frame.length())
}

/// Exchanges the addresses and starts a new life; exchanging does not change the checksum.
#[inline(always)]
fn turn_ipv4<F: FrameMut + ?Sized>(frame: &mut F, network: usize) -> Option<()> {
    let [life, sum, a, b, c, d] = frame.read::<6>(network + 8)?;
    let [_, protocol] = life.to_ne_bytes();
    let new = word(HOPS, protocol);
    let sum = update(u16::from_be(sum), u16::from_be(life), u16::from_be(new));
    frame.write(network + 8, [new, sum.to_be(), c, d, a, b])
}

#[inline(always)]
fn turn_ipv6<F: FrameMut + ?Sized>(frame: &mut F, network: usize) -> Option<()> {
    let [life] = frame.read::<1>(network + 6)?;
    let source = frame.read::<8>(network + 8)?;
    let destination = frame.read::<8>(network + 24)?;
    frame.write(network + 6, [word(life.to_ne_bytes()[0], HOPS)])?;
    frame.write(network + 8, destination)?;
    frame.write(network + 24, source)
}

#[inline(always)]
fn reset<F: FrameMut + ?Sized>(frame: &mut F, network: usize, segment: Payload) -> Option<usize> {
    const LENGTH: u16 = 20 + TCP;
    turn_ethernet(frame)?;
    turn_ipv4(frame, network)?;
    let [old] = frame.read::<1>(network + 2)?;
    let [sum] = frame.read::<1>(network + 10)?;
    let sum = update(u16::from_be(sum), u16::from_be(old), LENGTH);
    frame.write(network + 2, [LENGTH.to_be()])?;
    frame.write(network + 10, [sum.to_be()])?;
    let addresses = frame.read::<4>(network + 12)?;
    let pseudo = add(0, &addresses) + u32::from(TCP) + u32::from(PROTO_TCP);
    reset_segment(frame, segment, pseudo)
}

#[inline(always)]
fn reset6<F: FrameMut + ?Sized>(frame: &mut F, network: usize, segment: Payload) -> Option<usize> {
    turn_ethernet(frame)?;
    turn_ipv6(frame, network)?;
    frame.write(network + 4, [TCP.to_be()])?;
    let from = frame.read::<8>(network + 8)?;
    let to = frame.read::<8>(network + 24)?;
    reset_segment(frame, segment, pseudo(&from, &to, TCP, PROTO_TCP))
}

/// The reset of a connection that does not exist, RFC 9293 section 3.10.7.1.
#[inline(always)]
fn reset_segment<F>(frame: &mut F, segment: Payload, pseudo: u32) -> Option<usize>
where
    F: FrameMut + ?Sized,
{
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    const OFFSET: u8 = 5 << 4;
    let [from, to, start_high, start_low, ack_high, ack_low, control] =
        frame.read::<7>(segment.at)?;
    let [offset, flags] = control.to_ne_bytes();
    let (sequence, acknowledged, answer) = if flags & ACK != 0 {
        ([ack_high, ack_low], [0, 0], RST)
    } else {
        let header = u32::from(offset >> 4) * 4;
        let used = u32::from(segment.length).wrapping_sub(header)
            + u32::from(flags & SYN != 0)
            + u32::from(flags & FIN != 0);
        let start = u32::from(u16::from_be(start_high)) << 16 | u32::from(u16::from_be(start_low));
        let [a, b, c, d] = start.wrapping_add(used).to_be_bytes();
        ([0, 0], [word(a, b), word(c, d)], RST | ACK)
    };
    let [s0, s1] = sequence;
    let [a0, a1] = acknowledged;
    let control = word(OFFSET, answer);
    let sum = finish(add(pseudo, &[to, from, s0, s1, a0, a1, control]));
    frame.write(segment.at, [to, from, s0, s1, a0, a1, control, 0, sum.to_be(), 0])?;
    Some(segment.at + usize::from(TCP))
}

const _: () = assert!(ETHERNET + IPV4 + (TCP as usize) < SHORTEST);
