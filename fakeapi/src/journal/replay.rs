//! Reading back what survived.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use super::error::JournalError;
use super::frame::{FileId, FileKind, HEADER};
use super::record::{Payload, Record};
use super::scan::Reader;
use super::shard::Ids;
use super::{ClusterId, JOURNAL_SHARDS};

/// What a journal held when it was opened.
///
/// Read it before the owner is attached: a compaction removes the files that are read here.
/// Shards are independent, so threads can share them out.
#[derive(Debug)]
pub struct Replay {
    pub(super) directory: PathBuf,
    pub(super) shards: Vec<ShardReplay>,
    pub(super) report: Report,
}

#[derive(Debug)]
pub(super) struct ShardReplay {
    pub(super) files: Vec<(FileId, u64)>,
    pub(super) live: Ids,
}

/// Where a replayed record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From a log: a change, in the order it was made.
    Log,
    /// From a snapshot: the state at the revision of the cluster's record.
    Snapshot,
}

/// What was found when a journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Clusters that are registered.
    pub clusters: usize,
    /// Good records in all files.
    pub records: u64,
    /// Bytes of the files that are replayed.
    pub bytes: u64,
    /// Records of clusters that are not registered: those of a cluster that went while its
    /// shard was compacted, or whose registration is among what is damaged.
    pub orphans: u64,
    /// What was damaged, one entry a file.
    pub damage: Vec<Damage>,
}

/// A file that was not as it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What was wrong, and so what was done.
    pub kind: DamageKind,
    /// Where the first bad byte was.
    pub offset: u64,
    /// How many bytes are not part of a good record.
    pub lost_bytes: u64,
    /// Where the damaged file is kept.
    pub kept: Option<PathBuf>,
}

/// What was wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// Bytes before its end are bad: records that were acknowledged may be lost. The good ones
    /// are served, the file is kept aside.
    Damaged,
    /// It is not there: what it held is lost.
    Missing,
    /// Its end was being written when the process or the machine died: it is cut off. After the
    /// death of a process, nothing acknowledged is lost by it.
    TornEnd,
    /// A snapshot was bad and the files that it stood for were still there: nothing is lost.
    Unneeded,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, kind, offset, lost_bytes, kept } = self;
        let file = file.display();
        match kind {
            DamageKind::Damaged => write!(
                f,
                "journal file {file} is damaged from byte {offset} on: {lost_bytes} bytes cannot \
                 be read, changes that were acknowledged may be lost; all good records are served"
            ),
            DamageKind::Missing => {
                write!(f, "journal file {file} is missing: what it held is lost")
            }
            DamageKind::TornEnd => write!(
                f,
                "journal file {file} was cut at byte {offset}: its last {lost_bytes} bytes were \
                 not a whole record"
            ),
            DamageKind::Unneeded => write!(
                f,
                "journal snapshot {file} is damaged from byte {offset} on; the files before it \
                 are read instead, nothing is lost"
            ),
        }?;
        match kept {
            Some(kept) => write!(f, "; the damaged file is kept as {}", kept.display()),
            None => Ok(()),
        }
    }
}

impl Replay {
    /// What was found.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Visits every record of every shard; see [`Replay::shard`].
    ///
    /// # Errors
    /// As for [`Replay::shard`].
    pub fn run<E: From<JournalError>>(
        &self,
        mut visit: impl FnMut(ClusterId, Record<'_>, Source) -> Result<(), E>,
    ) -> Result<(), E> {
        (0..JOURNAL_SHARDS).try_for_each(|shard| self.shard(shard, &mut visit))
    }

    /// Visits the records of one shard: first those of its snapshot, then those of its logs, in
    /// the order they were written.
    ///
    /// Only clusters that are registered still are visited, each with its [`Record::Cluster`]
    /// before anything else; a second one replaces the registration and nothing more. Records of
    /// the log that the snapshot of their cluster has already are left out, by their revision.
    ///
    /// # Errors
    /// What `visit` returns ends the replay; so does a file that cannot be read any more.
    ///
    /// # Panics
    /// When there is no such shard ([`JOURNAL_SHARDS`]).
    pub fn shard<E: From<JournalError>>(
        &self,
        shard: u32,
        mut visit: impl FnMut(ClusterId, Record<'_>, Source) -> Result<(), E>,
    ) -> Result<(), E> {
        let ShardReplay { files, live } = &self.shards[shard as usize];
        let mut known = Known::default();
        for (id, len) in files {
            let path = self.directory.join(id.to_string());
            let mut reader = Reader::open(&path, *id).map_err(JournalError::io("open", &path))?;
            reader.limit(*len);
            let source = match id.kind {
                FileKind::Log => Source::Log,
                FileKind::Snapshot => Source::Snapshot,
            };
            let mut at = HEADER as u64;
            while at < *len {
                let frame = reader.frame(at).map_err(JournalError::io("read", &path))?;
                let Some((payload, next)) = frame else {
                    let (file, offset) = (path, at);
                    return Err(JournalError::Changed { file, offset }.into());
                };
                if let Payload::Record(cluster, record) = payload
                    && live.contains(&cluster)
                    && known.wants(cluster, &record, source)
                {
                    visit(cluster, record, source)?;
                }
                at = next;
            }
        }
        Ok(())
    }
}

/// The clusters seen so far, and the revision that a snapshot had them at.
#[derive(Default)]
struct Known(HashMap<ClusterId, Option<u64>, foldhash::fast::RandomState>);

impl Known {
    fn wants(&mut self, cluster: ClusterId, record: &Record<'_>, source: Source) -> bool {
        if let Record::Cluster { revision, .. } = record {
            let at = (source == Source::Snapshot).then_some(*revision);
            self.0.entry(cluster).or_insert(at);
            return true;
        }
        match (self.0.get(&cluster), source) {
            (None, _) => false,
            (Some(_), Source::Snapshot) | (Some(None), Source::Log) => true,
            (Some(Some(at)), Source::Log) => record.change_revision().is_some_and(|r| r > *at),
        }
    }
}
