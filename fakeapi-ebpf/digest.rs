//! The digest that ties the committed object to its sources.
//!
//! Shared, as a file, by `fakeapi/build.rs` (which refuses a stale object) and `cargo xtask ebpf`
//! (which writes a fresh one). Line endings are normalised, so that a checkout that converts them
//! has the same digest.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Files, and folders with all their Rust files, that decide what the object is.
const SOURCES: [&str; 5] = ["Cargo.lock", "Cargo.toml", "common/Cargo.toml", "common/src", "src"];

/// The digest of every kernel-side source under `root`, in hexadecimal.
///
/// # Errors
/// When a source cannot be read.
pub(crate) fn of_sources(root: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    for path in files(root)? {
        let text = fs::read_to_string(root.join(&path))?.replace("\r\n", "\n");
        let name = path.to_string_lossy().replace('\\', "/");
        hash.update(format!("{name}\n{}\n", text.len()));
        hash.update(text);
    }
    Ok(hex(&hash.finalize()))
}

/// The digest of some bytes, in hexadecimal.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The value of `key` in a manifest of `key = value` lines.
pub(crate) fn manifest_value<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    manifest
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .find_map(|(name, value)| (name == key).then_some(value.trim_end()))
}

/// Every source, relative to `root`, in one order everywhere.
fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = SOURCES.iter().map(PathBuf::from).collect();
    while let Some(path) = open.pop() {
        let full = root.join(&path);
        if full.is_dir() {
            for entry in fs::read_dir(full)? {
                open.push(path.join(entry?.file_name()));
            }
        } else if path.extension().is_some_and(|e| e == "rs" || e == "toml" || e == "lock") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
