//! What is in `deploy/`: it parses, it renders, a cluster takes it without a warning, and what it
//! and `docs/operations.md` say of the program is so.
//!
//! `cargo test -p fakeapi-tests --test deploy`
//!
//! Rendering needs kubectl, whose kustomize is the one users have; without it those tests say
//! `SKIP name: why`. The cluster is one of fakeapi's own, which validates as a real one does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capabilities;
mod containerfile;
mod fkas;
mod image;
mod manifests;
mod operations;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use fakeapi_tests::skip;
use serde_json::Value;

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every directory that `kubectl apply -k` takes, the base first.
fn kustomizations() -> Result<Vec<PathBuf>> {
    let mut found = vec![root().join("deploy/base")];
    for entry in fs::read_dir(root().join("deploy/overlays"))? {
        found.push(entry?.path());
    }
    found[1..].sort();
    Ok(found)
}

/// Runs kubectl, with a kubeconfig that says nothing unless the arguments name another.
fn kubectl(args: &[&str]) -> Result<Output> {
    Command::new("kubectl").args(args).env("KUBECONFIG", "/dev/null").output().context("kubectl")
}

/// Whether there is a kubectl; says that the test is skipped where there is none.
fn have_kubectl(test: &str) -> bool {
    let why = match kubectl(&["version", "--client"]) {
        Ok(output) if output.status.success() => return true,
        Ok(output) => format!("kubectl version: {}", output.status),
        Err(error) => format!("{error:#}"),
    };
    skip::tell(test, &why);
    false
}

/// The documents of a YAML text.
fn documents(text: &str) -> Result<Vec<Value>> {
    text.split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).with_context(|| document.to_owned()))
        .collect()
}

/// The objects of a directory, as kustomize renders them.
fn rendered(directory: &Path) -> Result<Vec<Value>> {
    let output = kubectl(&["kustomize", &directory.to_string_lossy()])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "{}: {said}", directory.display());
    documents(&String::from_utf8(output.stdout)?)
}
