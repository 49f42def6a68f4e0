//! A server and a client on one cable, and what all tests ask of them.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fakeapi::netlink::{Kernel, ROUTE_PROTOCOL, Rtnetlink};
use fakeapi_tests::namespace::{
    Namespace, add_address, add_gateway, add_neighbourhood, carries_xdp,
};
use ipnet::IpNet;
use serde_json::Value;

use crate::child::{LOOK, Program};
use crate::client::{faults_of, get, refusal};
use crate::control::Cluster;

/// The pools clusters get their addresses from.
pub(crate) const POOL: &str = "10.77.0.0/16";
pub(crate) const POOL6: &str = "fd77::/64";
/// The server's own address on the cable.
pub(crate) const SERVER: &str = "192.0.2.1";
/// The port where each cluster has an address.
pub(crate) const PORT: u16 = 6_443;
/// The first addresses of the pools are the client's neighbours, the others are behind the
/// server: ten thousand neighbours are more than a kernel remembers.
const NEIGHBOURHOODS: [&str; 3] = ["10.77.0.0/26", "10.77.255.0/26", "fd77::/122"];
/// How long a client waits for what must not come.
const SILENCE: Duration = Duration::from_millis(500);
/// The kernel frees the links of a killed process a little after its end.
const AFTERMATH: Duration = Duration::from_secs(10);

pub(crate) struct Site {
    pub(crate) server: Arc<Namespace>,
    pub(crate) client: Namespace,
}

impl Site {
    pub(crate) fn new() -> Self {
        let (server, client) = (Arc::new(Namespace::new()), Namespace::new());
        server.cable_to(&client, "veth0", "veth1");
        server.run(|| {
            add_address("veth0", net("192.0.2.1/24"));
            add_address("veth0", net("2001:db8::1/64"));
        });
        client.run(|| {
            add_address("veth1", net("192.0.2.2/24"));
            add_address("veth1", net("2001:db8::2/64"));
            add_gateway(net(POOL), ip(SERVER), "veth1");
            add_gateway(net(POOL6), ip("2001:db8::1"), "veth1");
            for prefix in NEIGHBOURHOODS {
                add_neighbourhood(net(prefix), "veth1");
            }
        });
        Self { server, client }
    }

    /// Checks by TLS from the client that each of these clusters answers as itself.
    pub(crate) fn assert_each_answers(&self, clusters: &[Cluster]) {
        assert_each_answers(&self.client, clusters);
    }

    /// Checks that nobody answers there, and that it ends as expected.
    pub(crate) fn assert_refused(&self, targets: &[SocketAddr], how: ErrorKind) {
        assert_refused(&self.client, targets, how);
    }

    /// Checks that each cluster, asked by its administrator, has the one node it was given.
    pub(crate) fn assert_own_nodes(&self, program: &Program, clusters: &[Cluster]) {
        for cluster in clusters {
            let kubeconfig = program.control.kubeconfig(cluster);
            assert_eq!(kubeconfig.server, format!("https://{}", cluster.at));
            let at = cluster.at;
            let answer = self
                .client
                .run_async(
                    move || async move { get(kubeconfig.client(), at, "/api/v1/nodes").await },
                )
                .unwrap_or_else(|error| panic!("{cluster:?}: {error:?}"));
            assert_eq!(answer.status, 200, "{cluster:?}");
            let list: Value = serde_json::from_slice(&answer.body).unwrap();
            let names: Vec<_> = list["items"].as_array().unwrap().iter().collect();
            assert_eq!(names.len(), 1, "{cluster:?}");
            assert_eq!(names[0]["metadata"]["name"], cluster.node());
        }
    }

    /// The routes that carry our mark.
    pub(crate) fn marked_routes(&self) -> Vec<String> {
        self.server.run_async(|| async {
            let routes = Rtnetlink::open().unwrap().routes().await.unwrap();
            let marked = routes.iter().filter(|route| route.protocol == ROUTE_PROTOCOL);
            let mut marked: Vec<_> = marked.map(|route| route.destination.to_string()).collect();
            marked.sort();
            marked
        })
    }

    /// Waits until no XDP program is on the server's link.
    pub(crate) fn assert_nothing_attached(&self) {
        let deadline = Instant::now() + AFTERMATH;
        while self.carries_xdp() {
            assert!(Instant::now() < deadline, "XDP is still on the link");
            std::thread::sleep(LOOK);
        }
    }

    pub(crate) fn carries_xdp(&self) -> bool {
        self.server.run(|| carries_xdp("veth0"))
    }
}

/// Checks by TLS from a namespace that each of these clusters answers as itself.
pub(crate) fn assert_each_answers(from: &Namespace, clusters: &[Cluster]) {
    let began = Instant::now();
    let asked = clusters.to_vec();
    let faults = from.run_async(move || faults_of(asked));
    let some = &faults[..faults.len().min(5)];
    assert!(faults.is_empty(), "{} of {}: {some:#?}", faults.len(), clusters.len());
    eprintln!("{} clusters answered as themselves in {:?}", clusters.len(), began.elapsed());
}

/// Checks that nobody answers there, and that it ends as expected.
pub(crate) fn assert_refused(from: &Namespace, targets: &[SocketAddr], how: ErrorKind) {
    for target in targets.iter().copied() {
        let ended = from.run_async(move || refusal(target, SILENCE));
        assert_eq!(ended, how, "{target}");
    }
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An address at the usual port.
pub(crate) fn at(text: &str) -> SocketAddr {
    SocketAddr::new(ip(text), PORT)
}
