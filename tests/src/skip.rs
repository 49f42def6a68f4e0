//! A test that cannot run says so; where it should be able to run it fails.

use std::sync::atomic::{AtomicU32, Ordering};

use fakeapi::datapath::{Datapath, KernelVersion, Lack};

/// Why a test that needs a network namespace cannot run here, if it cannot.
pub fn without_root() -> Option<String> {
    (!nix::unistd::geteuid().is_root()).then(|| "needs root".to_owned())
}

/// Why a test of the kernel side cannot run here, if they cannot.
///
/// # Panics
/// When the kernel is one that is promised to be able, and is not.
pub fn without_datapath() -> Option<String> {
    if let Some(why) = without_root() {
        return Some(why);
    }
    let capabilities = Datapath::probe();
    let lack = capabilities.edge.and(capabilities.steer).err()?;
    let promised =
        capabilities.kernel.is_some_and(|kernel| kernel >= KernelVersion { major: 5, minor: 15 });
    let kernel_lacks = matches!(lack, Lack::Kernel { .. });
    assert!(!(promised && kernel_lacks), "a kernel this new should be able: {lack}");
    Some(lack.to_string())
}

/// Says that a test did not run.
pub fn tell(name: &str, why: &str) {
    static SKIPPED: AtomicU32 = AtomicU32::new(0);
    assert!(std::env::var_os("FAKEAPI_NO_SKIP").is_none(), "{name} may not be skipped: {why}");
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    eprintln!("SKIP {name}: {why} ({count} skipped so far)");
}
