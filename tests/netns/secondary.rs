//! Mode `secondary`: one address a cluster on real dummy links.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use fakeapi::netlink::{Change, Kernel, Mode, NetlinkError, Options, PER_LINK, Plane, Rtnetlink};
use ipnet::IpNet;

use crate::namespace::{
    assert_reachable, assert_unreachable, has_dummy_driver, in_namespace, link,
};

fn pools() -> Vec<IpNet> {
    ["10.60.0.0/16", "fd60::/64"].map(|pool| pool.parse().expect("a CIDR")).to_vec()
}

fn v4(n: usize) -> IpAddr {
    let base = Ipv4Addr::new(10, 60, 0, 1).to_bits();
    Ipv4Addr::from_bits(base + u32::try_from(n).expect("a small number")).into()
}

fn v6(n: usize) -> IpAddr {
    let base = Ipv6Addr::new(0xfd60, 0, 0, 0, 0, 0, 0, 1).to_bits();
    Ipv6Addr::from_bits(base + n as u128).into()
}

async fn prepare(wanted: Vec<IpAddr>) -> Result<Plane, NetlinkError> {
    let options = Options { wanted, ..Options::default() };
    Plane::prepare(Mode::Secondary, &pools(), &options).await
}

/// The pools' addresses a link has; none if there is no such link.
async fn on_link(kernel: &Rtnetlink, name: &str) -> BTreeSet<IpAddr> {
    let Some(index) = link(kernel, name).await else {
        return BTreeSet::new();
    };
    let addresses = kernel.addresses().await.expect("addresses can be read");
    let there = addresses.iter().filter(|address| address.link == index);
    there
        .map(|address| address.net.addr())
        .filter(|ip| pools().iter().any(|pool| pool.contains(ip)))
        .collect()
}

/// The test with a socket of its namespace, or a skip with the reason.
fn with_dummy(name: &'static str, test: impl AsyncFnOnce(Rtnetlink) + Send + 'static) {
    in_namespace(name, async move || {
        let kernel = Rtnetlink::open().expect("a netlink socket");
        if has_dummy_driver(&kernel).await {
            test(kernel).await;
            return;
        }
        let in_vm = std::env::var_os("FAKEAPI_VM").is_some();
        assert!(!in_vm, "the guest has the driver: a skip would hide that it was not loaded");
        println!("SKIP {name}: this kernel has no dummy driver");
        let refused = prepare(Vec::new()).await;
        assert!(matches!(refused, Err(NetlinkError::NoDummyDriver { .. })), "{refused:?}");
    });
}

#[test]
fn addresses_come_and_go_one_by_one() {
    with_dummy("secondary: add and remove", async |kernel| {
        let plane = prepare(Vec::new()).await.unwrap();
        let some = [v4(0), v4(1), v6(0), v6(1)];
        some.into_iter().for_each(assert_unreachable);
        plane.add(&some).await.unwrap();
        plane.add(&some).await.unwrap();
        assert_eq!(on_link(&kernel, "fakeapi0").await, BTreeSet::from(some));
        some.into_iter().for_each(assert_reachable);
        plane.remove(&some[..1]).await.unwrap();
        plane.remove(&some[..1]).await.unwrap();
        assert_unreachable(some[0]);
        some[1..].iter().copied().for_each(assert_reachable);
        plane.close(false).await.unwrap();
        assert_eq!(link(&kernel, "fakeapi0").await, None);
        some.into_iter().for_each(assert_unreachable);
    });
}

#[test]
fn a_restart_adopts_what_is_wanted_and_removes_the_surplus() {
    with_dummy("secondary: adopt", async |kernel| {
        // A killed run closes nothing.
        drop(prepare(vec![v4(0), v4(1), v6(0)]).await.unwrap());
        let before = link(&kernel, "fakeapi0").await.expect("a killed run leaves its link");
        let plane = prepare(vec![v4(1), v4(2), v6(0)]).await.unwrap();
        assert_eq!(link(&kernel, "fakeapi0").await, Some(before), "the same link, not a new one");
        let wanted = BTreeSet::from([v4(1), v4(2), v6(0)]);
        assert_eq!(on_link(&kernel, "fakeapi0").await, wanted);
        plane.close(true).await.unwrap();
        assert_eq!(on_link(&kernel, "fakeapi0").await, wanted, "kept");
        prepare(Vec::new()).await.unwrap().close(false).await.unwrap();
        assert_eq!(link(&kernel, "fakeapi0").await, None);
    });
}

