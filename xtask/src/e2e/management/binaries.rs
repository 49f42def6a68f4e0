//! Go programs, built once for a `go.mod`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::workspace::{has, target};

/// A Go module of ours that pins what is built.
#[derive(Debug)]
pub(in crate::e2e) struct GoModule {
    folder: PathBuf,
}

/// One program and the package it is built from.
#[derive(Clone, Copy, Debug)]
pub(in crate::e2e) struct Program {
    /// Its file's name.
    pub(in crate::e2e) name: &'static str,
    /// Its main package.
    pub(in crate::e2e) package: &'static str,
    /// Variables that a release's build sets, with their values.
    pub(in crate::e2e) variables: &'static [(&'static str, &'static str)],
}

/// What builds of Kubernetes' release say of themselves; clients look at it.
pub(in crate::e2e) const KUBERNETES: &[(&str, &str)] = &[
    ("k8s.io/component-base/version.gitVersion", "v1.36.3"),
    ("k8s.io/component-base/version.gitMajor", "1"),
    ("k8s.io/component-base/version.gitMinor", "36"),
    ("k8s.io/client-go/pkg/version.gitVersion", "v1.36.3"),
];

impl Program {
    /// What the linker is told: no symbols, and the variables.
    fn link_flags(self) -> String {
        let set = self.variables.iter().map(|(name, value)| format!(" -X {name}={value}"));
        std::iter::once("-s -w".to_owned()).chain(set).collect()
    }
}

impl GoModule {
    /// The module in `folder`.
    pub(in crate::e2e) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where programs are.
    pub(in crate::e2e) fn binaries() -> PathBuf {
        target().join("e2e/bin")
    }

    /// Builds what is not built yet, or was from another `go.mod`; why it cannot, where that is
    /// this machine's fault and not the sources'.
    ///
    /// # Errors
    /// When sources that are there do not compile.
    pub(in crate::e2e) fn build(&self, programs: &[Program]) -> Result<Result<(), String>> {
        let binaries = Self::binaries();
        fs::create_dir_all(&binaries)?;
        let pinned = self.pinned()?;
        let stale: Vec<_> = programs
            .iter()
            .map(|program| (program, Stamp::of(&binaries, *program, &pinned)))
            .filter(|(_, stamp)| !stamp.holds())
            .collect();
        if stale.is_empty() {
            return Ok(Ok(()));
        }
        if !has("go") {
            return Ok(Err("go is not on the path".to_owned()));
        }
        let packages: Vec<&str> = stale.iter().map(|(program, _)| program.package).collect();
        if let Err(error) = self.go(["list", "-deps", "-f", ""].into_iter().chain(packages)) {
            return Ok(Err(format!("Go's modules cannot be had: {error:#}")));
        }
        for (program, stamp) in stale {
            let began = Instant::now();
            println!(
                "building {} from {}; the first time takes minutes",
                program.name, program.package
            );
            self.build_one(*program, &binaries)?;
            stamp.write()?;
            println!("     {} in {:.0} s", program.name, began.elapsed().as_secs_f64());
        }
        Ok(Ok(()))
    }

    /// The folder of a module that this one needs, in Go's cache.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(in crate::e2e) fn sources(&self, module: &str) -> Result<PathBuf> {
        self.go(["mod", "download", module])?;
        let folder = self.go(["list", "-m", "-f", "{{.Dir}}", module])?;
        let folder = PathBuf::from(folder.trim());
        ensure!(folder.is_dir(), "the sources of {module} are not in Go's cache");
        Ok(folder)
    }

    fn build_one(&self, program: Program, binaries: &Path) -> Result<()> {
        let status = Command::new("go")
            .args(["build", "-mod=readonly", "-trimpath", "-ldflags", &program.link_flags()])
            .arg("-o")
            .arg(binaries.join(program.name))
            .arg(program.package)
            .env("CGO_ENABLED", "0")
            .current_dir(&self.folder)
            .status()
            .context("go could not be run")?;
        ensure!(status.success(), "{} was not built: go ended with {status}", program.name);
        Ok(())
    }

    fn go<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        let output = Command::new("go")
            .args(args)
            .env("CGO_ENABLED", "0")
            .current_dir(&self.folder)
            .output()
            .context("go could not be run")?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            bail!("{}", told.lines().last().unwrap_or("go gives no reason"));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A digest of what decides which sources are built.
    fn pinned(&self) -> Result<String> {
        let mut digest = Sha256::new();
        for name in ["go.mod", "go.sum"] {
            let path = self.folder.join(name);
            digest.update(fs::read(&path).with_context(|| format!("no {}", path.display()))?);
        }
        Ok(STANDARD.encode(digest.finalize()))
    }
}

/// A file beside a program that says what it was built from.
#[derive(Debug)]
struct Stamp {
    program: PathBuf,
    path: PathBuf,
    text: String,
}

impl Stamp {
    fn of(binaries: &Path, program: Program, pinned: &str) -> Self {
        Self {
            program: binaries.join(program.name),
            path: binaries.join(format!("{}.stamp", program.name)),
            text: format!("{} {} {pinned}\n", program.package, program.link_flags()),
        }
    }

    fn holds(&self) -> bool {
        self.program.is_file() && fs::read_to_string(&self.path).is_ok_and(|text| text == self.text)
    }

    fn write(&self) -> Result<()> {
        Ok(fs::write(&self.path, &self.text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_stale_when_what_it_is_built_from_changes() {
        let folder = tempfile::tempdir().unwrap();
        let program = Program { name: "etcd", package: "example/etcd", variables: &[] };
        let stamp = Stamp::of(folder.path(), program, "one");
        stamp.write().unwrap();
        assert!(!stamp.holds(), "without the program itself");
        fs::write(folder.path().join("etcd"), "").unwrap();
        assert!(stamp.holds());
        assert!(!Stamp::of(folder.path(), program, "two").holds());
        let other = Program { package: "example/other", ..program };
        assert!(!Stamp::of(folder.path(), other, "one").holds());
        let other = Program { variables: &[("a.b", "c")], ..program };
        assert!(!Stamp::of(folder.path(), other, "one").holds());
    }
}
