//! Ten thousand clusters, each at an address of its own, on one group of listeners.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use fakeapi_tests::ping::ping;

use crate::child::{Home, Program};
use crate::control::Cluster;
use crate::need;
use crate::site::{POOL, POOL6, PORT, Site, at, ip};

const V4: usize = 9_000;
const V6: usize = 1_000;
/// Every so many clusters get a node, and are asked for it.
const SAMPLE: usize = 50;
const REPLY: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(500);
/// Addresses of the pools that no cluster has.
const FREE: [&str; 4] = ["10.77.200.1", "10.77.254.254", "fd77::ffff", "fd77::1:0:0:1"];

fn arguments() -> String {
    format!("--mode prefix --pool {POOL},{POOL6} --kernel on --edge veth0 --neighbours --workers 4")
}

/// Addresses of the first pool are given; those of the second are asked for.
fn wanted() -> Vec<Option<SocketAddr>> {
    let first = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1).to_bits();
    let v6 = (0..V6).map(|n| Ipv6Addr::from_bits(first + n as u128));
    let v6 = v6.map(|ip| Some(SocketAddr::new(ip.into(), PORT)));
    std::iter::repeat_n(None, V4).chain(v6).collect()
}

fn sample(clusters: &[Cluster]) -> Vec<Cluster> {
    clusters.iter().step_by(SAMPLE).cloned().collect()
}

#[test]
fn ten_thousand_clusters_answer_as_themselves_and_outlive_a_kill() {
    need!(without_datapath, "ten_thousand_clusters");
    let (site, home) = (Site::new(), Home::new());
    let program = Program::start(&site.server, &home, &arguments());
    assert!(site.carries_xdp());
    let began = Instant::now();
    let clusters = program.control.register(&wanted());
    eprintln!("{} clusters registered in {:?}", clusters.len(), began.elapsed());
    assert_eq!(program.control.figure("fakeapi_clusters"), (V4 + V6) as u64);

    site.assert_each_answers(&clusters);
    assert_counted(&program);
    assert_neighbours_answered(&site, &program);
    assert_unallocated_silent(&site, &program);
    let sample = sample(&clusters);
    program.control.activate(&sample);
    site.assert_own_nodes(&program, &sample);
    // What goes on after a kill must be the same clusters, not new ones.
    let authority = program.control.kubeconfig(&sample[0]);

    program.kill();
    site.assert_nothing_attached();
    // The routes carry the mark by which the next run knows them.
    assert_eq!(site.marked_routes(), [POOL, POOL6]);
    let began = Instant::now();
    let program = Program::start(&site.server, &home, &arguments());
    eprintln!("{} clusters are back after {:?}", clusters.len(), began.elapsed());
    assert_eq!(site.marked_routes(), [POOL, POOL6], "adopted, not added");
    site.assert_each_answers(&clusters);
    let answer = site.client.run_async({
        let at = sample[0].at;
        move || async move { crate::client::get(authority.client(), at, "/version").await }
    });
    assert_eq!(answer.expect("the authority is the same").status, 200);
    site.assert_own_nodes(&program, &sample[..5]);
    assert_eq!(program.control.handed_over(), 0);

    program.stop();
    assert!(!site.carries_xdp());
    assert!(site.marked_routes().is_empty());
}

/// Each connection was steered to the worker that owns its cluster, and its packets counted.
fn assert_counted(program: &Program) {
    let control = &program.control;
    let all = (V4 + V6) as u64;
    assert_eq!(control.figure("fakeapi_connections_accepted_total"), all);
    assert_eq!(control.figure("fakeapi_requests_total"), all);
    assert_eq!(control.handed_over(), 0);
    assert!(control.packets("steered") >= all);
    // SYN, ACK, hello, finished with the request, FIN: five at the least.
    assert!(control.packets("served") >= 5 * all);
    assert_eq!(control.packets("no_listener"), 0);
    assert_eq!(control.packets("blackhole"), 0);
}

/// Nobody configured these addresses: ARP, NDP and ping are answered at the edge.
fn assert_neighbours_answered(site: &Site, program: &Program) {
    let count = |reason| program.control.packets(reason);
    assert!(count("arp_answered") >= 62, "the client's IPv4 neighbours were connected to");
    assert!(count("neighbour_answered") >= 63, "and its IPv6 neighbours");
    let echoes = count("echo_answered");
    for (target, is_held) in
        [("10.77.0.7", true), ("fd77::7", true), ("10.77.9.9", true), ("10.77.255.1", false)]
    {
        let patience = if is_held { REPLY } else { SILENCE };
        let answered = site.client.run(move || ping(ip(target), patience));
        assert_eq!(answered, is_held, "{target}");
    }
    assert_eq!(count("echo_answered"), echoes + 3);
}

/// No SYN-ACK and no reset comes from an address that no cluster has.
fn assert_unallocated_silent(site: &Site, program: &Program) {
    let before = program.control.packets("unallocated");
    site.assert_refused(&FREE.map(at), ErrorKind::TimedOut);
    let after = program.control.packets("unallocated");
    assert!(after >= before + FREE.len() as u64, "{before} {after}");
    assert_eq!(program.control.packets("refused"), 0);
}

#[test]
fn unallocated_addresses_are_reset_when_asked_for() {
    need!(without_datapath, "unallocated_addresses_are_reset_when_asked_for");
    let (site, home) = (Site::new(), Home::new());
    let program = Program::start(&site.server, &home, &format!("{} --reset", arguments()));
    let clusters = program.control.register(&[None, Some(at("fd77::1"))]);
    site.assert_refused(&FREE.map(at), ErrorKind::ConnectionRefused);
    let refused = program.control.packets("refused");
    assert_eq!(refused, FREE.len() as u64);
    // A port of a cluster's address at which nothing is served is the stack's to refuse.
    let other = SocketAddr::new(clusters[0].at.ip(), 80);
    site.assert_refused(&[other], ErrorKind::ConnectionRefused);
    assert_eq!(program.control.packets("not_served"), 1);
    site.assert_each_answers(&clusters);
    program.stop();
}
