//! The allocator from outside: table cases, then properties over random histories.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

const PORT: u16 = 6443;

fn nets(pools: &[&str]) -> Vec<IpNet> {
    pools.iter().map(|pool| pool.parse().unwrap()).collect()
}

fn addresses(pools: &[&str]) -> Ipam {
    Ipam::new(Plan::Addresses { pools: nets(pools), port: PORT }).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn addr(text: &str) -> ClusterAddr {
    ClusterAddr(SocketAddr::new(ip(text), PORT))
}

fn all(ipam: &Ipam) -> Vec<String> {
    std::iter::from_fn(|| ipam.allocate(None).ok()).map(|given| given.ip().to_string()).collect()
}

#[test]
fn gives_the_usable_addresses_of_each_kind_of_pool() {
    let cases: [(&[&str], &[&str]); 8] = [
        (&["10.0.0.0/30"], &["10.0.0.1", "10.0.0.2"]),
        (&["10.0.0.0/31"], &["10.0.0.0", "10.0.0.1"]),
        (&["10.0.0.7/32"], &["10.0.0.7"]),
        (&["127.0.0.0/30"], &["127.0.0.2"]),
        (&["127.0.0.0/31"], &["127.0.0.0"]),
        (&["fd00::/126"], &["fd00::1", "fd00::2", "fd00::3"]),
        (&["fd00::/127"], &["fd00::", "fd00::1"]),
        (&["10.9.9.9/30", "fd00::9/128"], &["10.9.9.9", "10.9.9.10", "fd00::9"]),
    ];
    for (pools, expected) in cases {
        let ipam = addresses(pools);
        assert_eq!(ipam.capacity(), expected.len() as u128, "{pools:?}");
        assert_eq!(all(&ipam), expected, "{pools:?}");
        let refused = ipam.allocate(None).unwrap_err();
        assert!(matches!(refused, IpamError::Exhausted { .. }), "{refused}");
        assert_eq!(ipam.free(), 0);
    }
}

#[test]
fn a_pool_around_the_hosts_loopback_address_leaves_it_out() {
    let ipam = addresses(&["126.0.0.0/7"]);
    assert_eq!(ipam.capacity(), (1 << 25) - 3);
    ipam.allocate(Some(Wanted::Ip(ip("127.0.0.0")))).unwrap();
    let error = ipam.allocate(Some(Wanted::Ip(ip("127.0.0.1")))).unwrap_err();
    assert!(matches!(error, IpamError::Reserved { reserved: Reserved::HostLoopback, .. }));
}

#[test]
fn refuses_plans_that_cannot_work() {
    let cases: [(&[&str], &str); 11] = [
        (&[], "no address pool was given"),
        (&["10.0.0.0/8", "10.1.0.0/16"], "pools 10.0.0.0/8 and 10.1.0.0/16 overlap"),
        (&["10.1.0.0/16", "10.0.0.0/8"], "pools 10.1.0.0/16 and 10.0.0.0/8 overlap"),
        (&["127.0.0.1/32"], "pool 127.0.0.1/32 has no address to give"),
        (&["::1/128"], "pool ::1/128 has no address to give"),
        (&["239.0.0.0/8"], "pool 239.0.0.0/8 touches 224.0.0.0/4 (multicast)"),
        (
            &["0.0.0.0/0"],
            "pool 0.0.0.0/0 touches 0.0.0.0/8 (\"this network\", never a destination)",
        ),
        (&["255.255.255.255/32"], "touches 240.0.0.0/4"),
        (&["::/0"], "pool ::/0 touches ::/128 (the unspecified address)"),
        (&["fe80::/64"], "link-local"),
        (&["::ffff:10.0.0.0/104"], "IPv4-mapped"),
    ];
    for (pools, expected) in cases {
        let plan = Plan::Addresses { pools: nets(pools), port: PORT };
        let error = Ipam::new(plan).unwrap_err().to_string();
        assert!(error.contains(expected), "{pools:?}: {error}");
    }
    let many = (0..=MAX_POOLS).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256).parse().unwrap());
    let plan = Plan::Addresses { pools: many.collect(), port: PORT };
    assert_eq!(Ipam::new(plan).unwrap_err(), IpamError::TooManyPools { given: MAX_POOLS + 1 });
    let plan = Plan::Addresses { pools: nets(&["10.0.0.0/8"]), port: 0 };
    assert_eq!(Ipam::new(plan).unwrap_err(), IpamError::PortZero);
}

