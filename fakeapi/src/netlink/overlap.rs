//! Pools against what the host has already.
//!
//! A local route or an address of ours in a range the host uses would swallow the host's own
//! traffic: the machine loses its peers, silently. So such a pool is refused, by the name of the
//! link that has the range.

use std::fmt;

use ipnet::IpNet;

use super::kernel::{Address, Link, LinkIndex, LinkKind, Route, TABLE_LOCAL, TABLE_MAIN};
use super::{LOOPBACK_NET, ROUTE_PROTOCOL, secondary};

/// The host's links, addresses and routes, read together.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// All links.
    pub links: Vec<Link>,
    /// All addresses of all links.
    pub addresses: Vec<Address>,
    /// All routes.
    pub routes: Vec<Route>,
}

/// What of the host a pool takes addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The subnet of one of its addresses.
    Subnet,
    /// The destination of one of its routes.
    Route,
}

/// A pool and the range of the host it shares addresses with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The pool.
    pub pool: IpNet,
    /// The host's address with its subnet, or the route's destination.
    pub range: IpNet,
    /// Which of the two `range` is.
    pub taken: Taken,
    /// The link that has it; none for a route that leads nowhere.
    pub link: Option<String>,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, range, taken, link } = self;
        let what = match taken {
            Taken::Subnet => "",
            Taken::Route => "the route ",
        };
        write!(f, "pool {pool} overlaps {what}{range}")?;
        match link {
            Some(link) => write!(f, " on {link}"),
            None => f.write_str(" that leads nowhere"),
        }
    }
}

impl Host {
    /// Finds the first overlap of each pool, addresses before routes because they say more.
    ///
    /// Left out: default routes, tables other than local and main, routes and links of our own,
    /// and for a pool inside 127.0.0.0/8 what the loopback link itself has of it.
    pub fn overlaps(&self, pools: &[IpNet], link_prefix: &str) -> Vec<Overlap> {
        pools.iter().filter_map(|pool| self.overlap(*pool, link_prefix)).collect()
    }

    fn overlap(&self, pool: IpNet, link_prefix: &str) -> Option<Overlap> {
        let shares = |range: IpNet| range.contains(&pool) || pool.contains(&range);
        let exempt = |link: Option<LinkIndex>, range: IpNet| {
            let Some(link) = link.and_then(|index| self.link(index)) else {
                return false;
            };
            let expected = link.kind == LinkKind::Loopback && LOOPBACK_NET.contains(&pool);
            secondary::is_ours(link, link_prefix) || expected && LOOPBACK_NET.contains(&range)
        };
        let address = self
            .addresses
            .iter()
            .map(|address| (address.net, Some(address.link), Taken::Subnet))
            .find(|(net, link, _)| shares(net.trunc()) && !exempt(*link, net.trunc()));
        let route = self
            .routes
            .iter()
            .filter(|route| matches!(route.table, TABLE_LOCAL | TABLE_MAIN))
            .filter(|route| route.protocol != ROUTE_PROTOCOL && route.destination.prefix_len() > 0)
            .map(|route| (route.destination, route.link, Taken::Route))
            .find(|(net, link, _)| shares(*net) && !exempt(*link, *net));
        let (range, link, taken) = address.or(route)?;
        let link = link.map(|index| match self.link(index) {
            Some(link) => link.name.clone(),
            None => format!("link {index}"),
        });
        Some(Overlap { pool, range, taken, link })
    }

    /// The link with this index.
    pub fn link(&self, index: LinkIndex) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Whether packets for the address are delivered to this machine.
    pub fn is_local(&self, ip: std::net::IpAddr) -> bool {
        ip.is_unspecified()
            || self.addresses.iter().any(|address| address.net.addr() == ip)
            || self.routes.iter().any(|route| route.local && route.destination.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "fakeapi";

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn route(destination: &str, table: u32, link: Option<LinkIndex>) -> Route {
        let destination = net(destination);
        Route { destination, table, protocol: 2, local: table == TABLE_LOCAL, link }
    }

    fn host() -> Host {
        let link = |index, name: &str, kind| Link { index, name: name.to_owned(), up: true, kind };
        let address = |link, text: &str| Address { link, net: net(text) };
        let ours =
            Route { protocol: ROUTE_PROTOCOL, ..route("10.50.0.0/16", TABLE_LOCAL, Some(1)) };
        Host {
            links: vec![
                link(1, "lo", LinkKind::Loopback),
                link(2, "eth0", LinkKind::Other),
                link(3, "fakeapi0", LinkKind::Dummy),
                link(4, "fakeapi9", LinkKind::Other),
            ],
            addresses: vec![
                address(1, "127.0.0.1/8"),
                address(1, "::1/128"),
                address(2, "10.0.3.4/24"),
                address(2, "2001:db8::5/64"),
                address(3, "10.60.0.1/32"),
                address(4, "10.61.0.1/32"),
                address(2, "127.9.0.1/32"),
            ],
            routes: vec![
                route("0.0.0.0/0", TABLE_MAIN, Some(2)),
                route("127.0.0.0/8", TABLE_LOCAL, Some(1)),
                route("10.244.0.0/16", TABLE_MAIN, Some(2)),
                route("10.70.0.0/16", 77, Some(2)),
                route("10.80.0.0/16", TABLE_MAIN, None),
                route("10.90.0.0/16", TABLE_MAIN, Some(99)),
                ours,
            ],
        }
    }

    #[test]
    fn names_the_link_that_has_the_range() {
        let cases = [
            ("10.0.0.0/16", Some("pool 10.0.0.0/16 overlaps 10.0.3.4/24 on eth0")),
            ("10.0.3.128/25", Some("pool 10.0.3.128/25 overlaps 10.0.3.4/24 on eth0")),
            ("2001:db8::/56", Some("overlaps 2001:db8::5/64 on eth0")),
            ("10.244.9.0/24", Some("overlaps the route 10.244.0.0/16 on eth0")),
            ("10.80.1.0/24", Some("the route 10.80.0.0/16 that leads nowhere")),
            ("10.90.1.0/24", Some("the route 10.90.0.0/16 on link 99")),
            ("10.61.0.0/24", Some("overlaps 10.61.0.1/32 on fakeapi9")),
            ("126.0.0.0/7", Some("overlaps 127.0.0.1/8 on lo")),
            ("127.9.0.0/16", Some("overlaps 127.9.0.1/32 on eth0")),
            ("127.5.0.0/16", None),
            ("10.50.0.0/16", None),
            ("10.60.0.0/16", None),
            ("10.70.0.0/16", None),
            ("192.168.0.0/16", None),
            ("fd00::/64", None),
        ];
        for (pool, expected) in cases {
            let found = host().overlaps(&[net(pool)], PREFIX);
            match (found.as_slice(), expected) {
                ([], None) => {}
                ([one], Some(text)) => assert!(one.to_string().ends_with(text), "{one}"),
                _ => panic!("{pool}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn every_pool_that_overlaps_is_told() {
        let pools = [net("10.0.0.0/16"), net("10.99.0.0/16"), net("10.244.0.0/24")];
        assert_eq!(host().overlaps(&pools, PREFIX).len(), 2);
    }

    #[test]
    fn local_is_what_is_delivered_here() {
        let cases = [
            ("10.0.3.4", true),
            ("10.0.3.5", false),
            ("127.200.0.1", true),
            ("10.244.0.1", false),
            ("0.0.0.0", true),
            ("2001:db8::5", true),
        ];
        for (ip, expected) in cases {
            assert_eq!(host().is_local(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
