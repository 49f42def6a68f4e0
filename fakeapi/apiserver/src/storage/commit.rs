//! One change of one object: what it expects, and where it is written down.

use std::io;

use super::{Key, Object};

/// What must hold for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No object has the key.
    Absent,
    /// The object has this resourceVersion.
    Revision(u64),
}

/// What an object becomes.
pub enum Entry<'a> {
    /// This object, encoded for the revision that the change gets.
    Put(&'a mut dyn FnMut(u64) -> Object),
    /// Nothing; the object's last state, for watchers, is encoded for the revision of the removal.
    Remove(&'a mut dyn FnMut(u64) -> Object),
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// An object has the key already.
    #[error("the object exists already")]
    Exists,
    /// No object has the key.
    #[error("the object does not exist")]
    Missing,
    /// The object has changed since it was read.
    #[error("the object has revision {current}, not {expected}")]
    Changed {
        /// The revision it has.
        current: u64,
        /// The revision that was expected.
        expected: u64,
    },
    /// The change could not be written down, so it was not made.
    #[error("the change could not be written to the log")]
    Log(#[source] io::Error),
}

/// Where changes are written down before anyone sees them.
pub trait CommitLog: Send + Sync + 'static {
    /// Writes one change down; `object` is `None` for a removal.
    ///
    /// # Errors
    /// Any error refuses the change.
    fn append(&self, revision: u64, key: &Key, object: Option<&Object>) -> io::Result<()>;
}

/// Keeps nothing: for tests, and for servers that need not survive.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl CommitLog for NoLog {
    fn append(&self, _: u64, _: &Key, _: Option<&Object>) -> io::Result<()> {
        Ok(())
    }
}
