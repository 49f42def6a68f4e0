//! Connections reach the worker that owns their destination: by real connects on loopback.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use fakeapi::addr::ClusterAddr;
use fakeapi::datapath::{Datapath, DatapathError, Family, Options, Reason};
use socket2::{Domain, Socket, Type};

use crate::{PORT, at, count, load, need_datapath};
use fakeapi_tests::namespace::{Namespace, add_local};

/// Long enough for a connect on loopback on a slow guest.
const PATIENCE: Duration = Duration::from_secs(10);

fn vip(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 200, 0, 0).to_bits() + n).into()
}

fn vip6(n: u32) -> IpAddr {
    Ipv6Addr::from_bits(Ipv6Addr::new(0xfd00, 0xc8, 0, 0, 0, 0, 0, 0).to_bits() + u128::from(n))
        .into()
}

/// Two listeners of one `SO_REUSEPORT` group, which the kernel would choose from at random.
fn group(address: SocketAddr) -> Vec<TcpListener> {
    (0..2)
        .map(|_| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            if address.is_ipv6() {
                socket.set_only_v6(true).unwrap();
            }
            socket.bind(&address.into()).unwrap();
            socket.listen(128).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.into()
        })
        .collect()
}

fn place(datapath: &Datapath, family: Family, listeners: &[TcpListener]) {
    for (worker, listener) in (0..).zip(listeners) {
        datapath.place_listener(worker, family, listener.as_fd()).unwrap();
    }
}

fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, PATIENCE)
}

/// Accepts the one connection that is there, and returns the address it was made to.
fn accepted(listener: &TcpListener) -> SocketAddr {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _peer)) => return stream.local_addr().unwrap(),
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_micros(50));
            }
            Err(error) => panic!("nothing was accepted: {error}"),
        }
    }
}

