//! A layer: a compressed tar archive that depends on its contents alone, not on when or by whom
//! it was packed.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::archive::digest;
use super::contents::{Contents, Entry};

/// A packed layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// The compressed archive.
    pub(super) bytes: Vec<u8>,
    /// The digest of the archive before it was compressed.
    pub(super) diff_id: String,
}

/// Packs a layer.
pub(super) fn write(contents: &Contents) -> Result<Layer> {
    let mut builder = Builder::new(Vec::new());
    for (path, entry) in contents {
        append(&mut builder, path, entry)
            .with_context(|| format!("{} could not be packed", path.display()))?;
    }
    let plain = builder.into_inner()?;
    let diff_id = digest(&plain);
    // Without a time and a name in its header.
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::default());
    packed.write_all(&plain)?;
    Ok(Layer { bytes: packed.finish()?, diff_id })
}

fn append(builder: &mut Builder<Vec<u8>>, path: &Path, entry: &Entry) -> Result<()> {
    match entry {
        Entry::Folder { mode, owner } => {
            // Without the slash at the end some unpackers take it for a file.
            let path = path.join("");
            let mut header = header(EntryType::Directory, *mode, *owner);
            Ok(builder.append_data(&mut header, path, std::io::empty())?)
        }
        Entry::File { mode, bytes } => {
            let mut header = header(EntryType::Regular, *mode, 0);
            header.set_size(u64::try_from(bytes.len())?);
            Ok(builder.append_data(&mut header, path, bytes.as_slice())?)
        }
        Entry::Link(to) => {
            let mut header = header(EntryType::Symlink, 0o777, 0);
            Ok(builder.append_link(&mut header, path, to)?)
        }
    }
}

/// A header with everything that must not differ from one run to the next.
fn header(kind: EntryType, mode: u32, owner: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.into());
    header.set_gid(owner.into());
    header.set_mtime(0);
    header.set_size(0);
    header
}