#[test]
fn a_wanted_address_is_given_or_refused_for_its_own_reason() {
    let ipam = addresses(&["10.0.0.0/24", "fd00::/64"]);
    let want = |text: &str| ipam.allocate(Some(Wanted::Ip(ip(text))));
    assert_eq!(want("10.0.0.77").unwrap(), addr("10.0.0.77"));
    assert_eq!(want("fd00::ffff:1").unwrap(), addr("fd00::ffff:1"));
    assert_eq!(want("::ffff:10.0.0.78").unwrap(), addr("10.0.0.78"), "mapped is the plain one");
    let cases = [
        ("10.0.0.77", "10.0.0.77 is in use by another cluster"),
        ("10.0.1.1", "10.0.1.1 is outside of 10.0.0.0/24, fd00::/64"),
        ("10.0.0.0", "10.0.0.0 of pool 10.0.0.0/24 is reserved: the subnet's own address"),
        (
            "10.0.0.255",
            "10.0.0.255 of pool 10.0.0.0/24 is reserved: the subnet's broadcast address",
        ),
        ("fd00::", "fd00:: of pool fd00::/64 is reserved: the subnet-router anycast address"),
    ];
    for (wanted, expected) in cases {
        assert_eq!(want(wanted).unwrap_err().to_string(), expected);
    }
    let error = ipam.allocate(Some(Wanted::Port(443))).unwrap_err();
    let expected = "port 443 is outside of the plan, where every cluster has port 6443";
    assert_eq!(error.to_string(), expected);
    assert_eq!(ipam.allocate(Some(Wanted::Port(PORT))).unwrap(), addr("10.0.0.1"));
    assert_eq!(ipam.used(), 4);
}

#[test]
fn release_refuses_what_nobody_has() {
    let ipam = addresses(&["10.0.0.0/24"]);
    let given = ipam.allocate(None).unwrap();
    ipam.release(given).unwrap();
    let cases = [
        (given, "10.0.0.1 is not allocated"),
        (addr("10.0.0.9"), "is not allocated"),
        (addr("10.0.0.0"), "reserved"),
        (addr("10.1.0.1"), "10.1.0.1:6443 is outside of 10.0.0.0/24"),
        (ClusterAddr("10.0.0.1:1".parse().unwrap()), "10.0.0.1:1 is outside of 10.0.0.0/24"),
    ];
    for (addr, expected) in cases {
        let error = ipam.release(addr).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(ipam.used(), 0);
}

#[test]
fn a_released_address_is_given_again_after_every_fresh_one_of_every_pool() {
    let ipam = addresses(&["10.0.0.0/31", "10.0.1.0/31"]);
    let first = ipam.allocate(None).unwrap();
    ipam.release(first).unwrap();
    assert_eq!(all(&ipam), ["10.0.0.1", "10.0.1.0", "10.0.1.1", "10.0.0.0"]);
}

#[test]
fn a_restart_claims_what_was_given() {
    let ipam = addresses(&["10.0.0.0/29"]);
    for text in ["10.0.0.5", "10.0.0.1"] {
        ipam.claim(addr(text)).unwrap();
    }
    assert!(matches!(ipam.claim(addr("10.0.0.5")), Err(IpamError::InUse { .. })));
    assert_eq!(all(&ipam), ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.6"]);
}

#[test]
fn ports_are_given_on_one_address() {
    let plan = |range| Plan::Ports { ip: ip("192.0.2.1"), range };
    let ipam = Ipam::new(plan(20_000..=20_002)).unwrap();
    let at = |port| ClusterAddr(SocketAddr::new(ip("192.0.2.1"), port));
    assert_eq!(ipam.allocate(Some(Wanted::Port(20_001))).unwrap(), at(20_001));
    assert_eq!(ipam.allocate(Some(Wanted::Ip(ip("192.0.2.1")))).unwrap(), at(20_000));
    assert_eq!(ipam.allocate(None).unwrap(), at(20_002));
    let cases = [
        (None, "all 3 addresses of 192.0.2.1:20000-20002 are in use"),
        (Some(Wanted::Port(20_001)), "192.0.2.1:20001 is in use by another cluster"),
        (Some(Wanted::Port(20_003)), "port 20003 is outside of 192.0.2.1:20000-20002"),
        (
            Some(Wanted::Ip(ip("192.0.2.2"))),
            "192.0.2.2 is outside of the plan, where every cluster has address 192.0.2.1",
        ),
    ];
    for (wanted, expected) in cases {
        assert_eq!(ipam.allocate(wanted).unwrap_err().to_string(), expected);
    }
    ipam.release(at(20_000)).unwrap();
    assert!(matches!(ipam.release(at(20_000)), Err(IpamError::NotAllocated { .. })));
    assert_eq!(ipam.allocate(None).unwrap(), at(20_000));
    #[expect(clippy::reversed_empty_ranges, reason = "the case under test")]
    let reversed = 2..=1;
    assert!(matches!(Ipam::new(plan(reversed)), Err(IpamError::EmptyRange { .. })));
    assert_eq!(Ipam::new(plan(0..=9)).unwrap_err(), IpamError::PortZero);
    assert_eq!(Ipam::new(plan(1..=u16::MAX)).unwrap().capacity(), 65_535);
}

#[test]
fn threads_never_get_the_same_address() {
    let ipam = addresses(&["10.0.0.0/20"]);
    let given = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| all(&ipam))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(given.len() as u128, ipam.capacity());
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), given.len());
}

