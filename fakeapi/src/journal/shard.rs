//! One shard: the log that appends go to, and what is known of it.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::ClusterId;
use super::disk::{LogFile, write_all_at};
use super::error::ShardFailed;
use super::frame::{FileId, put_frame};
use super::record::{Payload, Record};

/// Ids of clusters.
pub(super) type Ids = HashSet<ClusterId, foldhash::fast::RandomState>;

/// A buffer that grew beyond this for one large record is given back.
const BUFFER_KEEP: usize = 64 << 10;

/// What a shard begins with when the journal is opened.
pub(super) struct Opened {
    pub(super) log: FileId,
    pub(super) file: Arc<dyn LogFile>,
    pub(super) len: u64,
    pub(super) live: Ids,
    pub(super) highest: ClusterId,
    pub(super) log_bytes: u64,
    pub(super) live_bytes: u64,
}

/// One shard.
pub(super) struct Shard {
    number: u32,
    compact_min: u64,
    state: Mutex<State>,
    /// Wakes threads that wait for a sync.
    synced: Condvar,
    /// Wakes tasks that wait for a sync.
    notify: Notify,
}

/// What an append did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    /// How far the log must be synced for the record to be.
    pub(super) target: u64,
    /// Whether this is the first record since the last sync began.
    pub(super) newly_dirty: bool,
    /// Whether the log is due for compaction.
    pub(super) full: bool,
}

/// What to sync, and how far the log is synced then.
pub(super) struct Capture {
    pub(super) files: [Option<Arc<dyn LogFile>>; 2],
    pub(super) target: u64,
}

/// A shard whose appends go to a new log: what the snapshot of the old ones must hold.
pub(super) struct Rotation {
    pub(super) generation: u64,
    pub(super) required: Ids,
    pub(super) highest: ClusterId,
    pub(super) covered: u64,
    pub(super) retired: Arc<dyn LogFile>,
    pub(super) target: u64,
}

/// Numbers of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShardStats {
    pub(super) clusters: usize,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) log_bytes: u64,
    pub(super) live_bytes: u64,
    pub(super) failed: bool,
}

struct State {
    log: FileId,
    seed: u32,
    file: Arc<dyn LogFile>,
    /// Where the next record goes.
    len: u64,
    /// The log before this one, until it is synced.
    retired: Option<Arc<dyn LogFile>>,
    /// Bytes written and bytes synced since the journal was opened.
    written: u64,
    durable: u64,
    dirty: bool,
    records: u64,
    live: Ids,
    highest: ClusterId,
    /// Bytes in logs that no snapshot covers, and the size of the snapshot.
    log_bytes: u64,
    live_bytes: u64,
    compact_at: u64,
    failed: Option<ShardFailed>,
    buffer: Vec<u8>,
}

impl Shard {
    pub(super) fn new(opened: Opened, compact_min: u64) -> Self {
        let Opened { log, file, len, live, highest, log_bytes, live_bytes } = opened;
        Self {
            number: log.shard,
            compact_min,
            synced: Condvar::new(),
            notify: Notify::new(),
            state: Mutex::new(State {
                log,
                seed: log.seed(),
                file,
                len,
                retired: None,
                written: 0,
                durable: 0,
                dirty: false,
                records: 0,
                live,
                highest,
                log_bytes,
                live_bytes,
                compact_at: compact_at(compact_min, live_bytes),
                failed: None,
                buffer: Vec::new(),
            }),
        }
    }

    /// Writes a record. When it returns, the kernel has it; after an error, the log is as before.
    pub(super) fn append(&self, cluster: ClusterId, record: &Record<'_>) -> io::Result<Appended> {
        let mut state = self.state.lock();
        state.admit(cluster, record)?;
        state.write(cluster, record)?;
        state.note(cluster, record);
        Ok(Appended {
            target: state.written,
            newly_dirty: !std::mem::replace(&mut state.dirty, true),
            full: state.log_bytes > state.compact_at,
        })
    }

    /// How far everything that is written now must be synced.
    pub(super) fn target(&self) -> u64 {
        self.state.lock().written
    }

    /// Whether the log is synced up to `target`.
    pub(super) fn is_synced(&self, target: u64) -> io::Result<bool> {
        self.state.lock().is_synced(target)
    }

    /// Waits on this thread until `want` had the log synced up to `target`.
    pub(super) fn wait_synced(&self, target: u64, want: impl Fn()) -> io::Result<()> {
        let mut state = self.state.lock();
        while !state.is_synced(target)? {
            parking_lot::MutexGuard::unlocked(&mut state, &want);
            if !state.is_synced(target)? {
                self.synced.wait(&mut state);
            }
        }
        Ok(())
    }

    /// What wakes tasks when a sync is over.
    pub(super) fn notify(&self) -> &Notify {
        &self.notify
    }

    /// What there is to sync, if anything.
    pub(super) fn capture(&self) -> Option<Capture> {
        let mut state = self.state.lock();
        if state.failed.is_some() || state.written == state.durable {
            return None;
        }
        state.dirty = false;
        Some(Capture {
            files: [state.retired.clone(), Some(state.file.clone())],
            target: state.written,
        })
    }

