//! Programs of the host this needs, and how to get them.

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};

/// Where a program is, if it is on the path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Makes sure that `program` can be run. Root on Debian gets it installed, others are told how.
pub(super) fn need(program: &str, package: &str) -> Result<()> {
    if find(program).is_some() {
        return Ok(());
    }
    let is_root = run(Command::new("id").arg("-u")).is_ok_and(|user| user.trim() == "0");
    if !is_root || find("apt-get").is_none() {
        bail!("{program} is missing; on Debian: apt-get install {package}");
    }
    eprintln!("{program} is missing: installing {package}");
    run(Command::new("apt-get").args(["-qq", "update"]))?;
    run(Command::new("apt-get").args([
        "-qq",
        "--no-install-recommends",
        "-y",
        "install",
        package,
    ]))?;
    ensure!(find(program).is_some(), "package {package} did not bring {program}");
    Ok(())
}

/// Runs a command to its end and gives what it printed.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = run_binary(command)?;
    String::from_utf8(output).with_context(|| format!("{command:?} printed no text"))
}

/// As [`run`], for output that is no text.
pub(super) fn run_binary(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    let Output { status, stdout, stderr } = output;
    let stderr = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "{command:?} ended with {status}: {}", stderr.trim());
    Ok(stdout)
}
