//! What must survive: an append-only log in shards, with snapshots.
//!
//! A registration or a change that was acknowledged is there after `kill -9`. So a record is
//! written with one `write(2)` before its change is seen by anyone, and the kernel has it from
//! then on. The death of the machine is another matter: [`Journal::sync`] and [`SyncPolicy`] say
//! when the disk has it. This is a log of its own rather than a database because that is all
//! there is to do: records are written in order, read once at the start, and never looked up.
//!
//! # On disk
//! A directory, with [`JOURNAL_SHARDS`] shards; a cluster's shard is its id modulo that. A shard
//! has `NN-<generation>.log` and, once compacted, `NN-<generation>.snap`, which stands for every
//! log of a lower generation. A file is a header, then frames:
//!
//! ```text
//! header   "fakeapiJ", version u32, kind u32, shard u32, shards u32, generation u64,
//!          highest cluster id u64, CRC-32 of all that u32                     (44 bytes)
//! frame    length u32, CRC-32 u32 of length and payload, payload
//! payload  kind u8, fields; numbers are varints, the last field has no length
//!          1 Cluster  id, revision, body          2 Gone    id
//!          3 Base     id, revision, body
//!          4 Put      id, revision, group, resource, namespace, name, rest, json
//!          5 Remove   id, revision, group, resource, namespace, name
//!          6 End      number of records           (closes a snapshot; without it, it is not whole)
//! ```
//!
//! Everything is little endian. `docs/journal.md` has the guarantees and the bounds.
//!
//! # Who does what
//! `record` and `frame` are the format, `shard` appends, `sync` and `compact` are the two
//! threads, `recover` mends what a crash left, `replay` reads it back.

mod compact;
mod disk;
mod error;
mod frame;
mod record;
mod recover;
mod replay;
mod scan;
mod shard;
mod sync;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use parking_lot::{Mutex, RwLock};

pub use compact::Live;
use disk::{Directory, Disk, OsDisk};
pub use error::{JournalError, ShardFailed};
pub use record::{ObjectBytes, ObjectKey, Record};
use replay::ShardReplay;
pub use replay::{Damage, DamageKind, Replay, Report, Source};
use shard::Shard;
use sync::Signal;
pub use sync::SyncPolicy;

/// In how many shards a journal is. Part of the format.
pub const JOURNAL_SHARDS: u32 = 16;

const _: () = assert!(256 % JOURNAL_SHARDS == 0, "the low byte of an id tells its shard");

/// The largest record, in bytes.
pub const RECORD_MAX: u32 = 16 << 20;

/// A shard's logs are not compacted before they have this many bytes (and twice those of the
/// last snapshot).
pub const COMPACT_MIN: u64 = 8 << 20;

/// A cluster, for as long as there are journals: ids are given out in order and not used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

impl ClusterId {
    /// The shard that has the cluster's records.
    pub fn shard(self) -> u32 {
        u32::from(self.0.to_le_bytes()[0]) % JOURNAL_SHARDS
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers of a journal since it was opened, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Registered clusters.
    pub clusters: usize,
    /// Records appended.
    pub records: u64,
    /// Bytes appended.
    pub bytes: u64,
    /// Bytes in logs that no snapshot covers.
    pub log_bytes: u64,
    /// Bytes in snapshots.
    pub snapshot_bytes: u64,
    /// Shards that were compacted.
    pub compactions: u64,
    /// Compactions that failed.
    pub compaction_failures: u64,
    /// Shards that take no more writes.
    pub failed_shards: usize,
}

/// An open journal. Dropping it syncs what is not synced and ends its threads.
pub struct Journal {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the threads share.
struct Inner {
    directory: Directory,
    policy: SyncPolicy,
    shards: Vec<Shard>,
    next: AtomicU64,
    syncs: Signal,
    compactions: Signal,
    /// Shards that are with the compaction thread, one bit each.
    queued: AtomicU16,
    compacted: AtomicU64,
    not_compacted: AtomicU64,
    live: RwLock<Option<Weak<dyn Live>>>,
}

/// What tests set otherwise.
struct Settings {
    policy: SyncPolicy,
    compact_min: u64,
    disk: Arc<dyn Disk>,
}

impl Journal {
    /// Opens the journal in `directory`, which is made when it is not there, and mends what a
    /// crash left. What it mends is logged and in [`Replay::report`].
    ///
    /// # Errors
    /// [`JournalError::Locked`] when another process has it, [`JournalError::Version`] when
    /// another version wrote it.
    pub fn open(directory: &Path, policy: SyncPolicy) -> Result<(Self, Replay), JournalError> {
        Self::open_with(
            directory,
            Settings { policy, compact_min: COMPACT_MIN, disk: Arc::new(OsDisk) },
        )
    }

