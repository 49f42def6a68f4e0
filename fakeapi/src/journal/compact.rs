//! Compaction: a shard's logs give way to a snapshot of what its clusters are now.
//!
//! Appends go on while it runs. They go to a new log from the first step on; the owner's state
//! is written after that, so the snapshot has at least what the old logs had, and what it has of
//! the new log is known by the revision of its cluster. The old files go when the snapshot is
//! whole and on disk, so a crash at any point leaves one or the other.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::frame::{FileId, HEADER};
use super::record::{Payload, Record};
use super::shard::{Ids, Rotation};
use super::writer::FileWriter;
use super::{ClusterId, Inner};

/// Who knows what the clusters are now.
pub trait Live: Send + Sync + 'static {
    /// Gives `out` the state of every cluster of `shard`: for each its [`Record::Cluster`] with
    /// the revision it is taken at, then [`Record::Base`] and [`Record::Object`] as there are.
    ///
    /// One cluster must be locked against its own appends while it is written, so that it has
    /// every change that was appended and none that was not; the other clusters need not be.
    /// A cluster must be here from before its registration is appended until after its `Gone`
    /// is; the journal checks, and throws a snapshot away that misses a cluster. Runs on a thread
    /// of the journal, which may write to disk inside `out`.
    ///
    /// # Errors
    /// Those of `out` must be passed on; any error ends the compaction, and the logs stay.
    fn snapshot(
        &self,
        shard: u32,
        out: &mut dyn FnMut(ClusterId, &Record<'_>) -> io::Result<()>,
    ) -> io::Result<()>;
}

/// Why a shard was not compacted. The logs stay as they are, and nothing is lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompactError {
    #[error("the journal's files could not be written")]
    Files(#[source] io::Error),
    #[error("the snapshot misses cluster {0}, which is registered")]
    Missed(ClusterId),
    #[error("the state of the clusters could not be written")]
    Owner(#[source] io::Error),
    #[error("nobody who knows the clusters is attached")]
    Unattached,
}

impl Inner {
    /// Hands a shard to the compaction thread, once.
    pub(super) fn offer(&self, shard: u32) {
        if self.live.read().is_some()
            && self.queued.fetch_or(1 << shard, Ordering::Relaxed) & (1 << shard) == 0
        {
            self.compactions.now(shard);
        }
    }

    /// The work of the compaction thread.
    pub(super) fn run_compactions(&self) {
        while let Some(shards) = self.compactions.next() {
            for shard in shards {
                let outcome = self.compact(shard);
                self.queued.fetch_and(!(1 << shard), Ordering::Relaxed);
                if let Err(error) = outcome {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(shard, cause, "journal not compacted: {error}");
                }
            }
        }
    }

    /// Compacts one shard.
    pub(super) fn compact(&self, shard: u32) -> Result<(), CompactError> {
        let outcome = self.try_compact(shard);
        let (count, shard) = match outcome {
            Ok(()) => (&self.compacted, None),
            Err(_) => (&self.not_compacted, self.shards.get(shard as usize)),
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(shard) = shard {
            shard.compaction_failed();
        }
        outcome
    }

    fn try_compact(&self, shard: u32) -> Result<(), CompactError> {
        let live = self.live.read().as_ref().and_then(std::sync::Weak::upgrade);
        let live = live.ok_or(CompactError::Unattached)?;
        let rotation = self.rotate(shard).map_err(CompactError::Files)?;
        let size = self.write_snapshot(shard, &rotation, &*live)?;
        self.shards[shard as usize].compacted(rotation.covered, size);
        self.drop_before(shard, rotation.generation).map_err(CompactError::Files)
    }

    /// Step one: appends go to a new log, and the old one is on disk.
    pub(super) fn rotate(&self, shard: u32) -> io::Result<Rotation> {
        let at = &self.shards[shard as usize];
        let (log, highest) = at.next_log();
        let file = self.directory.new_log(log, highest)?;
        let rotation = at.rotate(log, file, HEADER as u64)?;
        let outcome = rotation.retired.sync();
        let failed = outcome.as_ref().err().map(|e| io::Error::new(e.kind(), e.to_string()));
        match outcome {
            Ok(()) => at.drop_retired(),
            Err(error) => at.synced(rotation.target, Err(error)),
        }
        failed.map_or(Ok(rotation), Err)
    }

    /// Step two: the state of the clusters is in a snapshot that is whole, in place and on disk.
    pub(super) fn write_snapshot(
        &self,
        shard: u32,
        rotation: &Rotation,
        live: &dyn Live,
    ) -> Result<u64, CompactError> {
        let id = FileId::snapshot(shard, rotation.generation);
        let mut writer = FileWriter::begin(&self.directory, id, rotation.highest)
            .map_err(CompactError::Files)?;
        let outcome = self.collect(shard, rotation, live, &mut writer);
        let outcome = outcome.and_then(|()| {
            writer.end().map_err(CompactError::Files)?;
            writer.finish().map_err(CompactError::Files)
        });
        if outcome.is_err() {
            // A leftover costs space only: it is never read, and the next open removes it.
            if let Err(error) = fs::remove_file(self.directory.unfinished(id)) {
                tracing::debug!(%error, file = %id, "unfinished snapshot not removed");
            }
        }
        outcome
    }

    fn collect(
        &self,
        shard: u32,
        rotation: &Rotation,
        live: &dyn Live,
        writer: &mut FileWriter<'_>,
    ) -> Result<(), CompactError> {
        let at = &self.shards[shard as usize];
        let mut seen: Ids = HashSet::default();
        let mut current: Option<(ClusterId, bool)> = None;
        live.snapshot(shard, &mut |cluster, record| {
            match record {
                Record::Cluster { .. } => {
                    check_order(shard, cluster, !seen.contains(&cluster))?;
                    // Gone since: its records would bring it back.
                    current = Some((cluster, at.is_live(cluster)));
                    seen.insert(cluster);
                }
                Record::Gone => check_order(shard, cluster, false)?,
                Record::Base { .. } | Record::Object { .. } => {
                    let of_current = current.is_some_and(|(id, _)| id == cluster);
                    check_order(shard, cluster, of_current)?;
                }
            }
            if current == Some((cluster, true)) {
                writer.push(&Payload::Record(cluster, *record))?;
            }
            Ok(())
        })
        .map_err(CompactError::Owner)?;
        let missed = |id: &&ClusterId| !seen.contains(*id) && at.is_live(**id);
        match rotation.required.iter().find(missed) {
            Some(id) => Err(CompactError::Missed(*id)),
            None => Ok(()),
        }
    }

    /// Step three: what the snapshot stands for is removed.
    pub(super) fn drop_before(&self, shard: u32, generation: u64) -> io::Result<()> {
        let (files, _) = self.directory.list()?;
        files
            .into_iter()
            .filter(|id| id.shard == shard && id.generation < generation)
            .try_for_each(|id| fs::remove_file(self.directory.file(id)))
    }

    /// Makes `live` the one who is asked for snapshots.
    pub(super) fn attach(&self, live: &Arc<dyn Live>) {
        *self.live.write() = Some(Arc::downgrade(live));
        for (number, shard) in (0u32..).zip(&self.shards) {
            if shard.is_full() {
                self.offer(number);
            }
        }
    }
}

/// Refuses a record that has no place in the snapshot.
fn check_order(shard: u32, cluster: ClusterId, holds: bool) -> io::Result<()> {
    if holds && cluster.shard() == shard {
        return Ok(());
    }
    let message = format!(
        "a snapshot of shard {shard} has one Cluster record of each of its clusters and its other \
         records after it, not so cluster {cluster}"
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