    /// Takes the outcome of a sync and wakes who waits for it.
    ///
    /// After a failed sync the kernel may have dropped what it could not write, and a second
    /// one would succeed without it: the shard takes nothing more.
    pub(super) fn synced(&self, target: u64, outcome: io::Result<()>) {
        let mut state = self.state.lock();
        match outcome {
            Ok(()) => state.durable = state.durable.max(target),
            Err(error) => state.fail(format!("its log could not be synced: {error}")),
        }
        self.synced.notify_all();
        self.notify.notify_waiters();
    }

    /// The generation that the next log gets, and the highest cluster id so far.
    pub(super) fn next_log(&self) -> (FileId, ClusterId) {
        let state = self.state.lock();
        (FileId::log(self.number, state.log.generation + 1), state.highest)
    }

    /// Sends appends to a new log.
    pub(super) fn rotate(
        &self,
        log: FileId,
        file: Arc<dyn LogFile>,
        len: u64,
    ) -> io::Result<Rotation> {
        let mut state = self.state.lock();
        state.check_failed()?;
        let retired = std::mem::replace(&mut state.file, file);
        state.retired = Some(retired.clone());
        state.log = log;
        state.seed = log.seed();
        state.len = len;
        Ok(Rotation {
            generation: log.generation,
            required: state.live.clone(),
            highest: state.highest,
            covered: state.log_bytes,
            retired,
            target: state.written,
        })
    }

    /// The retired log is on disk.
    pub(super) fn drop_retired(&self) {
        self.state.lock().retired = None;
    }

    /// Whether a cluster is registered.
    pub(super) fn is_live(&self, cluster: ClusterId) -> bool {
        self.state.lock().live.contains(&cluster)
    }

    /// A snapshot took the place of the logs before the rotation.
    pub(super) fn compacted(&self, covered: u64, live_bytes: u64) {
        let mut state = self.state.lock();
        state.log_bytes -= covered;
        state.live_bytes = live_bytes;
        state.compact_at = compact_at(self.compact_min, live_bytes);
    }

    /// No snapshot was made: the next attempt is after as many bytes as the first one was.
    pub(super) fn compaction_failed(&self) {
        let mut state = self.state.lock();
        state.compact_at = state.log_bytes.saturating_add(self.compact_min);
    }

    /// Whether the log is due for compaction.
    pub(super) fn is_full(&self) -> bool {
        let state = self.state.lock();
        state.log_bytes > state.compact_at
    }

    /// The shard's numbers.
    pub(super) fn stats(&self) -> ShardStats {
        let state = self.state.lock();
        ShardStats {
            clusters: state.live.len(),
            records: state.records,
            bytes: state.written,
            log_bytes: state.log_bytes,
            live_bytes: state.live_bytes,
            failed: state.failed.is_some(),
        }
    }
}

impl State {
    fn check_failed(&self) -> io::Result<()> {
        match &self.failed {
            Some(failed) => Err(io::Error::other(failed.clone())),
            None => Ok(()),
        }
    }

    fn is_synced(&self, target: u64) -> io::Result<bool> {
        if self.durable >= target {
            return Ok(true);
        }
        self.check_failed().map(|()| false)
    }

    /// Refuses what must not be written.
    fn admit(&self, cluster: ClusterId, record: &Record<'_>) -> io::Result<()> {
        self.check_failed()?;
        if matches!(record, Record::Cluster { .. }) || self.live.contains(&cluster) {
            return Ok(());
        }
        let message = format!("cluster {cluster} is not registered in the journal");
        Err(io::Error::new(io::ErrorKind::NotFound, message))
    }

    fn write(&mut self, cluster: ClusterId, record: &Record<'_>) -> io::Result<()> {
        self.buffer.clear();
        put_frame(&mut self.buffer, self.seed, &Payload::Record(cluster, *record))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let outcome = write_all_at(&*self.file, &self.buffer, self.len);
        let size = self.buffer.len() as u64;
        if self.buffer.capacity() > BUFFER_KEEP {
            self.buffer = Vec::new();
        }
        if let Err((_, error)) = outcome {
            if let Err(also) = self.file.truncate(self.len) {
                self.fail(format!(
                    "a record was written in part ({error}) and could not be taken back ({also})"
                ));
            }
            return Err(error);
        }
        self.len += size;
        self.written += size;
        self.log_bytes += size;
        self.records += 1;
        Ok(())
    }

    fn note(&mut self, cluster: ClusterId, record: &Record<'_>) {
        match record {
            Record::Cluster { .. } => {
                self.live.insert(cluster);
                self.highest = self.highest.max(cluster);
            }
            Record::Gone => {
                self.live.remove(&cluster);
            }
            Record::Base { .. } | Record::Object { .. } => {}
        }
    }

    fn fail(&mut self, why: String) {
        let failed = ShardFailed { shard: self.log.shard, why };
        tracing::error!(shard = failed.shard, "{failed}");
        self.failed.get_or_insert(failed);
    }
}

/// How large the logs of a shard may grow before they are compacted.
fn compact_at(compact_min: u64, live_bytes: u64) -> u64 {
    compact_min.max(live_bytes.saturating_mul(2))
}
