//! What is in the image's root, apart from how it is packed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The user of distroless images' `nonroot`, whom FKAS runs as.
pub(super) const NONROOT: u32 = 65_532;

/// The users that are known by name: a shell-less system has no use for more.
const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\n\
                      nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";

/// Their groups.
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";

/// Names of hosts are in /etc/hosts, which engines write, then in DNS.
const NAMES: &str = "hosts: files dns\n";

/// Something in the root, under its path without a leading `/`.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A folder.
    Folder { mode: u32, owner: u32 },
    /// A file of root's.
    File { mode: u32, bytes: Vec<u8> },
    /// A symbolic link.
    Link(&'static str),
}

/// A layer's entries, in the order they are packed in.
pub(super) type Contents = BTreeMap<PathBuf, Entry>;

/// All but the program: it changes with the machine that builds, and seldom.
pub(super) fn system(libraries: &BTreeSet<PathBuf>) -> Result<Contents> {
    let mut contents = Contents::new();
    for (path, text) in [("etc/passwd", PASSWD), ("etc/group", GROUP), ("etc/nsswitch.conf", NAMES)]
    {
        put(&mut contents, path, Entry::File { mode: 0o644, bytes: text.into() });
    }
    put(&mut contents, "tmp", Entry::Folder { mode: 0o1777, owner: 0 });
    put(&mut contents, "home/nonroot", Entry::Folder { mode: 0o700, owner: NONROOT });
    for library in libraries {
        let bytes = fs::read(library)
            .with_context(|| format!("{} could not be read", library.display()))?;
        let path = library.strip_prefix("/").context("a library has an absolute path")?;
        put(&mut contents, path, Entry::File { mode: 0o755, bytes });
    }
    Ok(contents)
}

/// The program under its three names.
pub(super) fn program(bytes: Vec<u8>) -> Contents {
    let mut contents = Contents::new();
    put(&mut contents, "fakeapi", Entry::File { mode: 0o755, bytes });
    put(&mut contents, "fkas", Entry::Link("fakeapi"));
    put(&mut contents, "reconciler", Entry::Link("fakeapi"));
    contents
}

/// Adds an entry, and the folders above it.
fn put(contents: &mut Contents, path: impl Into<PathBuf>, entry: Entry) {
    let path = path.into();
    for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
        let plain = Entry::Folder { mode: 0o755, owner: 0 };
        contents.entry(folder.to_owned()).or_insert(plain);
    }
    contents.insert(path, entry);
}
