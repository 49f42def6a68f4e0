//! `cargo xtask test`: everything this machine can run, and one line that sums it up.
//!
//! The counts are the runners' own. A test that prints `SKIP name: why` has not passed, whatever
//! libtest says of it, and is counted as skipped.

mod report;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use report::Report;

use crate::lint;
use crate::tally::Tally;
use crate::workspace::cargo;

/// The package whose targets use the program from outside.
const OUTSIDE: &str = "fakeapi-tests";

/// Targets of that package which may not run several tests at once: they count packets, or
/// processes, of the whole machine.
const ONE_AT_A_TIME: [&str; 2] = ["kernel", "program"];

/// Which tests run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains this
    filter: Option<String>,
    /// Also check that the generated data is what its sources give (downloads Go modules)
    #[arg(long)]
    r#gen: bool,
    /// Also check format and lints
    #[arg(long)]
    lint: bool,
}

/// Runs them all, also after one has failed, and prints the sum.
///
/// # Errors
/// When a test failed, none ran, or a runner could not be started.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut tally = Tally::default();
    let filter = args.filter.as_deref();
    tally += cargo_test(&["--workspace", "--exclude", OUTSIDE], filter, false)?;
    tally += cargo_test(&["--package", OUTSIDE, "--lib", "--bins"], filter, false)?;
    for target in outside_targets()? {
        let single = ONE_AT_A_TIME.contains(&target.as_str());
        tally += cargo_test(&["--package", OUTSIDE, "--test", &target], filter, single)?;
    }
    if args.r#gen {
        tally += generated()?;
    }
    if args.lint {
        tally += lint::run()?;
    }
    tally.close()
}

/// Compares the generated data with its sources.
fn generated() -> Result<Tally> {
    let this = std::env::current_exe().context("this program is not to be found")?;
    let status = Command::new(this).args(["gen", "--check"]).status()?;
    println!("{} cargo xtask gen --check", if status.success() { "ok" } else { "FAIL" });
    Ok(Tally::one(status.success()))
}

/// The test targets of [`OUTSIDE`] by name, from cargo itself: a new one is not forgotten.
fn outside_targets() -> Result<Vec<String>> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be run")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(package) = packages.iter().find(|package| package["name"] == OUTSIDE) else {
        bail!("the workspace has no package {OUTSIDE}");
    };
    let targets = package["targets"].as_array().map_or(&[][..], Vec::as_slice);
    let is_test = |target: &&serde_json::Value| target["kind"][0] == "test";
    let name = |target: &serde_json::Value| target["name"].as_str().map(str::to_owned);
    Ok(targets.iter().filter(is_test).filter_map(name).collect())
}

fn cargo_test(what: &[&str], filter: Option<&str>, single: bool) -> Result<Tally> {
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]).args(what).args(["--", "--show-output"]).args(filter);
    if single {
        command.arg("--test-threads=1");
    }
    println!("==> cargo test {}", what.join(" "));
    watch(command)
}

/// Runs one `cargo test`, showing of its output what somebody wants to read.
fn watch(mut command: Command) -> Result<Tally> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cargo could not be run")?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut report = Report::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cargo's output could not be read")?;
        let line = String::from_utf8_lossy(&line);
        if report.read(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().context("cargo could not be waited for")?;
    let mut tally = report.tally();
    if !status.success() && tally.failed == 0 {
        println!("FAIL: no test failed, but cargo ended with {status}");
        tally.failed = 1;
    }
    Ok(tally)
}
