//! The edge by the kernel's own test-run: the loaded program judges frames without a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fakeapi::datapath::{Action, Datapath, EdgeOptions, Fault, Options, Reason, Refuse, Trial};

use crate::frames::{self, ACK, OWN, PEER, RST, SYN, VLAN, assert_sums};
use crate::{at, count, load, need_datapath};
use fakeapi_tests::namespace::Namespace;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HELD: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
const FREE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);
const SPARED: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 254);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 1);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const HELD6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xc8, 0, 0, 0, 0, 0, 1);
const FREE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xc8, 0, 0, 0, 0, 0, 2);

/// Runs a test with a datapath whose edge is on the loopback link of a fresh namespace.
fn on_loopback(refuse: Refuse, test: impl FnOnce(&Datapath) + Send + 'static) {
    Namespace::new().run(move || {
        let datapath = load(Options { refuse, ..Options::default() });
        datapath.attach_edge("lo", EdgeOptions { neighbours: true }).expect("an edge on loopback");
        datapath.guard("10.200.0.0/16".parse().unwrap()).unwrap();
        datapath.guard("fd00:c8::/64".parse().unwrap()).unwrap();
        datapath.exempt("10.200.0.254/32".parse().unwrap()).unwrap();
        datapath.allow(at(HELD), 0).unwrap();
        datapath.allow(at(HELD6), 0).unwrap();
        test(&datapath);
    });
}

fn trial(datapath: &Datapath, frame: &[u8]) -> Trial {
    datapath.try_edge(frame).expect("the kernel tries programs")
}

#[test]
fn frames_are_passed_and_dropped() {
    need_datapath!("frames_are_passed_and_dropped");
    on_loopback(Refuse::Drop, |datapath| {
        let table = [
            ("to a cluster", frames::tcp_v4(CLIENT, HELD, SYN, b""), Action::Pass),
            ("to a cluster, IPv6", frames::tcp_v6(CLIENT6, HELD6, SYN, b""), Action::Pass),
            ("to nobody", frames::tcp_v4(CLIENT, FREE, SYN, b""), Action::Drop),
            ("to nobody, IPv6", frames::tcp_v6(CLIENT6, FREE6, SYN, b""), Action::Drop),
            ("to a spared address", frames::tcp_v4(CLIENT, SPARED, SYN, b""), Action::Pass),
            ("elsewhere", frames::tcp_v4(CLIENT, ELSEWHERE, SYN, b""), Action::Pass),
            ("unknown ethertype", frames::ethernet(OWN, &[], 0x88cc, &[0; 46]), Action::Pass),
        ];
        for (name, frame, action) in table {
            let tried = trial(datapath, &frame);
            assert_eq!((tried.action, &tried.frame), (action, &frame), "{name}");
            let tagged = frames::tagged(&frame, &[VLAN]);
            assert_eq!(trial(datapath, &tagged).action, action, "{name}, tagged");
        }
        assert_eq!(count(datapath, Reason::Served), 4);
        assert_eq!(count(datapath, Reason::Unallocated), 4);
        assert_eq!(count(datapath, Reason::Foreign), 6);
    });
}

/// The kernel pads nothing here: every cut is judged at its own length.
#[test]
fn a_frame_cut_anywhere_passes_if_it_is_not_ours() {
    need_datapath!("a_frame_cut_anywhere_passes_if_it_is_not_ours");
    on_loopback(Refuse::Reset, |datapath| {
        for frame in [
            frames::tcp_v4(CLIENT, ELSEWHERE, SYN, b"data"),
            frames::ping_v6(CLIENT6, CLIENT6, b"data"),
            frames::who_has(CLIENT, ELSEWHERE),
        ] {
            for length in 14..=frame.len() {
                let tried = trial(datapath, &frame[..length]);
                assert_eq!(tried.action, Action::Pass, "{length}");
                assert_eq!(tried.frame, frame[..length], "{length}");
            }
        }
    });
}

#[test]
fn neighbours_are_answered() {
    need_datapath!("neighbours_are_answered");
    on_loopback(Refuse::Drop, |datapath| {
        let tried = trial(datapath, &frames::who_has(CLIENT, HELD));
        assert_eq!(tried.action, Action::SendBack);
        assert_eq!(tried.frame[..6], PEER);
        assert_eq!(tried.frame[20..22], [0, 2]);
        assert_eq!(tried.frame[28..32], HELD.octets());
        assert_eq!(trial(datapath, &frames::who_has(CLIENT, FREE)).action, Action::Drop);
        assert_eq!(trial(datapath, &frames::who_has(CLIENT, ELSEWHERE)).action, Action::Pass);

        for unicast in [false, true] {
            let tried = trial(datapath, &frames::solicit(CLIENT6, HELD6, unicast));
            assert_eq!(tried.action, Action::SendBack);
            assert_eq!(tried.frame[54], 136);
            assert_eq!(tried.frame[62..78], HELD6.octets());
            assert_sums(&tried.frame);
        }
        let probe = frames::solicit(Ipv6Addr::UNSPECIFIED, HELD6, false);
        assert_sums(&trial(datapath, &probe).frame);
        assert_eq!(count(datapath, Reason::ArpAnswered), 1);
        assert_eq!(count(datapath, Reason::NeighbourAnswered), 3);
    });
}

