//! The addresses inside a cluster, which nobody can reach and everybody reads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::identity::{SERVICE_IPV4, SERVICE_IPV6};

/// How many nodes have a pod network of their own, the limit of the IPv4 one below.
const POD_NETWORKS: u32 = 1 << 15;

/// How many nodes have an address of their own.
const NODE_ADDRESSES: u32 = 65_000;

/// The networks of a cluster: of the family it is served over, and alike in all clusters but for
/// the nodes' network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    ipv6: bool,
    /// Which of the nodes' networks.
    number: u16,
}

impl Network {
    /// The networks of a cluster served at `ip`; `seed` chooses the nodes' network.
    pub fn new(ip: IpAddr, seed: u16) -> Self {
        Self { ipv6: ip.is_ipv6(), number: seed }
    }

    /// `IPv4` or `IPv6`.
    pub fn family(self) -> &'static str {
        if self.ipv6 { "IPv6" } else { "IPv4" }
    }

    /// The network of Services: kubeadm's default.
    pub fn services(self) -> &'static str {
        if self.ipv6 { "fd00:10:96::/112" } else { "10.96.0.0/12" }
    }

    /// The network of pods, with room for 32,768 nodes.
    pub fn pods(self) -> &'static str {
        if self.ipv6 { "fd00:10:128::/48" } else { "10.128.0.0/9" }
    }

    /// The address of Service `kubernetes`.
    pub fn api_service(self) -> IpAddr {
        if self.ipv6 { SERVICE_IPV6 } else { SERVICE_IPV4 }
    }

    /// The address of Service `kube-dns`: the tenth of the network, as kubeadm chooses it.
    pub fn dns_service(self) -> IpAddr {
        match self.api_service() {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() + 9).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() + 9).into(),
        }
    }

    /// The loopback address.
    pub fn loopback(self) -> IpAddr {
        if self.ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
    }

    /// The unspecified address.
    pub fn any(self) -> IpAddr {
        if self.ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
    }

    /// The address of the node with this number.
    pub fn node(self, ordinal: u32) -> IpAddr {
        let host = ordinal % NODE_ADDRESSES + 10;
        if self.ipv6 {
            let base = Ipv6Addr::new(0xfd00, 0x172, self.number, 0, 0, 0, 0, 0);
            Ipv6Addr::from_bits(base.to_bits() + u128::from(host)).into()
        } else {
            // One of the sixteen networks of 172.16.0.0/12.
            let base = Ipv4Addr::new(172, 16 + (self.number % 16).to_le_bytes()[0], 0, 0);
            Ipv4Addr::from_bits(base.to_bits() + host).into()
        }
    }

    /// The pod network of the node with this number.
    pub fn pod_network(self, ordinal: u32) -> String {
        let prefix = if self.ipv6 { 64 } else { 24 };
        format!("{}/{prefix}", self.pod(ordinal, 0))
    }

    /// The address of the `index`-th pod of the node with this number.
    pub fn pod(self, ordinal: u32, index: u32) -> IpAddr {
        let network = ordinal % POD_NETWORKS;
        if self.ipv6 {
            let base = Ipv6Addr::new(0xfd00, 0x10, 0x128, 0, 0, 0, 0, 0).to_bits();
            Ipv6Addr::from_bits(base + (u128::from(network) << 64) + u128::from(index)).into()
        } else {
            let base = Ipv4Addr::new(10, 128, 0, 0).to_bits();
            Ipv4Addr::from_bits(base + (network << 8) + index).into()
        }
    }
}

/// An address as the host of a URL.
pub(super) fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_their_networks() {
        let v4 = Network::new(Ipv4Addr::LOCALHOST.into(), 0x1ff);
        let v6 = Network::new(Ipv6Addr::LOCALHOST.into(), 0x1ff);
        for (got, expected) in [
            (v4.node(0).to_string(), "172.31.0.10"),
            (v4.node(246).to_string(), "172.31.1.0"),
            (v6.node(0).to_string(), "fd00:172:1ff::a"),
            (v4.pod_network(0), "10.128.0.0/24"),
            (v4.pod_network(32_767), "10.255.255.0/24"),
            (v6.pod_network(257), "fd00:10:128:101::/64"),
            (v4.pod(1, 2).to_string(), "10.128.1.2"),
            (v6.pod(1, 2).to_string(), "fd00:10:128:1::2"),
            (v4.dns_service().to_string(), "10.96.0.10"),
            (v6.dns_service().to_string(), "fd00:10:96::a"),
            (host(v6.loopback()), "[::1]"),
        ] {
            assert_eq!(got, expected);
        }
    }
}