    fn open_with(path: &Path, settings: Settings) -> Result<(Self, Replay), JournalError> {
        let directory = Directory::take(path, settings.disk)?;
        let (files, unfinished) = directory.list().map_err(JournalError::io("list", path))?;
        recover::check_versions(&directory, &files)?;
        for path in unfinished {
            std::fs::remove_file(&path).map_err(JournalError::io("remove", path))?;
        }
        let mut report = Report::default();
        let mut replays = Vec::new();
        let mut shards = Vec::new();
        let mut highest = ClusterId::default();
        for number in 0..JOURNAL_SHARDS {
            let shard = recover::recover(&directory, number, &files)?;
            report.clusters += shard.opened.live.len();
            report.records += shard.records;
            report.bytes += shard.files.iter().map(|(_, len)| len).sum::<u64>();
            report.orphans += shard.orphans;
            report.damage.extend(shard.damage);
            highest = highest.max(shard.opened.highest);
            replays.push(ShardReplay { files: shard.files, live: shard.opened.live.clone() });
            shards.push(Shard::new(shard.opened, settings.compact_min));
        }
        disk::sync_directory(path).map_err(JournalError::io("sync", path))?;
        let inner = Arc::new(Inner {
            directory,
            policy: settings.policy,
            shards,
            next: AtomicU64::new(highest.0 + 1),
            syncs: Signal::default(),
            compactions: Signal::default(),
            queued: AtomicU16::new(0),
            compacted: AtomicU64::new(0),
            not_compacted: AtomicU64::new(0),
            live: RwLock::new(None),
        });
        let replay = Replay { directory: path.to_path_buf(), shards: replays, report };
        Ok((Self::start(inner, path)?, replay))
    }

    fn start(inner: Arc<Inner>, path: &Path) -> Result<Self, JournalError> {
        let journal = Self { inner, threads: Mutex::default() };
        let spawn = |name: &str, work: fn(&Inner)| {
            let inner = journal.inner.clone();
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&inner))
                .map_err(JournalError::io("start a thread for", path))
        };
        // One after the other: dropping the journal ends those that did start.
        let thread = spawn("journal-sync", Inner::run_syncs)?;
        journal.threads.lock().push(thread);
        let thread = spawn("journal-compact", Inner::run_compactions)?;
        journal.threads.lock().push(thread);
        Ok(journal)
    }

    /// An id that no cluster of this journal has or had.
    ///
    /// Ids that were given out but never appended may be given out again after a restart.
    pub fn allocate(&self) -> ClusterId {
        ClusterId(self.inner.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Writes a record about a cluster. When this returns, the record survives the death of
    /// this process; under [`SyncPolicy::Always`], that of the machine too.
    ///
    /// Under [`SyncPolicy::Always`] it blocks the calling thread while the disk works. Records
    /// of one cluster are in the order of their appends. After an error the journal is
    /// as before (but for a failed sync, which closes the shard), and the change must not be made.
    ///
    /// # Errors
    /// What the write failed with ([`io::ErrorKind::StorageFull`], for example);
    /// [`io::ErrorKind::NotFound`] for a cluster that is not registered or gone;
    /// [`io::ErrorKind::InvalidInput`] for a record beyond [`RECORD_MAX`]; and [`ShardFailed`]
    /// inside an [`io::Error`] when the shard takes no more writes.
    pub fn append(&self, cluster: ClusterId, record: &Record<'_>) -> io::Result<()> {
        let inner = &*self.inner;
        let number = cluster.shard();
        let shard = &inner.shards[number as usize];
        let appended = shard.append(cluster, record)?;
        if matches!(record, Record::Cluster { .. }) {
            let next = cluster.0.saturating_add(1);
            inner.next.fetch_max(next, Ordering::Relaxed);
        }
        if appended.full {
            inner.offer(number);
        }
        match inner.policy {
            SyncPolicy::Always => {
                shard.wait_synced(appended.target, || inner.syncs.now(number))?;
            }
            SyncPolicy::Interval(delay) if appended.newly_dirty => {
                inner.syncs.later(number, delay);
            }
            SyncPolicy::Interval(_) | SyncPolicy::Never => {}
        }
        Ok(())
    }

    /// Returns when the disk has every record of a cluster that was appended before the call.
    /// Callers that come together share one sync. Under [`SyncPolicy::Never`], returns at once.
    ///
    /// # Errors
    /// [`ShardFailed`] inside an [`io::Error`], when the disk did not take it.
    pub async fn sync(&self, cluster: ClusterId) -> io::Result<()> {
        self.inner.sync(cluster.shard()).await
    }

    /// Names the one who knows what the clusters are, so that logs can be compacted from now
    /// on. Call it when the replay is done and every cluster is in place. The journal does not
    /// keep it alive.
    pub fn attach(&self, live: &Arc<dyn Live>) {
        self.inner.attach(live);
    }

    /// Compacts all shards at once.
    #[cfg(test)]
    pub(crate) fn compact(&self) {
        (0..JOURNAL_SHARDS).for_each(|shard| self.inner.compact(shard).unwrap());
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> JournalStats {
        let mut stats = JournalStats {
            compactions: self.inner.compacted.load(Ordering::Relaxed),
            compaction_failures: self.inner.not_compacted.load(Ordering::Relaxed),
            ..JournalStats::default()
        };
        for shard in self.inner.shards.iter().map(Shard::stats) {
            stats.clusters += shard.clusters;
            stats.records += shard.records;
            stats.bytes += shard.bytes;
            stats.log_bytes += shard.log_bytes;
            stats.snapshot_bytes += shard.live_bytes;
            stats.failed_shards += usize::from(shard.failed);
        }
        stats
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("directory", &self.inner.directory.path())
            .field("policy", &self.inner.policy)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.inner.compactions.stop();
        self.inner.syncs.stop();
        for thread in std::mem::take(self.threads.get_mut()) {
            // The owner may be dropped, and the journal with it, by the compaction thread.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the journal panicked");
            }
        }
    }
}