#[test]
fn usage_is_told_pool_by_pool() {
    let ipam = addresses(&["10.0.0.0/31", "fd00::/127"]);
    for _ in 0..3 {
        ipam.allocate(None).unwrap();
    }
    let usage = ipam.usage();
    let told: Vec<_> = usage.iter().map(|u| (u.name.as_str(), u.used, u.capacity)).collect();
    assert_eq!(told, [("10.0.0.0/31", 2, 2), ("fd00::/127", 1, 2)]);
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Any,
    Wanted(u8),
    Release(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Any),
        2 => any::<u8>().prop_map(Step::Wanted),
        3 => any::<u8>().prop_map(Step::Release),
    ]
}

proptest! {
    /// Against a model that is a plain set: never twice, always inside, what is released is free
    /// again, and exhaustion comes exactly when the set is full.
    #[test]
    fn agrees_with_a_set(steps in prop::collection::vec(step(), 0..400), wide in any::<bool>()) {
        let v6 = if wide { "fd00::/64" } else { "fd00::/125" };
        let pools = nets(&["10.0.0.0/27", v6]);
        let ipam = addresses(&["10.0.0.0/27", v6]);
        let mut model: BTreeSet<IpAddr> = BTreeSet::new();
        // Indexes 0..32 are the first pool, the rest the low end of the second.
        let nth = |n: u8| match n % 40 {
            low @ 0..32 => IpAddr::from([10, 0, 0, low]),
            high => ip(&format!("fd00::{:x}", high - 32)),
        };
        let reserved = [ip("10.0.0.0"), ip("10.0.0.31"), ip("fd00::")];
        for step in steps {
            match step {
                Step::Any => match ipam.allocate(None) {
                    Ok(given) => {
                        prop_assert!(pools.iter().any(|pool| pool.contains(&given.ip())));
                        prop_assert!(!reserved.contains(&given.ip()));
                        prop_assert!(model.insert(given.ip()), "{given} was given twice");
                    }
                    Err(error) => {
                        let exhausted = matches!(error, IpamError::Exhausted { .. });
                        prop_assert!(exhausted && model.len() as u128 == ipam.capacity());
                    }
                },
                Step::Wanted(n) => {
                    let result = ipam.allocate(Some(Wanted::Ip(nth(n))));
                    if reserved.contains(&nth(n)) {
                        let is_reserved = matches!(result, Err(IpamError::Reserved { .. }));
                        prop_assert!(is_reserved);
                    } else {
                        prop_assert_eq!(result.is_ok(), model.insert(nth(n)));
                    }
                }
                Step::Release(n) => {
                    let result = ipam.release(ClusterAddr(SocketAddr::new(nth(n), PORT)));
                    prop_assert_eq!(result.is_ok(), model.remove(&nth(n)));
                }
            }
            prop_assert_eq!(ipam.used(), model.len() as u128);
            prop_assert_eq!(ipam.free(), ipam.capacity() - ipam.used());
        }
    }

    /// A released address comes back, and only after all that were free before it.
    #[test]
    fn release_order_is_reuse_order(order in Just((0..14_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let ipam = addresses(&["10.0.0.0/28"]);
        let given: Vec<_> = std::iter::from_fn(|| ipam.allocate(None).ok()).collect();
        prop_assert_eq!(given.len(), 14);
        for at in &order {
            ipam.release(given[*at]).unwrap();
        }
        for at in &order {
            prop_assert_eq!(ipam.allocate(None).unwrap(), given[*at]);
        }
    }
}
