//! A kernel for tests: links, addresses and routes in memory, with the refusals of the real one.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use parking_lot::Mutex;

use super::ROUTE_PROTOCOL;
use super::kernel::{
    Address, Change, Kernel, Link, LinkIndex, LinkKind, Refusal, Route, TABLE_LOCAL,
};
use super::overlap::Host;

/// The fake; the test and the plane share it by an `Arc`.
#[derive(Debug, Default)]
pub(super) struct FakeKernel {
    pub(super) host: Mutex<Host>,
    /// Addresses (and first addresses of routes) that are refused with `EPERM`.
    pub(super) cursed: Mutex<Vec<IpAddr>>,
    /// Whether the dummy driver is missing.
    pub(super) no_dummy: bool,
    /// How many calls changed addresses.
    pub(super) address_calls: Mutex<usize>,
}

fn code(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl FakeKernel {
    /// A host with `lo` and an `eth0` of 10.0.3.4/24.
    pub(super) fn new() -> Self {
        let kernel = Self::default();
        kernel.put_link("lo", LinkKind::Loopback);
        kernel.put_link("eth0", LinkKind::Other);
        kernel.put_address(1, "127.0.0.1/8");
        kernel.put_address(2, "10.0.3.4/24");
        kernel
    }

    pub(super) fn put_link(&self, name: &str, kind: LinkKind) -> LinkIndex {
        let links = &mut self.host.lock().links;
        let index = links.iter().map(|link| link.index).max().unwrap_or(0) + 1;
        links.push(Link { index, name: name.to_owned(), up: true, kind });
        index
    }

    pub(super) fn put_address(&self, link: LinkIndex, net: &str) {
        self.host.lock().addresses.push(Address { link, net: net.parse().unwrap() });
    }

    pub(super) fn put_route(&self, destination: &str, protocol: u8) {
        let destination = destination.parse().unwrap();
        let route = Route { destination, table: TABLE_LOCAL, protocol, local: true, link: Some(1) };
        self.host.lock().routes.push(route);
    }

    /// What a link has, sorted, as text.
    pub(super) fn addresses_of(&self, name: &str) -> Vec<String> {
        let host = self.host.lock();
        let link = host.links.iter().find(|link| link.name == name);
        let Some(link) = link else { return Vec::new() };
        let there = host.addresses.iter().filter(|address| address.link == link.index);
        let mut nets: Vec<IpNet> = there.map(|address| address.net).collect();
        nets.sort();
        nets.iter().map(IpNet::to_string).collect()
    }

    /// The routes with our mark, sorted, as text.
    pub(super) fn marked_routes(&self) -> Vec<String> {
        let host = self.host.lock();
        let marked = host.routes.iter().filter(|route| route.protocol == ROUTE_PROTOCOL);
        let mut nets: Vec<IpNet> = marked.map(|route| route.destination).collect();
        nets.sort();
        nets.iter().map(IpNet::to_string).collect()
    }

    fn change_address(&self, change: Change, link: LinkIndex, ip: IpAddr) -> io::Result<()> {
        if self.cursed.lock().contains(&ip) {
            return Err(code(libc::EPERM));
        }
        let address = Address { link, net: IpNet::from(ip) };
        let addresses = &mut self.host.lock().addresses;
        let there = addresses.iter().position(|known| *known == address);
        match (change, there) {
            (Change::Add, Some(_)) => Err(code(libc::EEXIST)),
            (Change::Add, None) => {
                addresses.push(address);
                Ok(())
            }
            (Change::Remove, Some(position)) => {
                addresses.swap_remove(position);
                Ok(())
            }
            (Change::Remove, None) => Err(code(libc::EADDRNOTAVAIL)),
        }
    }
}

impl Kernel for std::sync::Arc<FakeKernel> {
    async fn links(&self) -> io::Result<Vec<Link>> {
        Ok(self.host.lock().links.clone())
    }

    async fn addresses(&self) -> io::Result<Vec<Address>> {
        Ok(self.host.lock().addresses.clone())
    }

    async fn routes(&self) -> io::Result<Vec<Route>> {
        Ok(self.host.lock().routes.clone())
    }

    async fn add_dummy(&self, name: &str) -> io::Result<LinkIndex> {
        if self.no_dummy {
            return Err(code(libc::EOPNOTSUPP));
        }
        if self.host.lock().links.iter().any(|link| link.name == name) {
            return Err(code(libc::EEXIST));
        }
        Ok(self.put_link(name, LinkKind::Dummy))
    }

    async fn remove_link(&self, index: LinkIndex) -> io::Result<()> {
        let mut host = self.host.lock();
        let Some(at) = host.links.iter().position(|link| link.index == index) else {
            return Err(code(libc::ENODEV));
        };
        host.links.remove(at);
        host.addresses.retain(|address| address.link != index);
        Ok(())
    }

    async fn set_up(&self, index: LinkIndex) -> io::Result<()> {
        let mut host = self.host.lock();
        let link = host.links.iter_mut().find(|link| link.index == index);
        link.map(|link| link.up = true).ok_or_else(|| code(libc::ENODEV))
    }

    async fn change_local_route(
        &self,
        change: Change,
        pool: IpNet,
        loopback: LinkIndex,
    ) -> io::Result<()> {
        if change == Change::Add && self.cursed.lock().contains(&pool.addr()) {
            return Err(code(libc::EPERM));
        }
        let routes = &mut self.host.lock().routes;
        let there = routes.iter().position(|route| {
            route.destination == pool && route.table == TABLE_LOCAL && route.link == Some(loopback)
        });
        match (change, there) {
            (Change::Add, Some(_)) => return Err(code(libc::EEXIST)),
            (Change::Remove, None) => return Err(code(libc::ESRCH)),
            (Change::Remove, Some(at)) => drop(routes.remove(at)),
            (Change::Add, None) => routes.push(Route {
                destination: pool,
                table: TABLE_LOCAL,
                protocol: ROUTE_PROTOCOL,
                local: true,
                link: Some(loopback),
            }),
        }
        Ok(())
    }

    async fn change_addresses(
        &self,
        change: Change,
        link: LinkIndex,
        ips: &[IpAddr],
    ) -> io::Result<Vec<Refusal>> {
        *self.address_calls.lock() += 1;
        let refused = ips.iter().filter_map(|ip| {
            let cause = self.change_address(change, link, *ip).err()?;
            Some(Refusal { ip: *ip, cause })
        });
        Ok(refused.collect())
    }
}
