//! Why a journal cannot be opened or read.

use std::io;
use std::path::PathBuf;

/// Why a journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file was good when the journal was opened and is not now: something else writes here.
    #[error("{file} changed at byte {offset} after the journal was opened")]
    Changed {
        /// The file.
        file: PathBuf,
        /// Where the record is that cannot be read any more.
        offset: u64,
    },
    /// A file or the directory could not be used.
    #[error("could not {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process has the journal.
    #[error("the journal in {0} is in use by another fakeapi")]
    Locked(PathBuf),
    /// A file was written by another version of fakeapi. Nothing was touched.
    #[error("{file} has format version {found}; this fakeapi reads version {known}")]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The version that this program knows.
        known: u32,
    },
}

impl JournalError {
    /// The wrapper for a failed call on `path`.
    pub(super) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

/// A shard takes no more writes, because what its file holds is not known any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("journal shard {shard:02} takes no more writes: {why}; restart fakeapi to recover it")]
pub struct ShardFailed {
    /// The shard.
    pub shard: u32,
    /// What happened to it.
    pub why: String,
}
