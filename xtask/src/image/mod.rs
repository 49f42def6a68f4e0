//! `cargo xtask image`: the container image as an archive that `podman load`, `docker load` and
//! `minikube image load` take. No engine, no base image and no registry is needed: the root holds
//! the program, the libraries it loads, and who it runs as. The same inputs give the same bytes.
//!
//! `deploy/Containerfile` is the way with an engine. Both have the same entry points and user.

mod archive;
mod config;
mod contents;
mod layer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::libraries;
use crate::workspace::{Profile, build_program, target};
use archive::Archive;

/// The names of the image where none is given: what `deploy/` has, and what metal3's own manifests
/// have.
const NAMES: [&str; 2] =
    [concat!("localhost/fakeapi:", env!("CARGO_PKG_VERSION")), "quay.io/metal3-io/metal3-fkas:ci"];

/// How the image is made.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build without optimizations
    #[arg(long)]
    debug: bool,
    /// Pack this binary instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "debug")]
    program: Option<PathBuf>,
    /// A name for the image; may be repeated
    #[arg(long = "tag", default_values = NAMES, value_name = "NAME:TAG")]
    names: Vec<String>,
    /// Where the archive goes; target/image/metal3-fkas.tar when absent
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the archive.
///
/// # Errors
/// When the program cannot be built, or the archive not be written.
pub(crate) fn run(args: &Args) -> Result<()> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => build_program(Profile::of(args.debug))?,
    };
    let output = args.output.clone().unwrap_or_else(|| target().join("image/metal3-fkas.tar"));
    let folder = output.parent().context("the archive needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let digest = write(&program, &args.names, &output)
        .with_context(|| format!("{} could not be written", output.display()))?;
    let bytes = fs::metadata(&output)?.len();
    println!("{}: {} MB, image {digest}", output.display(), bytes / 1_000_000);
    args.names.iter().for_each(|name| println!("  {name}"));
    Ok(())
}

/// Writes the archive of an image with this program, and answers its id: the configuration's
/// digest.
fn write(program: &Path, names: &[String], output: &Path) -> Result<String> {
    names.iter().try_for_each(|name| archive::check_name(name))?;
    let libraries = libraries::of(program)?;
    // The program comes last: when only it has changed, an engine has the rest already.
    let layers = [
        layer::write(&contents::system(&libraries)?)?,
        layer::write(&contents::program(stripped(program)?))?,
    ];
    let config = config::config(&layers)?;
    let archive = Archive::new(&config, &layers, names)?;
    let beside = output.with_extension("new");
    archive.write(&beside)?;
    fs::rename(&beside, output)?;
    Ok(archive::digest(&config))
}

/// A binary without what only a debugger reads.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("program");
    let status = Command::new("strip")
        .args(["--strip-debug", "-o"])
        .arg(&copy)
        .arg(program)
        .status()
        .context("strip (of binutils) could not be run")?;
    ensure!(status.success(), "strip ended with {status}");
    Ok(fs::read(copy)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use serde_json::Value;

    use super::*;

    /// Any program of the machine that loads libraries.
    const PROGRAM: &str = "/bin/ls";

    fn image(names: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("image.tar");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        write(Path::new(PROGRAM), &names, &output).unwrap();
        (folder, output)
    }

    fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            assert_eq!(entry.header().mtime().unwrap(), 0, "{path}");
            assert!(files.insert(path.clone(), content).is_none(), "{path} is there twice");
        }
        files
    }

    fn json(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
        serde_json::from_slice(&files[name]).unwrap()
    }

    /// The blob of a descriptor, which must have its digest and size.
    fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
        let digest = descriptor["digest"].as_str().unwrap();
        let bytes = &files[&format!("blobs/{}", digest.replace(':', "/"))];
        assert_eq!(archive::digest(bytes), digest);
        assert_eq!(descriptor["size"].as_u64(), u64::try_from(bytes.len()).ok());
        bytes
    }

    #[test]
    fn every_descriptor_is_that_of_its_blob() {
        let (_folder, output) = image(&["localhost/a:1", "quay.io/b/c:ci"]);
        let files = files(&fs::read(output).unwrap());
        assert_eq!(json(&files, "oci-layout")["imageLayoutVersion"], "1.0.0");
        let index = json(&files, "index.json");
        assert_eq!(index["schemaVersion"], 2);
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "one a name");
        let manifest = blob(&files, &index["manifests"][0]);
        assert_eq!(manifest, blob(&files, &index["manifests"][1]));
        let manifest: Value = serde_json::from_slice(manifest).unwrap();
        let config: Value = serde_json::from_slice(blob(&files, &manifest["config"])).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        let diffs = config["rootfs"]["diff_ids"].as_array().unwrap();
        assert_eq!((layers.len(), diffs.len()), (2, 2));
        for (layer, diff) in layers.iter().zip(diffs) {
            let mut plain = Vec::new();
            let packed = blob(&files, layer);
            flate2::read::GzDecoder::new(packed).read_to_end(&mut plain).unwrap();
            assert_eq!(archive::digest(&plain), diff.as_str().unwrap());
        }
    }

    #[test]
    fn docker_finds_the_same_image() {
        let (_folder, output) = image(&["localhost/a:1", "quay.io/b/c:ci"]);
        let files = files(&fs::read(output).unwrap());
        let docker = json(&files, "manifest.json");
        assert_eq!(docker[0]["RepoTags"], serde_json::json!(["localhost/a:1", "quay.io/b/c:ci"]));
        let config = json(&files, docker[0]["Config"].as_str().unwrap());
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/fkas"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        let layers = docker[0]["Layers"].as_array().unwrap();
        assert!(layers.iter().all(|layer| files.contains_key(layer.as_str().unwrap())));
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes() {
        let read = |(_folder, output): (tempfile::TempDir, PathBuf)| fs::read(output).unwrap();
        assert_eq!(read(image(&["localhost/a:1"])), read(image(&["localhost/a:1"])));
    }

    #[test]
    fn a_name_without_a_tag_is_refused() {
        for name in ["a", "a/b", "localhost:5000/a", "a b:1", "A:1", "a:", ":1"] {
            assert!(archive::check_name(name).is_err(), "{name}");
        }
        for name in NAMES.iter().chain(&["localhost:5000/a:v1.2-x_y"]) {
            archive::check_name(name).unwrap();
        }
    }
}