#[test]
fn ten_thousand_addresses_on_one_group() {
    const CLUSTERS: u32 = 10_000;
    need_datapath!("ten_thousand_addresses_on_one_group");
    Namespace::new().run(|| {
        add_local("10.200.0.0/16".parse().unwrap());
        let datapath = load(Options::default());
        let listeners = group("127.0.0.1:7001".parse().unwrap());
        place(&datapath, Family::V4, &listeners);
        datapath.allow_many((0..CLUSTERS).map(|n| (at(vip(n)), n % 2))).unwrap();
        for n in 0..CLUSTERS {
            let target = SocketAddr::new(vip(n), PORT);
            let _client = connect(target).unwrap_or_else(|error| panic!("{target}: {error}"));
            assert_eq!(accepted(&listeners[(n % 2) as usize]), target);
        }
        for listener in &listeners {
            assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        // Not equal: with this many connections the kernel soon forgets closed ones, and a late packet
        // of theirs is looked up once more.
        assert!(count(&datapath, Reason::Steered) >= u64::from(CLUSTERS));
        let unallocated = SocketAddr::new(vip(CLUSTERS), PORT);
        assert_eq!(connect(unallocated).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn ipv6_addresses_too() {
    const CLUSTERS: u32 = 1_000;
    need_datapath!("ipv6_addresses_too");
    Namespace::new().run(|| {
        add_local("fd00:c8::/64".parse().unwrap());
        let datapath = load(Options::default());
        let listeners = group("[::1]:7001".parse().unwrap());
        place(&datapath, Family::V6, &listeners);
        datapath.allow_many((0..CLUSTERS).map(|n| (at(vip6(n)), n % 2))).unwrap();
        for n in 0..CLUSTERS {
            let target = SocketAddr::new(vip6(n), PORT);
            let _client = connect(target).unwrap_or_else(|error| panic!("{target}: {error}"));
            assert_eq!(accepted(&listeners[(n % 2) as usize]), target);
        }
        let unallocated = SocketAddr::new(vip6(CLUSTERS), PORT);
        assert_eq!(connect(unallocated).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_guarded_address_is_a_clusters_or_nobodys() {
    need_datapath!("a_guarded_address_is_a_clusters_or_nobodys");
    Namespace::new().run(|| {
        add_local("10.200.0.0/16".parse().unwrap());
        let datapath = load(Options::default());
        let stranger = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
        stranger.set_nonblocking(true).unwrap();
        let target = SocketAddr::new(vip(1), PORT);
        connect(target).expect("without a guard the stranger answers");
        assert_eq!(accepted(&stranger), target);

        datapath.guard("10.200.0.0/24".parse().unwrap()).unwrap();
        assert_eq!(connect(target).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(count(&datapath, Reason::NotServed), 1);
        datapath.exempt("10.200.0.1/32".parse().unwrap()).unwrap();
        connect(target).expect("an exempt address is left alone");
        accepted(&stranger);
        datapath.unguard("10.200.0.1/32".parse().unwrap()).unwrap();
        assert!(connect(target).is_err());
        datapath.unguard("10.200.0.0/24".parse().unwrap()).unwrap();
        connect(target).expect("unguarded again");
    });
}

#[test]
fn a_destination_moves_and_goes() {
    need_datapath!("a_destination_moves_and_goes");
    Namespace::new().run(|| {
        add_local("10.200.0.0/16".parse().unwrap());
        let datapath = load(Options::default());
        let mut listeners = group("127.0.0.1:7001".parse().unwrap());
        place(&datapath, Family::V4, &listeners);
        let target = SocketAddr::new(vip(1), PORT);
        for worker in [0u32, 1, 0] {
            datapath.allow(ClusterAddr(target), worker).unwrap();
            connect(target).unwrap();
            assert_eq!(accepted(&listeners[worker as usize]), target);
        }
        // The worker is gone: nobody else may answer for it.
        drop(listeners.remove(0));
        assert_eq!(connect(target).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(count(&datapath, Reason::NoListener), 1);
        datapath.revoke(ClusterAddr(target)).unwrap();
        assert_eq!(connect(target).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(count(&datapath, Reason::NoListener), 1, "no longer ours");
    });
}

#[test]
fn one_address_may_serve_many_ports() {
    need_datapath!("one_address_may_serve_many_ports");
    Namespace::new().run(|| {
        let datapath = load(Options::default());
        let listeners = group("127.0.0.1:7001".parse().unwrap());
        place(&datapath, Family::V4, &listeners);
        let target = |n: u16| SocketAddr::from(([127, 0, 0, 1], 20_000 + n));
        datapath.allow_many((0..100).map(|n| (ClusterAddr(target(n)), u32::from(n % 2)))).unwrap();
        for n in 0..100 {
            connect(target(n)).unwrap();
            assert_eq!(accepted(&listeners[usize::from(n % 2)]), target(n));
        }
        assert!(connect(target(100)).is_err());
    });
}

#[test]
fn a_hundred_thousand_addresses_fit() {
    const CLUSTERS: u32 = 100_000;
    need_datapath!("a_hundred_thousand_addresses_fit");
    Namespace::new().run(|| {
        let datapath = load(Options::default());
        let start = Instant::now();
        datapath.allow_many((0..CLUSTERS).map(|n| (at(vip(n)), n % 2))).unwrap();
        let took = start.elapsed();
        eprintln!("{CLUSTERS} addresses allowed in {took:?}");
        datapath.revoke(at(vip(CLUSTERS - 1))).unwrap();
    });
}

#[test]
fn full_tables_say_so_and_undo() {
    need_datapath!("full_tables_say_so_and_undo");
    Namespace::new().run(|| {
        let datapath = load(Options { max_addresses: 4, ..Options::default() });
        datapath.allow(at(vip(0)), 0).unwrap();
        let error = datapath.allow_many((0..9).map(|n| (at(vip(n)), 0))).unwrap_err();
        assert!(matches!(error, DatapathError::Full { entries: 4, .. }), "{error:?}");
        datapath.counters(vip(0)).expect("what was there stays");
        assert!(datapath.counters(vip(1)).is_err(), "what was new is gone");
        datapath.allow_many((0..4).map(|n| (at(vip(n)), 0))).expect("there is room for four");
        let error = datapath.allow(at(vip(0)), u32::MAX).unwrap_err();
        assert!(matches!(error, DatapathError::NoSuchWorker { .. }), "{error:?}");
    });
}
