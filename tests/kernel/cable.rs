//! The edge on a real link: a client at the other end of a cable.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use fakeapi::datapath::{
    Datapath, DatapathError, EdgeMode, EdgeOptions, Family, Fault, Options, Reason, Refuse,
};
use fakeapi_tests::ping::ping;

use crate::{PORT, at, count, load, need_datapath};
use fakeapi_tests::namespace::{
    Namespace, add_address, add_local, add_neighbour, add_neighbourhood, carries_xdp,
    hardware_address,
};

const HELD: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
const FREE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);
const HELD6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xc8, 0, 0, 0, 0, 0, 1);
/// How long a client waits for what should come, and for what should not.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(400);

/// A server and a client on one cable; the client believes the pools to be its neighbours.
fn pair() -> (Namespace, Namespace) {
    let (server, client) = (Namespace::new(), Namespace::new());
    server.cable_to(&client, "edge0", "peer0");
    server.run(|| {
        add_address("edge0", "192.0.2.1/24".parse().unwrap());
        add_address("edge0", "2001:db8::1/64".parse().unwrap());
    });
    client.run(|| {
        add_address("peer0", "192.0.2.2/24".parse().unwrap());
        add_address("peer0", "2001:db8::2/64".parse().unwrap());
        add_neighbourhood("10.200.0.0/16".parse().unwrap(), "peer0");
        add_neighbourhood("fd00:c8::/64".parse().unwrap(), "peer0");
    });
    (server, client)
}

fn datapath(refuse: Refuse) -> Datapath {
    let datapath = load(Options { refuse, ..Options::default() });
    let mode = datapath.attach_edge("edge0", EdgeOptions { neighbours: true }).unwrap();
    assert_eq!(mode, EdgeMode::Generic);
    datapath.guard("10.200.0.0/16".parse().unwrap()).unwrap();
    datapath.guard("fd00:c8::/64".parse().unwrap()).unwrap();
    datapath.allow(at(HELD), 0).unwrap();
    datapath.allow(at(HELD6), 0).unwrap();
    datapath
}

#[test]
fn addresses_nobody_configured_are_answered_for() {
    need_datapath!("addresses_nobody_configured_are_answered_for");
    let (server, client) = pair();
    let datapath = std::sync::Arc::new(server.run(|| datapath(Refuse::Drop)));
    assert!(client.run(|| ping(HELD.into(), PATIENCE)), "ARP, then ICMP");
    assert!(client.run(|| ping(HELD6.into(), PATIENCE)), "NDP, then ICMPv6");
    assert!(!client.run(|| ping(FREE.into(), SILENCE)), "nobody has it");
    assert!(client.run(|| ping(Ipv4Addr::new(192, 0, 2, 1).into(), PATIENCE)), "the stack's own");
    assert!(count(&datapath, Reason::ArpAnswered) >= 1);
    assert!(count(&datapath, Reason::NeighbourAnswered) >= 1);
    assert_eq!(count(&datapath, Reason::EchoAnswered), 2);
    assert!(count(&datapath, Reason::Unallocated) >= 1, "the request for nobody's address");
    let counters = datapath.counters(HELD.into()).unwrap();
    // Ethernet, IPv4, ICMP, the data.
    assert_eq!((counters.packets, counters.bytes), (1, 14 + 20 + 8 + 14));

    datapath.set_fault(HELD.into(), Fault::Blackhole).unwrap();
    assert!(!client.run(|| ping(HELD.into(), SILENCE)));
    let counters = datapath.counters(HELD.into()).unwrap();
    assert_eq!((counters.packets, counters.dropped), (2, 1));
    // The programs' owner lives in the server's namespace.
    server.run(move || drop(datapath));
    assert!(!server.run(|| carries_xdp("edge0")));
}

#[test]
fn connections_come_through() {
    need_datapath!("connections_come_through");
    let (server, client) = pair();
    let (datapath, listener) = server.run(|| {
        add_local("10.200.0.0/16".parse().unwrap());
        let datapath = datapath(Refuse::Reset);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        datapath.place_listener(0, Family::V4, listener.as_fd()).unwrap();
        (datapath, listener)
    });
    let to = |ip| move || TcpStream::connect_timeout(&SocketAddr::new(ip, PORT), PATIENCE);
    let stream = client.run(to(HELD.into())).expect("an allocated address answers");
    let (accepted, peer) = listener.accept().unwrap();
    assert_eq!(accepted.local_addr().unwrap(), SocketAddr::new(HELD.into(), PORT));
    assert_eq!(peer, stream.local_addr().unwrap());
    assert!(datapath.counters(HELD.into()).unwrap().packets >= 2, "SYN and ACK at least");

    // Nobody answers ARP for it, so the client must know whom to send to.
    let before = count(&datapath, Reason::Refused);
    let mac = server.run(|| hardware_address("edge0"));
    client.run(move || add_neighbour("peer0", FREE.into(), &mac));
    let refused = client.run(to(FREE.into())).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(count(&datapath, Reason::Refused), before + 1);
    server.run(move || drop((datapath, listener)));
}

#[test]
fn an_edge_is_put_on_and_taken_off() {
    need_datapath!("an_edge_is_put_on_and_taken_off");
    let (server, _client) = pair();
    server.run(|| {
        let first = load(Options::default());
        let options = EdgeOptions { neighbours: false };
        first.attach_edge("edge0", options).unwrap();
        first.attach_edge("edge0", EdgeOptions { neighbours: true }).expect("again is no error");
        assert!(carries_xdp("edge0"));
        let second = load(Options::default());
        let error = second.attach_edge("edge0", options).unwrap_err();
        assert!(matches!(error, DatapathError::LinkTaken { .. }), "{error:?}");
        first.detach_edge("edge0").unwrap();
        assert!(!carries_xdp("edge0"));
        second.attach_edge("edge0", options).expect("the link is free");
        let error = second.attach_edge("absent", options).unwrap_err();
        assert!(matches!(error, DatapathError::NoSuchLink { .. }), "{error:?}");
    });
}
