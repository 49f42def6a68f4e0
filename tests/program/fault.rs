//! Faults of packets: they hit the cluster they are meant for, and no other.

use std::io::ErrorKind;

use fakeapi_tests::ping::ping;
use serde_json::json;

use crate::child::{Home, Program};
use crate::need;
use crate::site::{POOL, Site};

#[test]
fn a_fault_hits_one_cluster_and_not_its_neighbour() {
    need!(without_datapath, "a_fault_hits_one_cluster_and_not_its_neighbour");
    let (site, home) = (Site::new(), Home::new());
    let arguments = format!("--mode prefix --pool {POOL} --kernel on --edge veth0 --neighbours");
    let program = Program::start(&site.server, &home, &arguments);
    let clusters = program.control.register(&[None, None]);
    let (hit, spared) = (&clusters[0], &clusters[1]);
    site.assert_each_answers(&clusters);
    let set = |fault| program.control.fault(hit, &fault);
    let dropped = |reason| program.control.packets(reason);
    for fault in [json!({"kind": "drop", "per_mille": 1000}), json!({"kind": "blackhole"})] {
        let before = dropped("blackhole");
        set(fault.clone());
        site.assert_refused(&[hit.at], ErrorKind::TimedOut);
        assert!(dropped("blackhole") > before, "{fault}");
        site.assert_each_answers(&clusters[1..]);
        set(json!({"kind": "none"}));
        site.assert_each_answers(&clusters);
    }
    // A share loses some packets; TCP brings the connection about all the same.
    set(json!({"kind": "drop", "per_mille": 200}));
    let spared = spared.at.ip();
    assert!(site.client.run(move || ping(spared, std::time::Duration::from_secs(5))));
    site.assert_each_answers(&clusters);
    let pings = 100;
    let lossy = hit.at.ip();
    site.client.run(move || {
        for _ in 0..pings {
            ping(lossy, std::time::Duration::from_millis(20));
        }
    });
    let lost = dropped("lossy");
    // Twenty are expected of a hundred; below three or above sixty is beyond any chance.
    assert!((3..=60).contains(&lost), "{lost} of {pings} pings and a connection");
    program.stop();
}

#[test]
fn a_fault_acts_again_after_a_restart_and_ends_where_it_cannot() {
    need!(without_datapath, "a_fault_acts_again_after_a_restart_and_ends_where_it_cannot");
    let (site, home) = (Site::new(), Home::new());
    let arguments = format!("--mode prefix --pool {POOL} --kernel on");
    let with_edge = format!("{arguments} --edge veth0 --neighbours");
    let program = Program::start(&site.server, &home, &with_edge);
    let clusters = program.control.register(&[None, None]);
    program.control.fault(&clusters[0], &json!({"kind": "blackhole"}));
    site.assert_refused(&[clusters[0].at], ErrorKind::TimedOut);
    program.kill();
    for stopped in [Program::kill, Program::stop] {
        let program = Program::start(&site.server, &home, &with_edge);
        site.assert_refused(&[clusters[0].at], ErrorKind::TimedOut);
        site.assert_each_answers(&clusters[1..]);
        stopped(program);
    }
    // Without an edge nothing can drop packets, and so it stays.
    let program = Program::start(&site.server, &home, &arguments);
    assert_eq!(program.control.fault_of(&clusters[0]), json!({"kind": "none"}));
    program.stop();
    let program = Program::start(&site.server, &home, &with_edge);
    site.assert_each_answers(&clusters);
    program.stop();
}
