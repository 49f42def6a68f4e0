//! The other ways in which addresses reach the program: loopback, and one IP with a port a
//! cluster.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use fakeapi_tests::namespace::carries_xdp;

use crate::child::{Home, Program};
use crate::need;
use crate::site::{SERVER, Site, assert_each_answers, assert_refused, at, ip};

const PORTS: RangeInclusive<u16> = 20_000..=20_999;
const LOOPBACK: usize = 500;

/// How many ports of the range sockets of the program's namespace listen at.
fn listening(program: &Program) -> usize {
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", program.pid())).unwrap();
    let ports = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (_, port) = columns.next()?.rsplit_once(':')?;
        // The column after the remote address is the state; 0A is LISTEN.
        let is_listening = columns.nth(1)? == "0A";
        is_listening.then(|| u16::from_str_radix(port, 16).unwrap())
    });
    ports.filter(|port| PORTS.contains(port)).count()
}

fn arguments(kernel: &str) -> String {
    let (first, last) = (PORTS.start(), PORTS.end());
    format!("--mode port --ip {SERVER} --ports {first}-{last} --kernel {kernel} --workers 4")
}

#[test]
fn one_ip_serves_a_thousand_ports_without_a_socket_each() {
    need!(without_datapath, "one_ip_serves_a_thousand_ports_without_a_socket_each");
    let (site, home) = (Site::new(), Home::new());
    let program = Program::start(&site.server, &home, &arguments("on"));
    let clusters = program.control.register(&vec![None; PORTS.len()]);
    assert!(clusters.iter().all(|cluster| cluster.at.ip() == ip(SERVER)));
    assert_eq!(listening(&program), 0, "the kernel needs no socket a port");
    assert_ports_answer(&site, &program, &clusters);
    assert_eq!(program.control.handed_over(), 0);
    program.kill();
    let program = Program::start(&site.server, &home, &arguments("on"));
    site.assert_each_answers(&clusters[..100]);
    program.stop();
}

#[test]
fn one_ip_serves_a_thousand_ports_with_a_socket_each() {
    need!(without_root, "one_ip_serves_a_thousand_ports_with_a_socket_each");
    let (site, home) = (Site::new(), Home::new());
    let program = Program::start(&site.server, &home, &arguments("off"));
    let clusters = program.control.register(&vec![None; PORTS.len()]);
    assert_eq!(listening(&program), PORTS.len());
    assert_ports_answer(&site, &program, &clusters);
    assert_eq!(program.control.handed_over(), 0, "a port's socket is its owner's");
    program.kill();
    let program = Program::start(&site.server, &home, &arguments("off"));
    assert_eq!(listening(&program), PORTS.len());
    site.assert_each_answers(&clusters[..100]);
    program.stop();
}

fn assert_ports_answer(site: &Site, program: &Program, clusters: &[crate::control::Cluster]) {
    let mut ports: Vec<u16> = clusters.iter().map(|cluster| cluster.at.port()).collect();
    ports.sort_unstable();
    assert!(ports.into_iter().eq(PORTS), "every port is given once");
    site.assert_each_answers(clusters);
    let beyond = SocketAddr::new(ip(SERVER), PORTS.end() + 1);
    site.assert_refused(&[beyond], ErrorKind::ConnectionRefused);
    let sample = [clusters[0].clone(), clusters[999].clone()];
    program.control.activate(&sample);
    site.assert_own_nodes(program, &sample);
}

#[test]
fn loopback_needs_no_address_and_the_kernel_judges_it_too() {
    need!(without_datapath, "loopback_needs_no_address_and_the_kernel_judges_it_too");
    let (site, home) = (Site::new(), Home::new());
    let arguments = "--mode loopback --pool 127.64.0.0/10 --kernel on --edge lo --workers 4";
    let program = Program::start(&site.server, &home, arguments);
    assert!(site.server.run(|| carries_xdp("lo")));
    let clusters = program.control.register(&vec![None; LOOPBACK]);
    // The clients of loopback addresses are on the same machine.
    assert_each_answers(&site.server, &clusters);
    assert_eq!(program.control.handed_over(), 0);
    assert!(program.control.packets("steered") >= LOOPBACK as u64);
    let before = program.control.packets("unallocated");
    assert_refused(&site.server, &[at("127.90.0.1")], ErrorKind::TimedOut);
    assert!(program.control.packets("unallocated") > before);
    program.kill();
    let program = Program::start(&site.server, &home, arguments);
    assert_each_answers(&site.server, &clusters);
    program.stop();
    assert!(!site.server.run(|| carries_xdp("lo")));
}
