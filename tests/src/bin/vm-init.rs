//! The first process of the guest that `cargo xtask vm` boots.
//!
//! It makes the machine fit for the tests (file systems, modules, `lo`), runs every binary in
//! `/tests`, prints one verdict line the host looks for, and powers the machine off. It never
//! returns: the kernel panics when its first process ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use fakeapi::netlink::{Kernel, Rtnetlink};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::resource::{Resource, setrlimit};

/// What is mounted where, as (type, place).
const MOUNTS: [(&str, &str); 7] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("tracefs", "/sys/kernel/tracing"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
];

/// Descriptors a test may have open: enough for some thousand connections, both ends here.
const OPEN_FILES: u64 = 65_536;

/// Tests counted over all binaries.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn main() {
    let mut tally = Tally::default();
    let outcome = prepare().and_then(|()| run_all(&mut tally));
    if let Err(error) = &outcome {
        println!("vm-init: {error:#}");
    }
    let Tally { passed, failed, skipped } = tally;
    let success = outcome.is_ok() && failed == 0 && passed > 0;
    let verdict = if success { "success" } else { "failure" };
    println!("vm: {verdict} {passed} passed {failed} failed {skipped} skipped");
    match reboot(RebootMode::RB_POWER_OFF) {
        Ok(never) => match never {},
        Err(error) => println!("vm-init: could not power off: {error}"),
    }
}

fn prepare() -> Result<()> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place).with_context(|| format!("could not make {place}"))?;
        let none = None::<&str>;
        mount(Some(kind), place, Some(kind), MsFlags::empty(), none)
            .with_context(|| format!("could not mount {kind} on {place}"))?;
    }
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES).context("could not raise nofile")?;
    load_modules()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(set_lo_up()).context("could not set lo up")
}

/// Loads `/modules/*` in the order of their names, which is the order of their dependencies.
fn load_modules() -> Result<()> {
    for path in sorted("/modules")? {
        let file = fs::File::open(&path)?;
        finit_module(&file, c"", ModuleInitFlags::empty())
            .with_context(|| format!("could not load {}", path.display()))?;
    }
    Ok(())
}

async fn set_lo_up() -> Result<()> {
    let kernel = Rtnetlink::open()?;
    let links = kernel.links().await?;
    let lo = links.iter().find(|link| link.name == "lo").context("there is no lo")?;
    Ok(kernel.set_up(lo.index).await?)
}

fn run_all(tally: &mut Tally) -> Result<()> {
    let binaries = sorted("/tests")?;
    ensure!(!binaries.is_empty(), "there is nothing in /tests");
    for binary in binaries {
        println!("vm-init: running {}", binary.display());
        run(&binary, tally).with_context(|| format!("could not run {}", binary.display()))?;
    }
    Ok(())
}

/// Runs one test binary and counts by what it prints. One that ends without a result line, by a
/// signal for example, counts as a failure.
fn run(binary: &Path, tally: &mut Tally) -> Result<()> {
    let mut child = Command::new(binary)
        .args(["--test-threads=1", "--nocapture"])
        .env("FAKEAPI_VM", "1")
        .env("RUST_BACKTRACE", "0")
        .current_dir("/tmp")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("its output is a pipe")?;
    let (mut failed, mut skipped) = (0, 0);
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        // Not at the start: the harness prints the test's name on the same line.
        skipped += usize::from(line.contains("SKIP "));
        if let Some(result) = line.strip_prefix("test result: ") {
            // The harness knows no skips: to it they passed.
            tally.passed += count_before(result, "passed").saturating_sub(skipped);
            failed += count_before(result, "failed");
        }
    }
    let status = child.wait()?;
    if !status.success() && failed == 0 {
        println!("vm-init: {} ended with {status}", binary.display());
        failed = 1;
    }
    tally.failed += failed;
    tally.skipped += skipped;
    Ok(())
}

/// The number before a word, in `ok. 3 passed; 0 failed; ...`; none counts as 0.
fn count_before(result: &str, word: &str) -> usize {
    let parts = result.split(['.', ';']).map(str::trim);
    let mut numbers = parts.filter_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    numbers.next().unwrap_or(0)
}

fn sorted(folder: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not read {folder}"))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::count_before;

    #[test]
    fn reads_the_harness_result() {
        let line = "FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out";
        assert_eq!(count_before(line, "passed"), 12);
        assert_eq!(count_before(line, "failed"), 3);
        assert_eq!(count_before(line, "absent"), 0);
    }
}
