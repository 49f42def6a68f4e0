//! What goes into the guest from this workspace: test binaries, the first process, and the
//! shared libraries they load.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::tools;

/// The package that has the tests and the first process.
const PACKAGE: &str = "fakeapi-tests";
/// The guest's first process.
const INIT: &str = "vm-init";
/// Test targets that need a kernel; those that exist are run.
const TARGETS: [&str; 2] = ["netns", "kernel"];

/// Files of the guest that do not depend on its kernel.
#[derive(Debug)]
pub(super) struct Payload {
    /// The first process.
    pub(super) init: PathBuf,
    /// Test binaries by the name of their target.
    pub(super) tests: Vec<(String, PathBuf)>,
    /// Shared libraries and the loader, at the paths the binaries name.
    pub(super) libraries: BTreeSet<PathBuf>,
}

/// Builds the tests and the first process.
pub(super) fn build() -> Result<Payload> {
    let mut arguments = vec!["test", "--no-run"];
    let targets = existing_targets()?;
    ensure!(!targets.is_empty(), "{PACKAGE} has none of the targets {TARGETS:?}");
    for target in &targets {
        arguments.extend(["--test", target]);
    }
    let tests = executables(&arguments, &targets)?;
    let init = executables(&["build", "--bin", INIT], &[INIT.to_owned()])?;
    let init = init.into_iter().next().map(|(_, path)| path);
    let init = init.with_context(|| format!("cargo built no {INIT}"))?;
    let mut libraries = BTreeSet::new();
    for binary in tests.iter().map(|(_, path)| path).chain([&init]) {
        libraries.extend(crate::libraries::of(binary)?);
    }
    Ok(Payload { init, tests, libraries })
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

fn existing_targets() -> Result<Vec<String>> {
    let mut command = cargo();
    let listed = tools::run(command.args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_str(&listed).context("cargo metadata is no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let package = packages.iter().find(|package| package["name"] == PACKAGE);
    let package = package.with_context(|| format!("there is no package {PACKAGE}"))?;
    let targets = package["targets"].as_array().context("a package without targets")?;
    let is_there = |name: &&str| {
        targets.iter().any(|target| target["name"] == **name && target["kind"][0] == "test")
    };
    Ok(TARGETS.iter().filter(|name| is_there(name)).map(|name| (*name).to_owned()).collect())
}

/// Runs cargo and gives the executables it made for the wanted targets, in their order.
fn executables(arguments: &[&str], wanted: &[String]) -> Result<Vec<(String, PathBuf)>> {
    let mut command = cargo();
    command.args(arguments).args(["--message-format=json-render-diagnostics", "-p", PACKAGE]);
    // Compiler messages go to the terminal as they come.
    let output = command.stderr(Stdio::inherit()).output().context("could not run cargo")?;
    ensure!(output.status.success(), "cargo {} failed", arguments.join(" "));
    let text = String::from_utf8(output.stdout).context("cargo printed no text")?;
    let made: Vec<(String, PathBuf)> = text.lines().filter_map(executable).collect();
    let pick = |name: &String| {
        let found = made.iter().find(|(made, _)| made == name).cloned();
        found.with_context(|| format!("cargo built no {name}"))
    };
    wanted.iter().map(pick).collect()
}

/// The target and its file, if a line of cargo's is about an executable.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let file = message["executable"].as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_read() {
        let line =
            r#"{"reason":"compiler-artifact","target":{"name":"netns"},"executable":"/t/n"}"#;
        assert_eq!(executable(line), Some(("netns".to_owned(), "/t/n".into())));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"l"},"executable":null}"#;
        assert_eq!(executable(library), None);
    }
}
