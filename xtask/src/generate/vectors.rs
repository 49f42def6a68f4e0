//! Runs the Go program beside this file, which tells what Kubernetes' own types make of imperfect
//! objects, and stores its answer where the tests of the `apiserver` crate read it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use super::{
    modules::{Modules, read},
    output,
};

/// Folders of golden objects, in their modules.
const GOLDEN: [(&str, &str); 2] =
    [("k8s.io/api", "testdata/HEAD"), ("k8s.io/apiextensions-apiserver", "pkg/apis/testdata/HEAD")];

/// Writes the vectors of the release the program's `go.mod` names.
pub(super) fn write(modules: &Modules) -> anyhow::Result<()> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = crate_folder.join("src/generate/vectors");
    let pins = read(&program.join("go.mod"))?;
    for (module, _) in GOLDEN {
        let pin = format!("{module} {}", modules.staging_version());
        ensure!(pins.contains(&pin), "the program's go.mod should ask for {pin}: run go get there");
    }
    let folders: Vec<PathBuf> = GOLDEN
        .iter()
        .map(|(module, folder)| modules.staged(module, folder))
        .collect::<anyhow::Result<_>>()?;
    let result = Command::new("go")
        .args(["run", "."])
        .args(&folders)
        .current_dir(&program)
        .output()
        .context("could not start the Go tool")?;
    let told = String::from_utf8_lossy(&result.stderr);
    ensure!(result.status.success(), "the Go program ended with {}: {told}", result.status);
    let target = crate_folder.join("../fakeapi/apiserver/src/protobuf/testdata/vectors.jsonl.gz");
    std::fs::write(&target, output::compress(&result.stdout)?)
        .with_context(|| format!("could not write {}", target.display()))?;
    println!("{} vectors", String::from_utf8_lossy(&result.stdout).lines().count());
    Ok(())
}