#[test]
fn pings_are_answered() {
    need_datapath!("pings_are_answered");
    on_loopback(Refuse::Drop, |datapath| {
        for data in [&b"even"[..], b"odd", &[7; 1_400]] {
            let tried = trial(datapath, &frames::ping_v4(CLIENT, HELD, data));
            assert_eq!((tried.action, tried.frame[34]), (Action::SendBack, 0));
            assert_eq!(tried.frame[30..34], CLIENT.octets());
            assert_sums(&tried.frame);
            let tried = trial(datapath, &frames::ping_v6(CLIENT6, HELD6, data));
            assert_eq!((tried.action, tried.frame[54]), (Action::SendBack, 129));
            assert_sums(&tried.frame);
        }
        assert_eq!(count(datapath, Reason::EchoAnswered), 6);
    });
}

#[test]
fn tcp_to_nobody_is_reset() {
    need_datapath!("tcp_to_nobody_is_reset");
    on_loopback(Refuse::Reset, |datapath| {
        for (flags, data, answer) in
            [(SYN, &b""[..], RST | ACK), (ACK, b"data", RST), (ACK, &[1; 1_000], RST)]
        {
            let tried = trial(datapath, &frames::tcp_v4(CLIENT, FREE, flags, data));
            assert_eq!((tried.action, tried.frame[47]), (Action::SendBack, answer));
            assert!(tried.frame.len() <= 62, "cut to the shortest frame");
            assert_sums(&tried.frame);
            let tried = trial(datapath, &frames::tcp_v6(CLIENT6, FREE6, flags, data));
            assert_eq!((tried.action, tried.frame[67]), (Action::SendBack, answer));
            assert_eq!(tried.frame.len(), 74);
            assert_sums(&tried.frame);
        }
        let reset = frames::tcp_v4(CLIENT, FREE, RST, b"");
        assert_eq!(trial(datapath, &reset).action, Action::Drop);
        assert_eq!(count(datapath, Reason::Refused), 6);
        assert_eq!(count(datapath, Reason::Unanswerable), 0);
    });
}

#[test]
fn faults_drop_their_share_and_all_is_counted() {
    need_datapath!("faults_drop_their_share_and_all_is_counted");
    on_loopback(Refuse::Drop, |datapath| {
        const FRAMES: u64 = 10_000;
        let frame = frames::tcp_v4(CLIENT, HELD, SYN, b"");
        let send =
            |n: u64| (0..n).filter(|_| trial(datapath, &frame).action == Action::Drop).count();
        let held = IpAddr::V4(HELD);
        assert_eq!(send(10), 0);

        datapath.set_fault(held, Fault::Drop { per_mille: 300 }).unwrap();
        let lost = send(FRAMES);
        // Ten standard deviations: one failure in more runs than will ever be.
        assert!((2_541..=3_459).contains(&lost), "{lost} of {FRAMES}");
        datapath.set_fault(held, Fault::Blackhole).unwrap();
        assert_eq!(send(10), 10);
        datapath.set_fault(held, Fault::None).unwrap();
        assert_eq!(send(10), 0);

        let counters = datapath.counters(held).unwrap();
        assert_eq!(counters.packets, FRAMES + 30);
        assert_eq!(counters.bytes, counters.packets * frame.len() as u64);
        assert_eq!(counters.dropped, lost as u64 + 10);
        assert_eq!(count(datapath, Reason::Lossy), lost as u64);
        assert_eq!(count(datapath, Reason::Blackhole), 10);
    });
}

#[test]
fn a_returned_address_is_nobodys_and_its_counters_start_anew() {
    need_datapath!("a_returned_address_is_nobodys_and_its_counters_start_anew");
    on_loopback(Refuse::Drop, |datapath| {
        let frame = frames::tcp_v4(CLIENT, HELD, SYN, b"");
        let other_port = fakeapi::addr::ClusterAddr((HELD, 7_000).into());
        datapath.allow(other_port, 1).unwrap();
        datapath.set_fault(HELD.into(), Fault::Blackhole).unwrap();
        assert_eq!(trial(datapath, &frame).action, Action::Drop);
        datapath.revoke(at(HELD)).unwrap();
        assert_eq!(datapath.counters(HELD.into()).unwrap().packets, 1, "one port is left");
        datapath.revoke(other_port).unwrap();
        datapath.revoke(other_port).expect("again is no error");
        assert!(datapath.counters(HELD.into()).is_err());
        assert_eq!(trial(datapath, &frame).action, Action::Drop);
        assert_eq!(count(datapath, Reason::Unallocated), 1);
        datapath.allow(at(HELD), 0).unwrap();
        assert_eq!(datapath.counters(HELD.into()).unwrap().packets, 0);
        assert_eq!(trial(datapath, &frame).action, Action::Pass, "no fault is left over");
    });
}
