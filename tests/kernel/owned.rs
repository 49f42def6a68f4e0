//! Nothing outlives the process that attached it, however it dies.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fakeapi::datapath::{EdgeOptions, Options};

use crate::{PORT, load, need_datapath};
use fakeapi_tests::namespace::{Namespace, add_local, carries_xdp};

/// Set for the child only.
const CHILD: &str = "FAKEAPI_KERNEL_TEST_CHILD";
const READY: &str = "the child holds the datapath";
/// Descriptors of a killed process are closed by its exit; the kernel frees links a little later.
const PATIENCE: Duration = Duration::from_secs(5);

fn connects() -> bool {
    let target = SocketAddr::from((Ipv4Addr::new(10, 200, 0, 1), PORT));
    TcpStream::connect_timeout(&target, PATIENCE).is_ok()
}

#[test]
fn nothing_stays_after_a_kill() {
    need_datapath!("nothing_stays_after_a_kill");
    Namespace::new().run(|| {
        add_local("10.200.0.0/16".parse().unwrap());
        // While the guard stands this listener, which is not the child's, is not reached.
        let _stranger = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
        assert!(connects());
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "owned::hold_until_killed", "--ignored", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).any(|line| line.contains(READY));
        assert!(said, "the child ended before it was ready");
        assert!(carries_xdp("lo"));
        assert!(!connects(), "the child's guard refuses");

        // SIGKILL: the child runs no code of its own any more.
        child.kill().unwrap();
        child.wait().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while (carries_xdp("lo") || !connects()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!carries_xdp("lo"), "XDP is still on the link");
        assert!(connects(), "connections are still refused");
    });
}

#[test]
#[ignore = "the child of nothing_stays_after_a_kill, not a test of its own"]
fn hold_until_killed() {
    assert!(std::env::var_os(CHILD).is_some(), "run by nothing_stays_after_a_kill only");
    let datapath = load(Options::default());
    // lo of the namespace that the parent's thread is in.
    datapath.attach_edge("lo", EdgeOptions::default()).unwrap();
    datapath.guard("10.200.0.0/16".parse().unwrap()).unwrap();
    // An address is allocated so that only the guard's refusal can be what the parent sees.
    println!("{READY}");
    loop {
        std::thread::park();
    }
}
