//! The files to be: collected in memory, then written or compared as a whole.

use std::{collections::BTreeMap, fs, io::Read as _, io::Write as _, path::Path};

use anyhow::{Context as _, ensure};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// Files this generator does not own although they stand in its folder.
const HAND_WRITTEN: [&str; 1] = ["mod.rs"];

/// Generated files by their path below the output folder.
#[derive(Default)]
pub(super) struct Output {
    files: BTreeMap<String, Vec<u8>>,
}

impl Output {
    /// Adds a file as it is.
    pub(super) fn text(&mut self, path: &str, content: &str) {
        self.files.insert(path.to_owned(), content.as_bytes().to_vec());
    }

    /// Adds a file compressed; `.gz` is appended to its path.
    pub(super) fn gzip(&mut self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        self.files.insert(format!("{path}.gz"), compress(content)?);
        Ok(())
    }

    /// Writes every file and removes what an earlier run left behind.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for stale in list(folder)?.iter().filter(|path| !self.files.contains_key(*path)) {
            fs::remove_file(folder.join(stale))?;
        }
        for (path, content) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            fs::write(&path, content)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
        let total: usize = self.files.values().map(Vec::len).sum();
        println!("{} files, {total} bytes", self.files.len());
        Ok(())
    }

    /// Fails, naming them, when committed files differ from the generated ones.
    ///
    /// Compressed files are compared by content: compressors may differ between machines.
    pub(super) fn compare(&self, folder: &Path) -> anyhow::Result<()> {
        let mut differences = Vec::new();
        for (path, content) in &self.files {
            match fs::read(folder.join(path)) {
                Err(error) => differences.push(format!("{path}: {error}")),
                Ok(committed) if unpack(path, &committed)? != unpack(path, content)? => {
                    differences.push(format!("{path}: differs"));
                }
                Ok(_) => {}
            }
        }
        for path in list(folder)?.iter().filter(|path| !self.files.contains_key(*path)) {
            differences.push(format!("{path}: is not generated any more"));
        }
        ensure!(
            differences.is_empty(),
            "generated files are out of date, run `cargo xtask gen`:\n{}",
            differences.join("\n")
        );
        println!("{} files are up to date", self.files.len());
        Ok(())
    }
}

/// Compresses a whole file.
pub(super) fn compress(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn unpack(path: &str, content: &[u8]) -> anyhow::Result<Vec<u8>> {
    if Path::new(path).extension().is_none_or(|extension| extension != "gz") {
        return Ok(content.to_vec());
    }
    let mut plain = Vec::new();
    GzDecoder::new(content).read_to_end(&mut plain).with_context(|| format!("{path} is broken"))?;
    Ok(plain)
}

/// Every generated file below `folder`, relative to it.
fn list(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        let entries = match fs::read_dir(&current) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let relative = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            if !HAND_WRITTEN.contains(&relative.as_str()) {
                found.push(relative);
            }
        }
    }
    Ok(found)
}
