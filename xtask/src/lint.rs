//! `cargo xtask lint`: format and lints, as CI checks them.

use anyhow::{Context, Result};

use crate::tally::Tally;
use crate::workspace::cargo;

/// The checks: what cargo is told.
const CHECKS: [&[&str]; 2] = [
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
];

/// Runs every check, also after one has failed.
///
/// # Errors
/// When cargo cannot be run.
pub(crate) fn run() -> Result<Tally> {
    let mut tally = Tally::default();
    for check in CHECKS {
        let status = cargo().args(check).status().context("cargo could not be run")?;
        let word = if status.success() { "ok" } else { "FAIL" };
        println!("{word} cargo {}", check.join(" "));
        tally += Tally::one(status.success());
    }
    Ok(tally)
}
