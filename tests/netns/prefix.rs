//! Mode `prefix`: one local route serves a whole pool.

use std::net::{IpAddr, TcpListener};

use fakeapi::netlink::{
    Change, Kernel, Mode, NetlinkError, Options, Plane, ROUTE_PROTOCOL, Rtnetlink, TABLE_LOCAL,
};
use ipnet::IpNet;

use crate::namespace::{assert_reachable, assert_unreachable, in_namespace, link};

fn pools() -> Vec<IpNet> {
    ["10.60.0.0/16", "fd60::/64"].map(|pool| pool.parse().expect("a CIDR")).to_vec()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP")
}

async fn prepare(pools: &[IpNet]) -> Result<Plane, NetlinkError> {
    Plane::prepare(Mode::Prefix, pools, &Options::default()).await
}

async fn marked_routes() -> Vec<String> {
    let kernel = Rtnetlink::open().expect("a netlink socket");
    let routes = kernel.routes().await.expect("routes can be read");
    let marked = routes.iter().filter(|route| route.protocol == ROUTE_PROTOCOL);
    let mut marked: Vec<_> = marked
        .inspect(|route| assert!(route.local && route.table == TABLE_LOCAL, "{route:?}"))
        .map(|route| route.destination)
        .collect();
    marked.sort();
    marked.iter().map(IpNet::to_string).collect()
}

#[test]
fn every_address_of_a_pool_is_served_and_none_after_close() {
    in_namespace("prefix: served", async || {
        let some = ["10.60.0.1", "10.60.255.254", "fd60::1", "fd60::ffff:1:2:3"].map(ip);
        some.into_iter().for_each(assert_unreachable);
        let plane = prepare(&pools()).await.unwrap();
        assert_eq!(marked_routes().await, ["10.60.0.0/16", "fd60::/64"]);
        some.into_iter().for_each(assert_reachable);
        TcpListener::bind((some[0], 0)).expect("an IPv4 address of a local route can be bound");
        assert_unreachable(ip("10.61.0.1"));
        plane.add(&some).await.unwrap();
        plane.close(false).await.unwrap();
        assert_eq!(marked_routes().await, [""; 0]);
        some.into_iter().for_each(assert_unreachable);
    });
}

#[test]
fn kept_routes_are_adopted_and_stale_ones_removed() {
    in_namespace("prefix: adopted", async || {
        prepare(&pools()).await.unwrap().close(true).await.unwrap();
        assert_eq!(marked_routes().await, ["10.60.0.0/16", "fd60::/64"]);
        let plane = prepare(&pools()).await.unwrap();
        assert_eq!(marked_routes().await, ["10.60.0.0/16", "fd60::/64"]);
        assert_reachable(ip("10.60.9.9"));
        // A killed run closes nothing.
        drop(plane);
        let narrower = ["10.60.0.0/24".parse().unwrap(), "fd60::/64".parse().unwrap()];
        let plane = prepare(&narrower).await.unwrap();
        assert_eq!(marked_routes().await, ["10.60.0.0/24", "fd60::/64"]);
        plane.close(false).await.unwrap();
        assert_eq!(marked_routes().await, [""; 0]);
    });
}

#[test]
fn a_pool_of_the_host_is_refused_by_the_name_of_its_link() {
    in_namespace("prefix: overlap", async || {
        let kernel = Rtnetlink::open().unwrap();
        let lo = link(&kernel, "lo").await.unwrap();
        let taken = [ip("10.60.3.4"), ip("fd60::5")];
        let refused = kernel.change_addresses(Change::Add, lo, &taken).await.unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        let error = prepare(&pools()).await.unwrap_err().to_string();
        let expected = "pool 10.60.0.0/16 overlaps 10.60.3.4/32 on lo; \
                        pool fd60::/64 overlaps fd60::5/128 on lo";
        assert_eq!(error, expected);
        assert_eq!(marked_routes().await, [""; 0], "nothing was changed");
    });
}

#[test]
fn a_second_owner_is_refused_while_the_first_lives() {
    in_namespace("prefix: owner", async || {
        let first = prepare(&pools()).await.unwrap();
        let error = prepare(&pools()).await.unwrap_err();
        assert!(matches!(error, NetlinkError::AnotherProcess), "{error}");
        first.close(false).await.unwrap();
        prepare(&pools()).await.unwrap().close(false).await.unwrap();
    });
}

#[test]
fn a_link_that_is_down_is_told_of() {
    in_namespace("prefix: lo down", async || {
        // A namespace below this one starts with `lo` down.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let error = prepare(&pools()).await.unwrap_err();
        assert!(matches!(error, NetlinkError::Loopback { state: "down" }), "{error}");
    });
}
