//! The guest's disk: a cpio archive in the `newc` form, the one the kernel unpacks at boot
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::modules::Module;
use super::payload::Payload;

/// File types in a mode.
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// The console's device number: the kernel opens it for the first process before anything is
/// mounted.
const CONSOLE: (u32, u32) = (5, 1);

/// Names and file contents start at multiples of this.
const ALIGNMENT: usize = 4;

/// Writes the archive for one kernel.
pub(super) fn write(file: &Path, payload: &Payload, modules: &[Module]) -> Result<()> {
    let mut archive = Archive::new(io::BufWriter::new(fs::File::create(file)?));
    archive.device("dev/console", CONSOLE)?;
    archive.host_file("init", &payload.init)?;
    for (name, binary) in &payload.tests {
        archive.host_file(&format!("tests/{name}"), binary)?;
    }
    for library in &payload.libraries {
        archive.host_file(&library.to_string_lossy(), library)?;
    }
    archive.folder("modules")?;
    for (position, module) in modules.iter().enumerate() {
        let name = format!("modules/{position:03}-{}.ko", module.name);
        archive.program(&name, &module.bytes)?;
    }
    Ok(archive.finish()?)
}

/// An archive being written.
struct Archive<W> {
    out: W,
    inode: u32,
    folders: BTreeSet<PathBuf>,
}

impl<W: Write> Archive<W> {
    fn new(out: W) -> Self {
        Self { out, inode: 0, folders: BTreeSet::new() }
    }

    /// Copies a file of the host, with the folders above it.
    fn host_file(&mut self, name: &str, from: &Path) -> Result<()> {
        let bytes = fs::read(from).with_context(|| format!("could not read {}", from.display()))?;
        Ok(self.program(name.trim_start_matches('/'), &bytes)?)
    }

    fn program(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.parents(name)?;
        self.entry(name, PROGRAM, (0, 0), bytes)
    }

    fn device(&mut self, name: &str, number: (u32, u32)) -> io::Result<()> {
        self.parents(name)?;
        self.entry(name, CHARACTER_DEVICE, number, &[])
    }

    /// Writes the folders above a name, each once: the kernel makes none by itself.
    fn parents(&mut self, name: &str) -> io::Result<()> {
        match Path::new(name).parent() {
            Some(parent) if parent != Path::new("") => self.folder(&parent.to_string_lossy()),
            _ => Ok(()),
        }
    }

    fn folder(&mut self, name: &str) -> io::Result<()> {
        if self.folders.contains(Path::new(name)) {
            return Ok(());
        }
        self.parents(name)?;
        self.folders.insert(name.into());
        self.entry(name, FOLDER, (0, 0), &[])
    }

    fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        self.out.flush()
    }

    /// One header (13 numbers of 8 hexadecimal digits after the magic), name and content.
    fn entry(
        &mut self,
        name: &str,
        mode: u32,
        (major, minor): (u32, u32),
        bytes: &[u8],
    ) -> io::Result<()> {
        let too_long = |_| io::Error::new(io::ErrorKind::FileTooLarge, name.to_owned());
        let size = u32::try_from(bytes.len()).map_err(too_long)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_long)?;
        self.inode += 1;
        let (owner, group, links, modified) = (0, 0, 1, 0);
        let (device_major, device_minor, checksum) = (0, 0, 0);
        let mut head = b"070701".to_vec();
        let numbers = [self.inode, mode, owner, group, links, modified, size, device_major]
            .into_iter()
            .chain([device_minor, major, minor, name_size, checksum]);
        for number in numbers {
            write!(head, "{number:08x}")?;
        }
        head.extend_from_slice(name.as_bytes());
        head.push(0);
        self.padded(&head)?;
        self.padded(bytes)
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        let gap = bytes.len().next_multiple_of(ALIGNMENT) - bytes.len();
        self.out.write_all(&[0; ALIGNMENT][..gap])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_newc_form() {
        let mut out = Vec::new();
        Archive::new(&mut out).entry("ab", PROGRAM, (0, 0), b"hello").unwrap();
        let head = "070701000000010000_81ed00000000000000000000000100000000_00000005_0000000000000\
                    000_0000000000000000_00000003_00000000"
            .replace('_', "");
        assert_eq!(out[..110], *head.as_bytes());
        // 110 + "ab\0" = 113, padded to 116; "hello" padded to 8.
        assert_eq!(out[110..], *b"ab\0\0\0\0hello\0\0\0");
        assert_eq!(out.len() % ALIGNMENT, 0);
    }

    #[test]
    fn folders_come_before_their_files_and_once() {
        let mut out = Vec::new();
        let mut archive = Archive::new(&mut out);
        archive.program("a/b/one", b"").unwrap();
        archive.program("a/b/two", b"").unwrap();
        archive.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        let entries = text.split("070701").skip(1);
        let names: Vec<_> = entries.map(|entry| entry[104..].trim_end_matches('\0')).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two", "TRAILER!!!"]);
    }
}
