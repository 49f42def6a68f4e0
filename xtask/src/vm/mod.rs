//! `cargo xtask vm`: the kernel tests on kernels this machine does not run.
//!
//! A kernel is a Debian package unpacked into `target/vm/`, the guest's whole disk an initramfs
//! written here: the test binaries, the libraries they load, the modules they need and a first
//! process that runs them. Software emulation is the default: it is everywhere, a boot takes some
//! seconds, and nested KVM fails in ways QEMU does not recover from. `FAKEAPI_VM_ACCEL=kvm`
//! asks for KVM.

mod guest;
mod initramfs;
mod kernel;
mod modules;
mod payload;
mod tools;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use guest::Verdict;

/// Modules the tests load, by name; what those depend on is found in the modules themselves.
/// One that is built into a kernel is left out.
const MODULES: [&str; 2] = ["dummy", "veth"];

/// Builds the tests once and runs them on each version's kernel; prints a summary.
///
/// # Errors
/// When something is missing (the message says what to install), or any guest failed.
pub(crate) fn run(versions: &[String]) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the guests run this host's binaries on x86_64 only");
    tools::need("qemu-system-x86_64", "qemu-system-x86")?;
    let payload = payload::build()?;
    let mut summary = Vec::new();
    for version in versions {
        let start = Instant::now();
        let outcome = run_one(version, &payload);
        let took = start.elapsed();
        if let Err(error) = &outcome {
            eprintln!("vm {version}: {error:#}");
        }
        summary.push((version, outcome, took));
    }
    let mut failures = 0;
    for (version, outcome, took) in summary {
        failures += usize::from(!outcome.as_ref().is_ok_and(Verdict::is_success));
        let told =
            outcome.map_or_else(|error| format!("error: {error}"), |verdict| verdict.to_string());
        println!("vm {version}: {told} in {:.1} s", took.as_secs_f64());
    }
    ensure!(failures == 0, "{failures} of {} guests failed", versions.len());
    Ok(())
}

fn run_one(version: &str, payload: &payload::Payload) -> Result<Verdict> {
    let folder = cache().join(version);
    let kernel = kernel::fetch(version, &folder)?;
    let modules = modules::find(&kernel.modules, &MODULES)?;
    let image = folder.join("initramfs.cpio");
    initramfs::write(&image, payload, &modules)
        .with_context(|| format!("could not write {}", image.display()))?;
    guest::boot(version, &kernel.image, &image)
}

/// Where kernels are kept: under the workspace's target folder, so `cargo clean` removes them.
fn cache() -> PathBuf {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or(workspace.join("target"), PathBuf::from);
    target.join("vm")
}
