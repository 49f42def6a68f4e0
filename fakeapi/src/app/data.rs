//! Where what must survive is kept, and whether anything is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tracing::warn;

use super::options::RunOptions;
use crate::behaviour::Book;
use crate::journal::{Journal, Replay};

/// What is kept, and what it held.
#[derive(Default)]
pub(super) struct Kept {
    /// The journal, where one is kept.
    pub(super) journal: Option<Arc<Journal>>,
    /// What it held.
    pub(super) replay: Option<Replay>,
    /// The rules of behaviour, which are kept beside it.
    pub(super) behaviours: Book,
}

/// Opens what the options ask for.
///
/// # Errors
/// When there is no directory for it, or what is in it cannot be used.
pub(super) fn open(options: &RunOptions) -> Result<Kept> {
    let Some(directory) = directory(options)? else { return Ok(Kept::default()) };
    let (journal, replay) = Journal::open(&directory, options.sync.0)
        .with_context(|| format!("the data in {} cannot be used", directory.display()))?;
    let behaviours = Book::open(&directory)?;
    Ok(Kept { journal: Some(Arc::new(journal)), replay: Some(replay), behaviours })
}

/// The directory of the journal; none where nothing is kept.
fn directory(options: &RunOptions) -> Result<Option<PathBuf>> {
    if options.ephemeral {
        return Ok(None);
    }
    if let Some(named) = &options.data_dir {
        return Ok(Some(named.clone()));
    }
    let usual = usual().context("HOME is not set: name a --data-dir or say --ephemeral");
    if !options.data_optional {
        return usual.map(Some);
    }
    let why = match usual {
        Ok(usual) => match try_writing(&usual) {
            Ok(()) => return Ok(Some(usual)),
            Err(error) => format!("{} cannot be written: {error}", usual.display()),
        },
        Err(_) => "HOME is not set".to_owned(),
    };
    warn!("clusters end with this process: {why}. Name a volume with FAKEAPI_DATA_DIR");
    Ok(None)
}

/// Where data is kept when nobody says.
fn usual() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Some(state.or_else(home)?.join("fakeapi"))
}

/// Finds out whether this process may write in a directory, which is made where it lacks.
fn try_writing(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let probe = directory.join(format!(".probe-{}", std::process::id()));
    std::fs::write(&probe, "")?;
    std::fs::remove_file(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_is_tried_where_it_matters() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/b");
        try_writing(&directory).unwrap();
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "the probe is gone");
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(try_writing(&file.join("below")).is_err());
        // Of the kernel's own directories nobody can write, root neither.
        assert!(try_writing(Path::new("/proc/self/fakeapi")).is_err());
    }
}
