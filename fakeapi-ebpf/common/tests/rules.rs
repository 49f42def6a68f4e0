//! What the rules decide about frames and connections.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fakeapi_common::layout::{
    ANSWER_NEIGHBOURS, ANSWER_PING, Address, AddressValue, Config, DROP_ALL, DestValue, Edge,
    Family, REFUSE_WITH_RESET, Reason,
};
use fakeapi_common::reply;
use fakeapi_common::verdict::{Answer, Judgement, Steer, Tables, Verdict, judge, steer};
use proptest::prelude::*;

mod frames;
use frames::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HELD: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
const FREE: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xc);
const HELD6: Ipv6Addr = Ipv6Addr::new(0xfd00, 8, 0, 0, 0, 0, 0, 1);
const FREE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 8, 0, 0, 0, 0, 0, 2);
const ELSEWHERE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 1);
const SLOT: u32 = 7;

/// `10.8.0.0/16` and `fd00:8::/32` are guarded; `HELD` and `HELD6` are allocated.
struct World {
    held: HashMap<Address, AddressValue>,
    random: Cell<u16>,
}

impl World {
    fn new(fault: u32) -> Self {
        let entry = AddressValue { slot: SLOT, fault };
        let held = [IpAddr::V4(HELD), IpAddr::V6(HELD6)].map(|ip| (Address::from(ip), entry));
        Self { held: held.into(), random: Cell::new(0) }
    }
}

impl Tables for World {
    fn address(&self, address: &Address) -> Option<AddressValue> {
        self.held.get(address).copied()
    }

