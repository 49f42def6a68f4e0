//! The archive: an OCI image layout (`oci-layout`, `index.json`, `blobs/`) that has Docker's
//! `manifest.json` as well, which names the same blobs. So every engine finds a form it knows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::layer::Layer;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The files of an archive by their names.
#[derive(Debug)]
pub(super) struct Archive {
    files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// The archive of one image under these names.
    pub(super) fn new(config: &[u8], layers: &[Layer], names: &[String]) -> Result<Self> {
        let mut archive = Self { files: BTreeMap::new() };
        let config_descriptor = archive.blob(CONFIG, config.to_vec());
        let descriptors: Vec<Value> =
            layers.iter().map(|layer| archive.blob(LAYER, layer.bytes.clone())).collect();
        let docker = json!([{
            "Config": path(&digest(config)),
            "RepoTags": names,
            "Layers": layers.iter().map(|layer| path(&digest(&layer.bytes))).collect::<Vec<_>>(),
        }]);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config_descriptor,
            "layers": descriptors,
        });
        let manifest = archive.blob(MANIFEST, serde_json::to_vec(&manifest)?);
        let manifests: Vec<Value> = names.iter().map(|name| named(&manifest, name)).collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        archive.json("manifest.json", &docker)?;
        archive.json("index.json", &index)?;
        archive.json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        Ok(archive)
    }

    /// Adds a blob and gives what a manifest says of it.
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.files.insert(path(&digest), bytes);
        descriptor
    }

    fn json(&mut self, name: &str, value: &Value) -> Result<()> {
        self.files.insert(name.to_owned(), serde_json::to_vec(value)?);
        Ok(())
    }

    /// Writes the archive.
    pub(super) fn write(&self, to: &Path) -> Result<()> {
        let mut builder = Builder::new(BufWriter::new(File::create(to)?));
        for folder in ["blobs/", "blobs/sha256/"] {
            let mut header = header(EntryType::Directory, 0o755, 0);
            builder.append_data(&mut header, folder, std::io::empty())?;
        }
        for (name, bytes) in &self.files {
            let mut header = header(EntryType::Regular, 0o644, u64::try_from(bytes.len())?);
            builder.append_data(&mut header, name, bytes.as_slice())?;
        }
        builder.into_inner()?.into_inner().context("the archive could not be finished")?;
        Ok(())
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header
}

/// A manifest's descriptor with a name, as containerd reads it and the specification has it.
fn named(manifest: &Value, name: &str) -> Value {
    let tag = name.rsplit_once(':').map_or("", |(_, tag)| tag);
    let mut named = manifest.clone();
    named["annotations"] = json!({
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": tag,
    });
    named
}

/// The digest of bytes, as images write it.
pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    text
}

/// Where a blob is in the archive.
fn path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// Refuses a name that engines would refuse, or read as another one.
///
/// # Errors
/// When it is not `[HOST[:PORT]/]PATH:TAG` in the letters that names have.
pub(super) fn check_name(name: &str) -> Result<()> {
    let expected = || format!("{name:?} is no image name such as localhost/fakeapi:0.1.0");
    let (image, tag) = name.rsplit_once(':').with_context(expected)?;
    let in_tag = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let in_image = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
    let good = !image.is_empty() && image.chars().all(in_image);
    ensure!(good && !tag.is_empty() && tag.chars().all(in_tag), expected());
    Ok(())
}