#[test]
fn a_change_from_outside_is_no_failure_and_a_refusal_is_named() {
    with_dummy("secondary: outside", async |kernel| {
        let plane = prepare(Vec::new()).await.unwrap();
        let index = link(&kernel, "fakeapi0").await.unwrap();
        kernel.change_addresses(Change::Add, index, &[v4(0), v6(0)]).await.unwrap();
        plane.add(&[v4(0), v6(0), v4(1)]).await.unwrap();
        kernel.change_addresses(Change::Remove, index, &[v4(1), v6(0)]).await.unwrap();
        plane.remove(&[v4(0), v6(0), v4(1)]).await.unwrap();
        assert!(on_link(&kernel, "fakeapi0").await.is_empty());
        // The kernel takes no multicast address: the one among many is named.
        let many: Vec<IpAddr> = (0..100).map(v4).chain(["ff02::5".parse().unwrap()]).collect();
        let error = plane.add(&many).await.unwrap_err();
        assert_eq!(error.to_string(), "could not add ff02::5 to fakeapi0");
        assert_eq!(on_link(&kernel, "fakeapi0").await.len(), 100);
        kernel.remove_link(index).await.unwrap();
        plane.remove(&many).await.unwrap();
        plane.close(false).await.unwrap();
    });
}

#[test]
fn links_are_filled_to_their_bound() {
    with_dummy("secondary: many", async |kernel| {
        let many: Vec<IpAddr> = (0..PER_LINK + 100).map(v4).collect();
        let plane = prepare(Vec::new()).await.unwrap();
        let start = Instant::now();
        plane.add(&many).await.unwrap();
        println!("{} addresses added in {:?}", many.len(), start.elapsed());
        assert_eq!(on_link(&kernel, "fakeapi0").await.len(), PER_LINK);
        assert_eq!(on_link(&kernel, "fakeapi1").await.len(), 100);
        assert_reachable(many[0]);
        assert_reachable(many[PER_LINK + 99]);
        drop(plane);
        let start = Instant::now();
        let plane = prepare(many.clone()).await.unwrap();
        println!("{} addresses adopted in {:?}", many.len(), start.elapsed());
        assert_eq!(on_link(&kernel, "fakeapi1").await.len(), 100);
        plane.close(false).await.unwrap();
        assert_eq!(link(&kernel, "fakeapi1").await, None);
    });
}

#[test]
fn a_pool_of_another_link_is_refused_by_its_name() {
    with_dummy("secondary: overlap", async |kernel| {
        let other = kernel.add_dummy("net7").await.unwrap();
        kernel.change_addresses(Change::Add, other, &[v4(8)]).await.unwrap();
        let error = prepare(Vec::new()).await.unwrap_err().to_string();
        assert_eq!(error, "pool 10.60.0.0/16 overlaps 10.60.0.9/32 on net7");
        assert_eq!(link(&kernel, "fakeapi0").await, None, "nothing was changed");
    });
}

#[test]
fn a_change_of_mode_removes_what_the_other_left() {
    with_dummy("secondary: change of mode", async |kernel| {
        let options = Options::default();
        drop(prepare(vec![v4(0), v6(0)]).await.unwrap());
        drop(Plane::prepare(Mode::Prefix, &pools(), &options).await.unwrap());
        assert_eq!(link(&kernel, "fakeapi0").await, None);
        assert_reachable(v4(99));
        let plane = prepare(vec![v4(0)]).await.unwrap();
        assert_reachable(v4(0));
        assert_unreachable(v4(99));
        plane.close(false).await.unwrap();
    });
}
