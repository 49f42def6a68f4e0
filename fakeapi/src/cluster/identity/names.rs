//! The names a certificate speaks for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::der::{context, element};

/// The address of the Service `kubernetes` in a cluster served over IPv4: the first one of
/// kubeadm's default service network.
pub const SERVICE_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// The same in a cluster served over IPv6.
pub const SERVICE_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 1));

/// The DNS names and addresses in a certificate's subjectAltName.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectNames {
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
}

impl SubjectNames {
    /// What an API server at `ip` is called: by its address, by itself, and from inside.
    pub fn api_server(ip: IpAddr) -> Self {
        let service = if ip.is_ipv4() { SERVICE_IPV4 } else { SERVICE_IPV6 };
        let dns = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        ];
        let mut names = Self {
            dns: dns.map(str::to_owned).into(),
            ips: vec![ip, service, Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        };
        names.once();
        names
    }

    /// What the etcd member on `node` is called: by the node's name, and as KCP asks for it, by
    /// its pod's.
    ///
    /// A node name that is no DNS name stays out: nobody can ask for it in a handshake.
    pub fn etcd_member(node: &str, ip: IpAddr) -> Self {
        let mut dns = vec!["localhost".to_owned()];
        if is_dns_name(node) {
            dns.extend([node.to_owned(), format!("etcd-{node}")]);
        }
        let mut names =
            Self { dns, ips: vec![ip, Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] };
        names.once();
        names
    }

    /// A cluster on loopback would name its address twice.
    fn once(&mut self) {
        let mut seen = Vec::with_capacity(self.ips.len());
        for ip in std::mem::take(&mut self.ips) {
            if !seen.contains(&ip) {
                seen.push(ip);
            }
        }
        self.ips = seen;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.ips.is_empty()
    }

    /// The names as `GeneralNames`.
    pub(super) fn der(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for name in &self.dns {
            out.extend(element(context(2, false), &[name.as_bytes()]));
        }
        for ip in &self.ips {
            out.extend(match ip {
                IpAddr::V4(ip) => element(context(7, false), &[&ip.octets()]),
                IpAddr::V6(ip) => element(context(7, false), &[&ip.octets()]),
            });
        }
        element(super::der::SEQUENCE, &[&out])
    }
}

/// Whether `name` can be asked for in a TLS handshake.
fn is_dns_name(name: &str) -> bool {
    rustls_pki_types::DnsName::try_from(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_cluster_names_its_address_once() {
        let names = SubjectNames::api_server(Ipv4Addr::LOCALHOST.into());
        assert_eq!(names.ips.len(), 3);
        let names = SubjectNames::api_server(Ipv4Addr::new(10, 0, 0, 1).into());
        assert_eq!(names.ips.len(), 4);
    }

    #[test]
    fn a_node_that_dns_cannot_name_stays_out() {
        let ip = Ipv4Addr::new(10, 0, 0, 1).into();
        assert_eq!(SubjectNames::etcd_member("a/b c", ip).dns, ["localhost"]);
        assert_eq!(SubjectNames::etcd_member("cp-0", ip).dns, ["localhost", "cp-0", "etcd-cp-0"]);
    }
}
