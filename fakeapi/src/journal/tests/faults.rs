//! Disks that are full, broken, or counted.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use pretty_assertions::assert_eq;

use super::super::disk::LogFile;
use super::*;

/// A disk that fails as it is told to.
pub(super) struct Faulty {
    /// How many bytes are free.
    pub(super) free: AtomicI64,
    pub(super) no_truncate: AtomicBool,
    pub(super) no_sync: AtomicBool,
    pub(super) syncs: AtomicU64,
    /// How long a sync takes.
    pub(super) sync_time: Duration,
    pub(super) writes: AtomicU64,
    /// How long each file (by inode) was when it was last synced.
    platter: Mutex<BTreeMap<u64, u64>>,
}

impl Faulty {
    pub(super) fn new(sync_time: Duration) -> Arc<Self> {
        Arc::new(Self {
            free: AtomicI64::new(i64::MAX),
            no_truncate: AtomicBool::new(false),
            no_sync: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            sync_time,
            writes: AtomicU64::new(0),
            platter: Mutex::default(),
        })
    }
}

impl Faulty {
    /// Makes `to` what a machine finds that lost power with `from` as it is now.
    pub(super) fn power_loss(&self, from: &Path, to: &Path) {
        copy_files(from, to);
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let len = self.platter.lock().get(&entry.metadata().unwrap().ino()).copied();
            let copy = fs::OpenOptions::new().write(true).open(to.join(entry.file_name())).unwrap();
            copy.set_len(len.unwrap_or(0)).unwrap();
        }
    }

    fn file(self: &Arc<Self>, path: &Path, file: Arc<dyn LogFile>) -> Arc<dyn LogFile> {
        let stat = fs::File::open(path).unwrap();
        Arc::new(FaultyFile { disk: self.clone(), file, stat })
    }
}

struct Handle(Arc<Faulty>);

impl Disk for Handle {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.0.file(path, OsDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.0.file(path, OsDisk.open(path)?))
    }
}

struct FaultyFile {
    disk: Arc<Faulty>,
    file: Arc<dyn LogFile>,
    stat: fs::File,
}

impl LogFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.writes.fetch_add(1, Ordering::SeqCst);
        let wanted = i64::try_from(bytes.len()).unwrap();
        let free = self.disk.free.load(Ordering::SeqCst);
        let taken = wanted.min(free);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.disk.free.store(free - taken, Ordering::SeqCst);
        self.file.write_at(&bytes[..usize::try_from(taken).unwrap()], offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if self.disk.no_truncate.load(Ordering::SeqCst) {
            return Err(io::Error::other("read-only file system"));
        }
        self.file.truncate(len)
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.no_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("input/output error"));
        }
        std::thread::sleep(self.disk.sync_time);
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        let stat = self.stat.metadata()?;
        self.file.sync()?;
        self.disk.platter.lock().insert(stat.ino(), stat.len());
        Ok(())
    }
}

/// A journal on a disk that fails, with one cluster, and the disk as if new.
pub(super) fn faulty(
    policy: SyncPolicy,
    sync_time: Duration,
) -> (tempfile::TempDir, Arc<Faulty>, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new(sync_time);
    let (journal, _) = open_on(dir.path(), Arc::new(Handle(disk.clone())), policy);
    disk.syncs.store(0, Ordering::SeqCst);
    disk.writes.store(0, Ordering::SeqCst);
    (dir, disk, journal)
}

#[test]
fn a_record_is_one_write() {
    let (_dir, disk, journal) = faulty(SyncPolicy::Never, Duration::ZERO);
    let fleet = Fleet::default();
    fleet.register(&journal, ClusterId(1)).unwrap();
    for number in 0..10 {
        fleet.put(&journal, ClusterId(1), &format!("o{number}"), Some("{}")).unwrap();
    }
    assert_eq!(disk.writes.load(Ordering::SeqCst), 11);
}

