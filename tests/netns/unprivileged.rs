//! Modes `loopback` and `port`: nothing is changed, yet the host is checked.

use std::net::IpAddr;

use fakeapi::netlink::{Change, Kernel, Mode, NetlinkError, Options, Plane, Rtnetlink};

use crate::namespace::{assert_reachable, in_namespace, link};

async fn prepare(mode: Mode, pool: &str) -> Result<Plane, NetlinkError> {
    let pool = pool.parse().expect("a CIDR");
    Plane::prepare(mode, &[pool], &Options::default()).await
}

#[test]
fn loopback_addresses_are_local_already() {
    in_namespace("loopback: served", async || {
        let plane = prepare(Mode::Loopback, "127.64.0.0/10").await.unwrap();
        let some: [IpAddr; 2] = ["127.64.0.1", "127.127.255.254"].map(|ip| ip.parse().unwrap());
        plane.add(&some).await.unwrap();
        some.into_iter().for_each(assert_reachable);
        plane.remove(&some).await.unwrap();
        plane.close(false).await.unwrap();
        let error = prepare(Mode::Loopback, "fd60::/64").await.unwrap_err().to_string();
        assert!(error.ends_with("IPv6 has one loopback address only; use prefix mode"), "{error}");
    });
}

#[test]
fn port_mode_takes_an_address_of_the_host_only() {
    in_namespace("port: local", async || {
        let error = prepare(Mode::Port, "10.60.0.1/32").await.unwrap_err();
        assert!(matches!(error, NetlinkError::NotLocal { .. }), "{error}");
        let kernel = Rtnetlink::open().unwrap();
        let lo = link(&kernel, "lo").await.unwrap();
        let own = ["10.60.0.1".parse().unwrap()];
        kernel.change_addresses(Change::Add, lo, &own).await.unwrap();
        prepare(Mode::Port, "10.60.0.1/32").await.unwrap();
        prepare(Mode::Port, "127.0.0.1/32").await.unwrap();
        prepare(Mode::Port, "0.0.0.0/32").await.unwrap();
    });
}
