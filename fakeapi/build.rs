//! Puts the kernel object where `datapath::object` includes it, and refuses a stale one.
//!
//! The object is committed, so that a stable toolchain is enough. What keeps it honest is the
//! digest of its sources in the manifest beside it: when they differ, the build fails with the
//! command that mends it (a warning would be overlooked).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "../fakeapi-ebpf/digest.rs"]
mod digest;

/// The command that rebuilds object and manifest.
const REBUILD: &str = "cargo xtask ebpf";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=FAKEAPI_EBPF");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../fakeapi-ebpf");
    for watched in ["src", "common/src", "common/Cargo.toml", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    println!("cargo::rerun-if-changed={}", root.join("prebuilt").display());
    let target = PathBuf::from(env::var("OUT_DIR")?).join("fakeapi.bpf.o");
    match env::var("FAKEAPI_EBPF").as_deref() {
        Err(env::VarError::NotPresent) | Ok("prebuilt") => prebuilt(&root, &target),
        Ok(other) => Err(format!("FAKEAPI_EBPF={other} is not known; known: prebuilt").into()),
        Err(error) => Err(format!("FAKEAPI_EBPF: {error}").into()),
    }
}

fn prebuilt(root: &Path, target: &Path) -> Result<(), Box<dyn Error>> {
    let folder = root.join("prebuilt");
    let manifest = fs::read_to_string(folder.join("MANIFEST"))
        .map_err(|e| format!("{}: {e}; run `{REBUILD}`", folder.join("MANIFEST").display()))?;
    let object = fs::read(folder.join("fakeapi.bpfel.o"))
        .map_err(|e| format!("the kernel object cannot be read: {e}; run `{REBUILD}`"))?;
    demand(&manifest, "sources", &digest::of_sources(root)?)?;
    demand(&manifest, "object", &digest::of_bytes(&object))?;
    fs::write(target, object)?;
    Ok(())
}

fn demand(manifest: &str, key: &str, actual: &str) -> Result<(), Box<dyn Error>> {
    let recorded = digest::manifest_value(manifest, key).unwrap_or("nothing");
    if recorded == actual {
        return Ok(());
    }
    Err(format!(
        "fakeapi-ebpf/prebuilt/MANIFEST records {key} {recorded}, but they are {actual} now; \
         run `{REBUILD}` and commit what it writes"
    )
    .into())
}
