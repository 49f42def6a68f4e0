//! Tests against the running kernel: need root, make their own network namespaces, and run on a
//! guest that has nothing but this binary (no `ip`, no `ping`).
//!
//! `cargo test -p fakeapi-tests --test kernel -- --test-threads=1`
//!
//! A test that cannot run prints `SKIP name: why`. With `FAKEAPI_NO_SKIP` in the environment that
//! is a failure; on a kernel that should be able it always is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use fakeapi::addr::ClusterAddr;
use fakeapi::datapath::{Datapath, KernelVersion, Lack, Options, Reason};

mod cable;
mod edge_trial;
#[path = "../../fakeapi-ebpf/common/tests/frames/mod.rs"]
mod frames;
mod kernel_log;
mod namespace;
mod owned;
mod steering;

/// The port clusters are served at.
pub(crate) const PORT: u16 = 6_443;

/// Leaves the test, loudly, where it cannot run.
macro_rules! need_datapath {
    ($name:literal) => {
        if let Some(why) = crate::why_skip() {
            return crate::skip($name, &why);
        }
    };
}
pub(crate) use need_datapath;

/// Why the tests cannot run here, if they cannot.
///
/// # Panics
/// When the kernel is one that is promised to be able, and is not.
pub(crate) fn why_skip() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let capabilities = Datapath::probe();
    let lack = capabilities.edge.and(capabilities.steer).err()?;
    let promised = capabilities.kernel.is_some_and(|kernel| {
        kernel
            >= KernelVersion {
                major: 5,
                minor: 15,
            }
    });
    let kernel_lacks = matches!(lack, Lack::Kernel { .. });
    assert!(
        !(promised && kernel_lacks),
        "a kernel this new should be able: {lack}"
    );
    Some(lack.to_string())
}

/// Says that a test did not run.
pub(crate) fn skip(name: &str, why: &str) {
    static SKIPPED: AtomicU32 = AtomicU32::new(0);
    assert!(
        std::env::var_os("FAKEAPI_NO_SKIP").is_none(),
        "{name} may not be skipped: {why}"
    );
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    eprintln!("SKIP {name}: {why} ({count} skipped so far)");
}

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
    all.into_iter()
        .find_map(|(r, n)| (r == reason).then_some(n))
        .expect("every reason is there")
}