    fn guarded(&self, address: &Address) -> bool {
        let bytes: Vec<u8> = address.0.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let v4 = bytes[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        (v4 && bytes[12..14] == [10, 8]) || bytes[..4] == [0xfd, 0, 0, 8]
    }

    fn random(&self) -> u16 {
        self.random.get()
    }
}

fn edge(flags: u16) -> Edge {
    Edge { mac: OWN.into(), flags }
}

fn all() -> Config {
    Config { flags: REFUSE_WITH_RESET | ANSWER_PING }
}

fn judged(frame: &[u8]) -> Judgement {
    judge(frame, &World::new(0), edge(ANSWER_NEIGHBOURS), all())
}

/// The frame as answered.
fn answered(frame: &[u8]) -> Vec<u8> {
    let judged = judged(frame);
    let Verdict::Answer(answer) = judged.verdict else {
        panic!("not answered: {judged:?}");
    };
    let mut frame = frame.to_vec();
    let length = reply::write(frame.as_mut_slice(), judged.network, answer, edge(0)).unwrap();
    frame.truncate(length);
    frame
}

fn udp(to: Ipv4Addr) -> Vec<u8> {
    ethernet(OWN, &[], IPV4, &V4::new(CLIENT, to, 17).packet(&[0; 16]))
}

fn fragment(to: Ipv4Addr) -> Vec<u8> {
    let ip = V4 { fragment: 0x2000, ..V4::new(CLIENT, to, 1) };
    ethernet(OWN, &[], IPV4, &ip.packet(&[8, 0, 0, 0, 0, 0, 0, 0]))
}

fn fragment6(to: Ipv6Addr) -> Vec<u8> {
    let payload = [58, 0, 0, 1, 0, 0, 0, 1, 128, 0, 0, 0];
    ethernet(OWN, &[], IPV6, &v6_packet(CLIENT6, to, 44, 64, &payload))
}

fn with_options(to: Ipv4Addr) -> Vec<u8> {
    let ip = V4 { options: 2, ..V4::new(CLIENT, to, 6) };
    ethernet(OWN, &[], IPV4, &ip.packet(&segment(|n| ip.pseudo(n), SYN, &[])))
}

/// Fails unless the frame has this reason, behind no, one and two tags.
fn assert_reason(reason: Reason, name: &str, frame: &[u8]) {
    assert_eq!(judged(frame).reason, reason, "{name}");
    for tags in [&[VLAN][..], &[QINQ, VLAN], &[VLAN, VLAN]] {
        let behind = judged(&tagged(frame, tags)).reason;
        assert_eq!(behind, reason, "{name} behind {tags:x?}");
    }
    let three = judged(&tagged(frame, &[VLAN; 3])).reason;
    assert_eq!(three, Reason::Foreign, "{name} behind three tags");
}

#[test]
fn frames_for_a_cluster() {
    use Reason::{EchoAnswered, Fragment, Served};
    let group = Ipv4Addr::new(224, 0, 0, 1);
    let group6 = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    assert_reason(Served, "tcp", &tcp_v4(CLIENT, HELD, SYN, b""));
    assert_reason(Served, "tcp, IPv6", &tcp_v6(CLIENT6, HELD6, ACK, b"x"));
    assert_reason(Served, "IP options", &with_options(HELD));
    assert_reason(Served, "udp", &udp(HELD));
    assert_reason(Fragment, "fragment", &fragment(HELD));
    assert_reason(Fragment, "fragment, IPv6", &fragment6(HELD6));
    assert_reason(EchoAnswered, "ping", &ping_v4(CLIENT, HELD, b"abc"));
    assert_reason(EchoAnswered, "ping, IPv6", &ping_v6(CLIENT6, HELD6, b"abc"));
    assert_reason(Served, "ping from nowhere", &ping_v4(Ipv4Addr::UNSPECIFIED, HELD, b""));
    assert_reason(Served, "ping from a group", &ping_v4(group, HELD, b""));
    assert_reason(Served, "ping from a group, IPv6", &ping_v6(group6, HELD6, b""));
}

#[test]
fn frames_for_nobody() {
    use Reason::{Refused, Unallocated};
    assert_reason(Refused, "tcp", &tcp_v4(CLIENT, FREE, SYN, b""));
    assert_reason(Refused, "tcp, IPv6", &tcp_v6(CLIENT6, FREE6, SYN, b""));
    assert_reason(Unallocated, "reset", &tcp_v4(CLIENT, FREE, RST, b""));
    assert_reason(Unallocated, "IP options", &with_options(FREE));
    assert_reason(Unallocated, "udp", &udp(FREE));
    assert_reason(Unallocated, "fragment", &fragment(FREE));
    assert_reason(Unallocated, "fragment, IPv6", &fragment6(FREE6));
    assert_reason(Unallocated, "ping", &ping_v4(CLIENT, FREE, b""));
}

#[test]
fn frames_for_somebody_else() {
    let mapped = HELD.to_ipv6_mapped();
    for (name, frame) in [
        ("tcp", tcp_v4(CLIENT, ELSEWHERE, SYN, b"")),
        ("tcp, IPv6", tcp_v6(CLIENT6, ELSEWHERE6, SYN, b"")),
        ("ping", ping_v4(CLIENT, ELSEWHERE, b"")),
        ("arp announcement of a cluster's address", who_has(HELD, HELD)),
        ("arp", who_has(CLIENT, ELSEWHERE)),
        ("solicitation", solicit(CLIENT6, ELSEWHERE6, false)),
        ("mapped address", tcp_v6(CLIENT6, mapped, SYN, b"")),
        ("solicitation for a mapped address", solicit(CLIENT6, mapped, false)),
        ("unknown ethertype", ethernet(OWN, &[], 0x88cc, &[0; 50])),
        ("802.3 length", ethernet(OWN, &[], 50, &[0; 50])),
    ] {
        assert_reason(Reason::Foreign, name, &frame);
    }
}

#[test]
fn questions_for_neighbours() {
    use Reason::{ArpAnswered, NeighbourAnswered, Unallocated};
    assert_reason(ArpAnswered, "arp", &who_has(CLIENT, HELD));
    assert_reason(ArpAnswered, "arp probe", &who_has(Ipv4Addr::UNSPECIFIED, HELD));
    assert_reason(Unallocated, "arp for nobody", &who_has(CLIENT, FREE));
    assert_reason(NeighbourAnswered, "solicitation", &solicit(CLIENT6, HELD6, false));
    assert_reason(NeighbourAnswered, "unicast", &solicit(CLIENT6, HELD6, true));
    let probe = solicit(Ipv6Addr::UNSPECIFIED, HELD6, false);
    assert_reason(NeighbourAnswered, "duplicate detection", &probe);
    assert_reason(Unallocated, "solicitation for nobody", &solicit(CLIENT6, FREE6, false));
}

#[test]
fn a_verdict_belongs_to_its_reason() {
    let frames = [
        tcp_v4(CLIENT, HELD, SYN, b""),
        tcp_v4(CLIENT, FREE, SYN, b""),
        tcp_v4(CLIENT, FREE, RST, b""),
        tcp_v4(CLIENT, ELSEWHERE, SYN, b""),
        who_has(CLIENT, HELD),
    ];
    let verdicts = frames.map(|frame| judged(&frame).verdict);
    assert!(matches!(verdicts[0], Verdict::Pass));
    assert!(matches!(verdicts[1], Verdict::Answer(Answer::Reset(_))));
    assert!(matches!(verdicts[2], Verdict::Drop));
    assert!(matches!(verdicts[3], Verdict::Pass));
    assert!(matches!(verdicts[4], Verdict::Answer(Answer::Arp)));
}

#[test]
fn only_frames_for_allocated_addresses_are_counted_for_one() {
    assert_eq!(judged(&tcp_v4(CLIENT, HELD, SYN, b"")).slot, Some(SLOT));
    assert_eq!(judged(&ping_v6(CLIENT6, HELD6, b"")).slot, Some(SLOT));
    assert_eq!(judged(&tcp_v4(CLIENT, FREE, SYN, b"")).slot, None);
    assert_eq!(judged(&tcp_v4(CLIENT, ELSEWHERE, SYN, b"")).slot, None);
}

#[test]
fn switches_switch() {
    let world = World::new(0);
    let off = Config { flags: 0 };
    let reason = |frame: &[u8]| judge(frame, &world, edge(0), off).reason;
    assert_eq!(reason(&ping_v4(CLIENT, HELD, b"")), Reason::Served);
    assert_eq!(reason(&tcp_v4(CLIENT, FREE, SYN, b"")), Reason::Unallocated);
    assert_eq!(reason(&who_has(CLIENT, HELD)), Reason::Foreign);
    assert_eq!(reason(&who_has(CLIENT, FREE)), Reason::Foreign);
    assert_eq!(reason(&solicit(CLIENT6, HELD6, true)), Reason::Served);
}

#[test]
fn frames_to_another_machine_are_left_alone() {
    let other = [2, 0, 0, 0, 0, 77];
    for frame in [
        tcp_v4(CLIENT, HELD, SYN, b""),
        tcp_v4(CLIENT, FREE, SYN, b""),
        ping_v6(CLIENT6, HELD6, b""),
        who_has(CLIENT, HELD),
        solicit(CLIENT6, HELD6, true),
    ] {
        let mut frame = frame;
        frame[..6].copy_from_slice(&other);
        let judged = judged(&frame);
        assert_eq!((judged.verdict, judged.reason), (Verdict::Pass, Reason::Foreign));
    }
}

#[test]
fn a_solicitation_from_off_the_link_is_not_answered() {
    let mut frame = solicit(CLIENT6, HELD6, true);
    frame[14 + 7] = 254;
    assert_eq!(judged(&frame).reason, Reason::Served);
}

#[test]
fn faults_drop_their_share() {
    let frame = tcp_v4(CLIENT, HELD, SYN, b"");
    let reason = |fault, random| {
        let world = World::new(fault);
        world.random.set(random);
        let judged = judge(frame.as_slice(), &world, edge(0), all());
        (judged.reason, judged.by_fault(), judged.slot)
    };
    let slot = Some(SLOT);
    assert_eq!(reason(0, 0), (Reason::Served, false, slot));
    assert_eq!(reason(100, 99), (Reason::Lossy, true, slot));
    assert_eq!(reason(100, 100), (Reason::Served, false, slot));
    assert_eq!(reason(DROP_ALL - 1, u16::MAX), (Reason::Served, false, slot));
    assert_eq!(reason(DROP_ALL, u16::MAX), (Reason::Blackhole, true, slot));
}

#[test]
fn connections_go_to_their_worker_or_nowhere() {
    let served = Some(DestValue { worker: 3 });
    assert_eq!(steer(Family::V4, served, true), Steer::To(6));
    assert_eq!(steer(Family::V6, served, false), Steer::To(7));
    assert_eq!(steer(Family::V4, None, true), Steer::Refuse);
    assert_eq!(steer(Family::V4, None, false), Steer::Leave);
}

#[test]
fn an_arp_reply_says_where_we_are() {
    let own = [2, 1, 1, 1, 1, 1];
    let mut frame = who_has(CLIENT, HELD);
    let edge = Edge { mac: own.into(), flags: ANSWER_NEIGHBOURS };
    reply::write(frame.as_mut_slice(), 14, Answer::Arp, edge).unwrap();
    let mut expected = [PEER, own].concat();
    expected.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    expected.extend(own);
    expected.extend(HELD.octets());
    expected.extend(PEER);
    expected.extend(CLIENT.octets());
    assert_eq!(frame, expected);
}

#[test]
fn an_advertisement_names_the_target_and_its_link() {
    let frame = answered(&solicit(CLIENT6, HELD6, false));
    assert_sums(&frame);
    assert_eq!((&frame[..6], &frame[6..12]), (&PEER[..], &OWN[..]));
    assert_eq!(frame[21], 255);
    assert_eq!(frame[22..38], HELD6.octets());
    assert_eq!(frame[38..54], CLIENT6.octets());
    assert_eq!(frame[54..56], [136, 0]);
    assert_eq!(frame[58], 0x60, "solicited, override");
    assert_eq!(frame[62..78], HELD6.octets());
    assert_eq!(frame[78..80], [2, 1]);
    assert_eq!(frame.len(), 86);
}

#[test]
fn a_unicast_solicitation_is_answered_without_the_option() {
    let frame = answered(&solicit(CLIENT6, HELD6, true));
    assert_sums(&frame);
    assert_eq!(frame.len(), 14 + 40 + 24);
}

#[test]
fn a_duplicate_is_told_to_everybody() {
    let frame = answered(&solicit(Ipv6Addr::UNSPECIFIED, HELD6, false));
    assert_sums(&frame);
    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(frame[38..54], Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets());
    assert_eq!(frame[58], 0x20, "override, not solicited");
}

#[test]
fn an_echo_comes_back_as_it_went() {
    for data in [&b""[..], b"a", b"some longer data", &[0xff; 64]] {
        let asked = ping_v4(CLIENT, HELD, data);
        let frame = answered(&asked);
        assert_sums(&frame);
        assert_eq!(frame.len(), asked.len());
        assert_eq!((frame[22], frame[34]), (64, 0));
        assert_eq!(frame[26..30], HELD.octets());
        assert_eq!(frame[30..34], CLIENT.octets());
        assert_eq!(frame[38..], asked[38..]);

        let asked = ping_v6(CLIENT6, HELD6, data);
        let frame = answered(&asked);
        assert_sums(&frame);
        assert_eq!((frame[21], frame[54]), (64, 129));
        assert_eq!(frame[22..38], HELD6.octets());
        assert_eq!(frame[58..], asked[58..]);
    }
}

/// A corrupted request must not become a valid answer.
#[test]
fn an_echo_keeps_a_wrong_checksum_wrong() {
    let mut asked = ping_v4(CLIENT, HELD, b"data");
    *asked.last_mut().unwrap() ^= 0x40;
    let frame = answered(&asked);
    assert!(std::panic::catch_unwind(|| assert_sums(&frame)).is_err());
}

#[test]
fn a_reset_is_one_the_peer_will_accept() {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let sequence = 0xffff_fff0u32;
    // Flags, data, expected sequence, acknowledgement and flags.
    let table = [
        (SYN, &b""[..], 0, sequence.wrapping_add(1), RST | ACK),
        (SYN | FIN, b"twenty bytes of data", 0, sequence.wrapping_add(22), RST | ACK),
        (0, b"x", 0, sequence.wrapping_add(1), RST | ACK),
        (ACK, b"xyz", 0x0102_0304, 0, RST),
        (SYN | ACK, b"", 0x0102_0304, 0, RST),
    ];
    for (flags, data, expected_sequence, expected_ack, expected_flags) in table {
        for (frame, tcp) in [
            (answered(&tcp_v4(CLIENT, FREE, flags, data)), 34),
            (answered(&tcp_v6(CLIENT6, FREE6, flags, data)), 54),
        ] {
            assert_sums(&frame);
            assert_eq!(frame.len(), tcp + 20);
            assert_eq!(frame[tcp..tcp + 4], [0x19, 0x2b, 0x9c, 0x40], "ports exchanged");
            assert_eq!(number(&frame[tcp + 4..tcp + 8]), expected_sequence);
            assert_eq!(number(&frame[tcp + 8..tcp + 12]), expected_ack);
            assert_eq!((frame[tcp + 12], frame[tcp + 13]), (5 << 4, expected_flags));
        }
    }
}

#[test]
fn an_answer_keeps_the_tags() {
    let plain = answered(&tcp_v4(CLIENT, FREE, SYN, b""));
    let frame = answered(&tagged(&tcp_v4(CLIENT, FREE, SYN, b""), &[QINQ, VLAN]));
    assert_eq!(frame, tagged(&plain, &[QINQ, VLAN]));
}

/// Cut at any length, a frame that is not ours passes, and a frame that is ours is never answered
/// beyond its end.
#[test]
fn frames_cut_anywhere_harm_nobody() {
    let foreign = [
        tcp_v4(CLIENT, ELSEWHERE, SYN, b"data"),
        tcp_v6(CLIENT6, ELSEWHERE6, SYN, b"data"),
        ping_v4(CLIENT, ELSEWHERE, b"data"),
        who_has(CLIENT, ELSEWHERE),
        solicit(CLIENT6, ELSEWHERE6, false),
    ];
    for frame in foreign {
        for length in 0..=frame.len() {
            for tags in [&[][..], &[VLAN], &[QINQ, VLAN]] {
                let cut = &tagged(&frame, tags)[..length];
                assert_eq!(judged(cut).verdict, Verdict::Pass, "{length} of {frame:x?}");
            }
        }
    }
    let ours = [
        tcp_v4(CLIENT, FREE, SYN, b"data"),
        tcp_v6(CLIENT6, FREE6, SYN, b"data"),
        ping_v4(CLIENT, HELD, b"data"),
        ping_v6(CLIENT6, HELD6, b"data"),
        who_has(CLIENT, HELD),
        solicit(CLIENT6, HELD6, false),
    ];
    for frame in ours {
        assert!(matches!(judged(&frame).verdict, Verdict::Answer(_)));
        let needed = if frame[12..14] == ARP.to_be_bytes() { 42 } else { frame.len() };
        for length in 0..needed {
            let verdict = judged(&frame[..length]).verdict;
            assert!(!matches!(verdict, Verdict::Answer(_)), "{length} of {frame:x?}");
        }
    }
}

proptest! {
    /// Whatever arrives, nothing panics, and every answer can be written.
    #[test]
    fn any_bytes_are_judged(
        mut frame in proptest::collection::vec(any::<u8>(), 0..200),
        start in 0usize..7,
    ) {
        let heads = [
            Vec::new(),
            tcp_v4(CLIENT, FREE, SYN, b""),
            tcp_v6(CLIENT6, FREE6, SYN, b""),
            ping_v4(CLIENT, HELD, b""),
            ping_v6(CLIENT6, HELD6, b""),
            who_has(CLIENT, HELD),
            solicit(CLIENT6, HELD6, false),
        ];
        // A plausible start makes random bytes reach the deeper rules.
        for (byte, given) in frame.iter_mut().zip(&heads[start]) {
            if *byte % 16 != 0 {
                *byte = *given;
            }
        }
        let judged = judged(&frame);
        if let Verdict::Answer(answer) = judged.verdict {
            let length = frame.len();
            let written =
                reply::write(frame.as_mut_slice(), judged.network, answer, edge(0));
            prop_assert!(written.is_some_and(|written| written <= length));
        }
    }
}