#[test]
fn a_full_disk_refuses_the_change_and_leaves_no_part_of_it() {
    let (dir, disk, journal) = faulty(SyncPolicy::Never, Duration::ZERO);
    let fleet = Fleet::default();
    let id = ClusterId(1);
    fleet.register(&journal, id).unwrap();
    fleet.put(&journal, id, "a", Some("{}")).unwrap();
    for free in 0..30 {
        disk.free.store(free, Ordering::SeqCst);
        let error = fleet.put(&journal, id, "b", Some("{\"long\":\"enough\"}")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(after_kill(dir.path()).0, fleet.state());
        assert_eq!(after_kill(dir.path()).1.damage, []);
    }
    disk.free.store(i64::MAX, Ordering::SeqCst);
    fleet.put(&journal, id, "c", Some("{}")).unwrap();
    assert_eq!(after_kill(dir.path()).0, fleet.state());
}

#[test]
fn a_part_that_cannot_be_taken_back_closes_the_shard_only() {
    let (dir, disk, journal) = faulty(SyncPolicy::Never, Duration::ZERO);
    let fleet = Fleet::default();
    fleet.register(&journal, ClusterId(1)).unwrap();
    fleet.register(&journal, ClusterId(2)).unwrap();
    disk.free.store(9, Ordering::SeqCst);
    disk.no_truncate.store(true, Ordering::SeqCst);
    let error = fleet.put(&journal, ClusterId(1), "a", Some("{}")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    disk.free.store(i64::MAX, Ordering::SeqCst);
    disk.no_truncate.store(false, Ordering::SeqCst);
    let error = fleet.put(&journal, ClusterId(1), "a", Some("{}")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("shard 01 takes no more writes") && text.contains("read-only"), "{text}");
    fleet.put(&journal, ClusterId(2), "a", Some("{}")).unwrap();
    assert_eq!(journal.stats().failed_shards, 1);
    let (state, report) = after_kill(dir.path());
    assert_eq!(state, fleet.state());
    assert_eq!(report.damage[0].kind, DamageKind::TornEnd);
}

#[tokio::test]
async fn a_disk_that_does_not_sync_is_not_believed_afterwards() {
    let (_dir, disk, journal) =
        faulty(SyncPolicy::Interval(Duration::from_hours(1)), Duration::ZERO);
    let fleet = Fleet::default();
    fleet.register(&journal, ClusterId(1)).unwrap();
    journal.sync(ClusterId(1)).await.unwrap();
    fleet.put(&journal, ClusterId(1), "a", Some("{}")).unwrap();
    disk.no_sync.store(true, Ordering::SeqCst);
    let text = journal.sync(ClusterId(1)).await.unwrap_err().to_string();
    assert!(text.contains("could not be synced: input/output error"), "{text}");
    disk.no_sync.store(false, Ordering::SeqCst);
    journal.sync(ClusterId(1)).await.unwrap_err();
    fleet.put(&journal, ClusterId(1), "a", Some("{}")).unwrap_err();
}

#[test]
fn a_full_disk_stops_a_compaction_and_nothing_else() {
    for free in [0, 50, 100, 200] {
        let (dir, disk, journal) = faulty(SyncPolicy::Never, Duration::ZERO);
        let fleet = Fleet::of(Clusters::new());
        fleet.attach(&journal);
        let id = ClusterId(1);
        fleet.register(&journal, id).unwrap();
        for number in 0..10 {
            fleet.put(&journal, id, &format!("o{number}"), Some("{}")).unwrap();
        }
        disk.free.store(free, Ordering::SeqCst);
        journal.inner.compact(1).unwrap_err();
        disk.free.store(i64::MAX, Ordering::SeqCst);
        fleet.put(&journal, id, "later", Some("{}")).unwrap();
        assert_eq!(after_kill(dir.path()).0, fleet.state(), "{free} bytes free");
        assert_eq!(after_kill(dir.path()).1.damage, []);
        journal.inner.compact(1).unwrap();
        assert_eq!(after_kill(dir.path()).0, fleet.state());
        let stats = journal.stats();
        assert_eq!((stats.compactions, stats.compaction_failures), (1, 1));
    }
}
