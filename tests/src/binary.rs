//! Where the program is that the tests start.
//!
//! Cargo tells a test where the programs of its own package are, not those of others, so the
//! program is built by a nested `cargo build`: it makes a fresh clone work, and takes no time
//! when nothing has changed. `FAKEAPI_PROGRAM` names another one and builds nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

/// The program, of the profile the tests have.
///
/// # Errors
/// When it cannot be built.
pub fn path() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => anyhow::bail!("the program is not there: {error}"),
    }
}

fn build() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("FAKEAPI_PROGRAM") {
        return Ok(given.into());
    }
    // TARGET/PROFILE/deps/it-HASH
    let test = std::env::current_exe()?;
    let profile_dir = test.ancestors().nth(2).context("the test lies nowhere")?;
    let target = profile_dir.parent().context("the profile's directory lies nowhere")?;
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => anyhow::bail!("{} names no profile", profile_dir.display()),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Both packages are named: then the features are those the test run was built with, and
    // nothing is built a second time.
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "fakeapi", "--package", "fakeapi-tests"])
        .args(["--bin", "fakeapi", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .context("cargo cannot be run")?;
    ensure!(built.success(), "cargo build: {built}");
    Ok(profile_dir.join("fakeapi"))
}
