//! Tests against the running kernel: need root, make their own network namespaces, and run on a
//! guest that has nothing but this binary (no `ip`, no `ping`).
//!
//! `cargo test -p fakeapi-tests --test kernel -- --test-threads=1`
//!
//! A test that cannot run prints `SKIP name: why`. With `FAKEAPI_NO_SKIP` in the environment that
//! is a failure; on a kernel that should be able it always is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;

use fakeapi::addr::ClusterAddr;
use fakeapi::datapath::{Datapath, Options, Reason};

mod cable;
mod edge_trial;
#[path = "../../fakeapi-ebpf/common/tests/frames/mod.rs"]
mod frames;
mod kernel_log;
mod owned;
mod steering;

/// The port clusters are served at.
pub(crate) const PORT: u16 = 6_443;

/// Leaves the test, loudly, where it cannot run.
macro_rules! need_datapath {
    ($name:literal) => {
        if let Some(why) = fakeapi_tests::skip::without_datapath() {
            return fakeapi_tests::skip::tell($name, &why);
        }
    };
}
pub(crate) use need_datapath;

/// Loads the datapath or fails with the whole chain of causes.
pub(crate) fn load(options: Options) -> Datapath {
    Datapath::load(options).unwrap_or_else(|error| panic!("{:?}", anyhow::Error::new(error)))
}

/// A destination at the usual port.
pub(crate) fn at(ip: impl Into<IpAddr>) -> ClusterAddr {
    ClusterAddr((ip.into(), PORT).into())
}

/// How often a reason was counted.
pub(crate) fn count(datapath: &Datapath, reason: Reason) -> u64 {
    let all = datapath.reasons().expect("the counters by reason");
    all.into_iter().find_map(|(r, n)| (r == reason).then_some(n)).expect("every reason is there")
}
