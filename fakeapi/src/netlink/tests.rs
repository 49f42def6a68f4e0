//! The plane on a fake kernel: what is adopted, removed, refused and booked.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::fake::FakeKernel;
use super::*;

type FakePlane = Plane<Arc<FakeKernel>>;

fn nets(pools: &[&str]) -> Vec<IpNet> {
    pools.iter().map(|pool| pool.parse().unwrap()).collect()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|ip| ip.parse().unwrap()).collect()
}

fn numbered(count: usize) -> Vec<IpAddr> {
    let base = Ipv4Addr::new(10, 60, 0, 0).to_bits();
    (0..count).map(|n| Ipv4Addr::from_bits(base + u32::try_from(n).unwrap()).into()).collect()
}

async fn prepare(
    kernel: &Arc<FakeKernel>,
    mode: Mode,
    pools: &[&str],
    wanted: &[&str],
) -> Result<FakePlane, NetlinkError> {
    let options = Options { wanted: ips(wanted), ..Options::default() };
    Plane::prepare_on(Arc::clone(kernel), None, mode, &nets(pools), &options).await
}

/// An error and its causes, as a user reads it.
fn told(error: &NetlinkError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[test]
fn modes_read_back() {
    for mode in [Mode::Loopback, Mode::Prefix, Mode::Secondary, Mode::Port] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    let error = "anycast".parse::<Mode>().unwrap_err().to_string();
    assert_eq!(
        error,
        "\"anycast\" is no address mode; there are loopback, prefix, secondary and port"
    );
}

#[tokio::test]
async fn pools_that_do_not_fit_the_mode_are_refused_with_the_one_that_would() {
    let kernel = Arc::new(FakeKernel::new());
    let cases: [(Mode, &[&str], &str); 7] = [
        (Mode::Loopback, &["fd00::/64"], "IPv6 has one loopback address only; use prefix mode"),
        (Mode::Loopback, &["10.9.0.0/16"], "only 127.0.0.0/8 is local by itself"),
        (Mode::Secondary, &["127.9.0.0/16"], "use loopback mode"),
        (Mode::Port, &["10.0.3.4/24"], "mode port cannot serve pool 10.0.3.4/24: it takes exactly"),
        (Mode::Port, &["10.0.3.4/32", "10.0.3.5/32"], "it takes exactly one address"),
        (Mode::Port, &["10.0.3.5/32"], "10.0.3.5 is not an address of this host"),
        (Mode::Prefix, &["10.0.0.0/16"], "pool 10.0.0.0/16 overlaps 10.0.3.4/24 on eth0"),
    ];
    for (mode, pools, expected) in cases {
        let error = prepare(&kernel, mode, pools, &[]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{mode} {pools:?}: {error}");
    }
    prepare(&kernel, Mode::Loopback, &["127.9.0.0/16"], &[]).await.unwrap();
    prepare(&kernel, Mode::Port, &["10.0.3.4/32"], &[]).await.unwrap();
    kernel.host.lock().links[0].up = false;
    let error = prepare(&kernel, Mode::Loopback, &["127.9.0.0/16"], &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "the loopback link is down; set it up with `ip link set lo up`");
}

#[tokio::test]
async fn prefix_adopts_its_routes_removes_stale_ones_and_cleans_up() {
    let kernel = Arc::new(FakeKernel::new());
    kernel.put_route("10.60.0.0/16", ROUTE_PROTOCOL);
    kernel.put_route("10.61.0.0/16", ROUTE_PROTOCOL);
    let pools = ["10.60.7.7/16", "fd00::/64", "127.5.0.0/16"];
    let plane = prepare(&kernel, Mode::Prefix, &pools, &[]).await.unwrap();
    assert_eq!(kernel.marked_routes(), ["10.60.0.0/16", "fd00::/64"]);
    plane.add(&ips(&["10.60.0.1"])).await.unwrap();
    plane.close(true).await.unwrap();
    assert_eq!(kernel.marked_routes(), ["10.60.0.0/16", "fd00::/64"]);
    let plane = prepare(&kernel, Mode::Prefix, &pools, &[]).await.unwrap();
    plane.close(false).await.unwrap();
    assert_eq!(kernel.marked_routes(), [""; 0]);
}

#[tokio::test]
async fn a_change_of_mode_removes_what_the_other_left() {
    let kernel = Arc::new(FakeKernel::new());
    let pools = ["10.60.0.0/16"];
    drop(prepare(&kernel, Mode::Prefix, &pools, &[]).await.unwrap());
    drop(prepare(&kernel, Mode::Secondary, &pools, &["10.60.0.1"]).await.unwrap());
    assert_eq!(kernel.marked_routes(), [""; 0]);
    assert_eq!(kernel.addresses_of("fakeapi0"), ["10.60.0.1/32"]);
    drop(prepare(&kernel, Mode::Prefix, &pools, &[]).await.unwrap());
    assert_eq!(kernel.marked_routes(), ["10.60.0.0/16"]);
    assert_eq!(kernel.host.lock().links.len(), 2, "lo and eth0");
}

#[tokio::test]
async fn names_of_links_are_checked() {
    for prefix in ["", "fakeapi1", "a/b", "a b", "thirteenbytes"] {
        let kernel = Arc::new(FakeKernel::new());
        let options = Options { link_prefix: prefix.to_owned(), ..Options::default() };
        let pools = nets(&["10.60.0.0/16"]);
        let outcome = Plane::prepare_on(kernel, None, Mode::Secondary, &pools, &options).await;
        assert!(matches!(outcome, Err(NetlinkError::LinkPrefix { .. })), "{prefix:?}");
    }
}

#[tokio::test]
async fn a_failed_start_leaves_nothing_behind() {
    let kernel = Arc::new(FakeKernel::new());
    *kernel.cursed.lock() = ips(&["10.61.0.0", "10.60.0.1"]);
    let pools = ["10.60.0.0/16", "10.61.0.0/16"];
    let error = prepare(&kernel, Mode::Prefix, &pools, &[]).await.unwrap_err();
    let expected = "could not add local route 10.61.0.0/16 on lo: Operation not permitted";
    assert!(told(&error).starts_with(expected), "{}", told(&error));
    assert_eq!(kernel.marked_routes(), [""; 0]);
    prepare(&kernel, Mode::Secondary, &pools, &["10.60.0.1"]).await.unwrap_err();
    assert_eq!(kernel.host.lock().links.len(), 2, "lo and eth0");
}

#[tokio::test]
async fn secondary_adopts_what_is_wanted_and_removes_the_surplus() {
    let kernel = Arc::new(FakeKernel::new());
    let link = kernel.put_link("fakeapi3", LinkKind::Dummy);
    kernel.host.lock().links[2].up = false;
    for net in ["10.60.0.1/32", "10.60.0.2/32", "fe80::1/64", "fd00::7/128"] {
        kernel.put_address(link, net);
    }
    let pools = ["10.60.0.0/16", "fd00::/64"];
    let wanted = ["10.60.0.2", "10.60.0.3", "fd00::7"];
    let plane = prepare(&kernel, Mode::Secondary, &pools, &wanted).await.unwrap();
    let there = ["10.60.0.2/32", "10.60.0.3/32", "fd00::7/128", "fe80::1/64"];
    assert_eq!(kernel.addresses_of("fakeapi3"), there);
    assert!(kernel.host.lock().links[2].up, "an adopted link is set up");
    plane.close(true).await.unwrap();
    assert_eq!(kernel.addresses_of("fakeapi3"), there);
    let plane = prepare(&kernel, Mode::Secondary, &pools, &wanted).await.unwrap();
    plane.close(false).await.unwrap();
    assert!(kernel.host.lock().links.iter().all(|link| link.name != "fakeapi3"));
}

#[tokio::test]
async fn secondary_adds_and_removes_idempotently() {
    let kernel = Arc::new(FakeKernel::new());
    let plane = prepare(&kernel, Mode::Secondary, &["10.60.0.0/16"], &[]).await.unwrap();
    let one = ips(&["10.60.0.1", "10.60.0.1"]);
    plane.add(&one).await.unwrap();
    plane.add(&one).await.unwrap();
    assert_eq!(kernel.addresses_of("fakeapi0"), ["10.60.0.1/32"]);
    assert_eq!(*kernel.address_calls.lock(), 1, "what is there is not asked for again");
    plane.remove(&one).await.unwrap();
    plane.remove(&one).await.unwrap();
    assert_eq!(kernel.addresses_of("fakeapi0"), [""; 0]);
    // Someone else's hand in between is no failure either.
    kernel.put_address(3, "10.60.0.2/32");
    plane.add(&ips(&["10.60.0.2"])).await.unwrap();
    kernel.host.lock().addresses.clear();
    plane.remove(&ips(&["10.60.0.2"])).await.unwrap();
}

#[tokio::test]
async fn a_full_link_is_followed_by_another() {
    let kernel = Arc::new(FakeKernel::new());
    let plane = prepare(&kernel, Mode::Secondary, &["10.60.0.0/16"], &[]).await.unwrap();
    let many = numbered(PER_LINK + 2);
    plane.add(&many).await.unwrap();
    assert_eq!(kernel.addresses_of("fakeapi0").len(), PER_LINK);
    assert_eq!(kernel.addresses_of("fakeapi1").len(), 2);
    plane.remove(&many[..1]).await.unwrap();
    plane.add(&ips(&["10.60.99.99"])).await.unwrap();
    assert!(kernel.addresses_of("fakeapi0").contains(&"10.60.99.99/32".to_owned()));
    let error = plane.add(&numbered(MAX_LINKS * PER_LINK + 1)).await.unwrap_err();
    assert!(error.to_string().contains("at most 262144 addresses"), "{error}");
}

#[tokio::test]
async fn a_refused_address_is_named_and_can_be_tried_again() {
    let kernel = Arc::new(FakeKernel::new());
    let plane = prepare(&kernel, Mode::Secondary, &["10.60.0.0/16"], &[]).await.unwrap();
    let three = ips(&["10.60.0.1", "10.60.0.2", "10.60.0.3"]);
    *kernel.cursed.lock() = three[1..].to_vec();
    let error = plane.add(&three).await.unwrap_err();
    let expected = "could not add 10.60.0.2 to fakeapi0 and 1 more: Operation not permitted";
    assert!(told(&error).starts_with(expected), "{}", told(&error));
    assert_eq!(kernel.addresses_of("fakeapi0"), ["10.60.0.1/32"]);
    kernel.cursed.lock().clear();
    plane.add(&three).await.unwrap();
    assert_eq!(kernel.addresses_of("fakeapi0").len(), 3);
    *kernel.cursed.lock() = three[..1].to_vec();
    let error = plane.remove(&three).await.unwrap_err();
    assert!(told(&error).starts_with("could not remove 10.60.0.1 from fakeapi0: "), "{error}");
    kernel.cursed.lock().clear();
    plane.remove(&three).await.unwrap();
    assert_eq!(kernel.addresses_of("fakeapi0"), [""; 0]);
}

#[tokio::test]
async fn a_missing_driver_and_a_foreign_link_say_so() {
    let kernel = Arc::new(FakeKernel { no_dummy: true, ..FakeKernel::new() });
    let error = prepare(&kernel, Mode::Secondary, &["10.60.0.0/16"], &[]).await.unwrap_err();
    assert!(error.to_string().contains("no dummy driver"), "{error}");
    let kernel = Arc::new(FakeKernel::new());
    kernel.put_link("fakeapi0", LinkKind::Other);
    let error = prepare(&kernel, Mode::Secondary, &["10.60.0.0/16"], &[]).await.unwrap_err();
    let expected = "link fakeapi0 exists and is no dummy link; remove or rename it";
    assert_eq!(error.to_string(), expected);
}
