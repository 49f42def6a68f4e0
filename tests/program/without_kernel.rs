//! The same without the kernel side: wildcard listeners, and workers that hand over.

use std::io::ErrorKind;

use crate::child::{Home, Program};
use crate::need;
use crate::site::{POOL, POOL6, Site, at};

const CLUSTERS: usize = 1_000;

#[test]
fn wildcard_listeners_hand_over_to_the_owner_and_reset_strangers() {
    need!(without_root, "wildcard_listeners_hand_over_to_the_owner_and_reset_strangers");
    let (site, home) = (Site::new(), Home::new());
    let arguments = format!("--mode prefix --pool {POOL},{POOL6} --kernel off --workers 4");
    let program = Program::start(&site.server, &home, &arguments);
    assert!(!site.carries_xdp());
    let mut wanted = vec![None; CLUSTERS];
    wanted.push(Some(at("fd77::99")));
    let clusters = program.control.register(&wanted);
    site.assert_each_answers(&clusters);

    let figure = |name: &str| program.control.figure(name);
    let all = clusters.len() as u64;
    assert_eq!(figure("fakeapi_connections_accepted_total"), all);
    let handed_over = program.control.handed_over();
    // Of four workers the right one takes a quarter by chance.
    assert!((all / 2..all).contains(&handed_over), "{handed_over} of {all}");
    let free = ["10.77.200.1", "fd77::ffff"].map(at);
    // The handshake of TCP is the kernel's: a stranger is reset after it.
    let client = site.client.run_async(move || async move {
        let mut outcomes = Vec::new();
        for target in free {
            outcomes.push(crate::client::get(crate::client::curious(), target, "/readyz").await);
        }
        outcomes.into_iter().map(|outcome| outcome.map(|answer| answer.status)).collect::<Vec<_>>()
    });
    for outcome in client {
        let error = outcome.expect_err("no cluster answers there");
        let cause = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
        assert_eq!(cause.map(std::io::Error::kind), Some(ErrorKind::ConnectionReset), "{error:#}");
    }
    let refused = "fakeapi_connections_refused_total{reason=\"unknown_address\"}";
    assert_eq!(figure(refused), free.len() as u64);
    let sample = &clusters[..3];
    program.control.activate(sample);
    site.assert_own_nodes(&program, sample);
    program.stop();
    assert!(site.marked_routes().is_empty());
}
