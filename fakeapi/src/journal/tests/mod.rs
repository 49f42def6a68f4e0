//! Tests of the whole journal: an owner as the program has one, disks that fail, crashes.

mod compact;
mod crash;
mod damage;
mod faults;
mod order;
mod sync;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use pretty_assertions::assert_eq;

use super::disk::OsDisk;
use super::*;

/// Opens a journal that is compacted only when a test does it.
fn open(path: &Path) -> (Journal, Replay) {
    open_on(path, Arc::new(OsDisk), SyncPolicy::Never)
}

fn open_on(path: &Path, disk: Arc<dyn Disk>, policy: SyncPolicy) -> (Journal, Replay) {
    let compact_min = u64::MAX;
    Journal::open_with(path, Settings { policy, compact_min, disk }).unwrap()
}

/// A cluster as its owner has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cluster {
    revision: u64,
    body: Vec<u8>,
    base: Vec<u8>,
    objects: BTreeMap<String, Option<Vec<u8>>>,
}

type Clusters = BTreeMap<ClusterId, Cluster>;

/// An owner: changes are appended under the cluster's lock before they are seen.
#[derive(Default)]
struct Fleet {
    clusters: RwLock<BTreeMap<ClusterId, Arc<Mutex<Cluster>>>>,
}

impl Fleet {
    fn of(clusters: Clusters) -> Arc<Self> {
        let entry = |(id, cluster)| (id, Arc::new(Mutex::new(cluster)));
        Arc::new(Self { clusters: RwLock::new(clusters.into_iter().map(entry).collect()) })
    }

    fn attach(self: &Arc<Self>, journal: &Journal) {
        let live: Arc<dyn Live> = self.clone();
        journal.attach(&live);
    }

    fn state(&self) -> Clusters {
        let clusters = self.clusters.read();
        let entry =
            |(id, cluster): (&ClusterId, &Arc<Mutex<Cluster>>)| (*id, cluster.lock().clone());
        clusters.iter().map(entry).collect()
    }

    fn register(&self, journal: &Journal, id: ClusterId) -> io::Result<()> {
        let body = format!("{{\"cluster\":{id}}}").into_bytes();
        let cluster = Cluster { revision: 1, body: body.clone(), ..Cluster::default() };
        let entry = Arc::new(Mutex::new(cluster));
        self.clusters.write().insert(id, entry);
        let record = Record::Cluster { revision: 1, body: &body };
        journal.append(id, &record).inspect_err(|_| {
            self.clusters.write().remove(&id);
        })
    }

    fn put(
        &self,
        journal: &Journal,
        id: ClusterId,
        name: &str,
        json: Option<&str>,
    ) -> io::Result<()> {
        let cluster = self.clusters.read()[&id].clone();
        let mut cluster = cluster.lock();
        let revision = cluster.revision + 1;
        let json = json.map(|json| json.as_bytes().to_vec());
        let record = object(revision, name, json.as_deref());
        journal.append(id, &record)?;
        cluster.revision = revision;
        cluster.objects.insert(name.to_owned(), json);
        Ok(())
    }

    fn base(&self, journal: &Journal, id: ClusterId, body: &str) -> io::Result<()> {
        let cluster = self.clusters.read()[&id].clone();
        let mut cluster = cluster.lock();
        let revision = cluster.revision + 1;
        let body = body.as_bytes();
        journal.append(id, &Record::Base { revision, body })?;
        cluster.revision = revision;
        cluster.base = body.to_vec();
        Ok(())
    }

    fn gone(&self, journal: &Journal, id: ClusterId) -> io::Result<()> {
        journal.append(id, &Record::Gone)?;
        self.clusters.write().remove(&id);
        Ok(())
    }
}

impl Live for Fleet {
    fn snapshot(
        &self,
        shard: u32,
        out: &mut dyn FnMut(ClusterId, &Record<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let clusters = self.clusters.read().clone();
        for (id, cluster) in clusters.into_iter().filter(|(id, _)| id.shard() == shard) {
            let cluster = cluster.lock();
            let Cluster { revision, body, base, objects } = &*cluster;
            let revision = *revision;
            out(id, &Record::Cluster { revision, body })?;
            out(id, &Record::Base { revision, body: base })?;
            for (name, json) in objects {
                out(id, &object(revision, name, json.as_deref()))?;
            }
        }
        Ok(())
    }
}

fn object<'a>(revision: u64, name: &'a str, json: Option<&'a [u8]>) -> Record<'a> {
    Record::Object {
        revision,
        key: ObjectKey { group: "", resource: "configmaps", namespace: "default", name },
        object: json.map(|json| ObjectBytes { json, rest: 7 }),
    }
}

/// Rebuilds the clusters as an owner does. `gaps` is whether damage may have taken changes.
fn rebuild(replay: &Replay, gaps: bool) -> Clusters {
    let mut clusters = Clusters::new();
    let check = |now: u64, next: u64| {
        assert!(next == now + 1 || gaps && next > now, "revision {next} after {now}");
    };
    replay
        .run(|id, record, source| -> Result<(), JournalError> {
            let cluster = clusters.entry(id).or_default();
            let from_log = source == Source::Log;
            match record {
                Record::Cluster { revision, body } => {
                    cluster.revision = cluster.revision.max(revision);
                    cluster.body = body.to_vec();
                }
                Record::Gone => panic!("clusters that are gone are not replayed"),
                Record::Base { revision, body } => {
                    if from_log {
                        check(cluster.revision, revision);
                        cluster.revision = revision;
                    }
                    cluster.base = body.to_vec();
                }
                Record::Object { revision, key, object } => {
                    if from_log {
                        check(cluster.revision, revision);
                        cluster.revision = revision;
                    }
                    assert_eq!(key.resource, "configmaps");
                    assert!(object.is_none_or(|o| o.rest == 7));
                    let json = object.map(|o| o.json.to_vec());
                    cluster.objects.insert(key.name.to_owned(), json);
                }
            }
            Ok(())
        })
        .unwrap();
    clusters
}

/// What a process finds that starts after this one died as it is now.
fn after_kill(path: &Path) -> (Clusters, Report) {
    let copy = tempfile::tempdir().unwrap();
    copy_files(path, copy.path());
    let (_journal, replay) = open(copy.path());
    (rebuild(&replay, false), replay.report().clone())
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The files of a shard that replay reads, by their names' ends.
fn files(path: &Path, shard: u32) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| {
            let name = p.file_name().unwrap().to_str().unwrap();
            name.starts_with(&format!("{shard:02}-"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_appended_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/on/demand");
    let (journal, replay) = open(&path);
    assert_eq!(replay.report(), &Report { bytes: 16 * 44, ..Report::default() });
    let fleet = Fleet::default();
    let ids: Vec<ClusterId> = (0..40).map(|_| journal.allocate()).collect();
    for &id in &ids {
        fleet.register(&journal, id).unwrap();
        fleet.put(&journal, id, "a", Some("{}")).unwrap();
        fleet.base(&journal, id, "nodes").unwrap();
        fleet.put(&journal, id, "a", Some("{\"b\":1}")).unwrap();
        fleet.put(&journal, id, "c", None).unwrap();
    }
    for &id in ids.iter().step_by(3) {
        fleet.gone(&journal, id).unwrap();
    }
    drop(journal);
    let (journal, replay) = open(&path);
    assert_eq!(rebuild(&replay, false), fleet.state());
    let report = replay.report();
    assert_eq!(report.clusters, 26);
    assert_eq!(report.records, 40 * 5 + 14);
    assert_eq!((report.orphans, &report.damage[..]), (0, &[][..]));
    assert!(journal.allocate() > *ids.last().unwrap());
    // The second life appends where the first one ended.
    fleet.put(&journal, ids[1], "d", Some("{}")).unwrap();
    drop(journal);
    assert_eq!(rebuild(&open(&path).1, false), fleet.state());
}

#[test]
fn a_second_registration_replaces_the_first_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::default();
    let id = journal.allocate();
    fleet.register(&journal, id).unwrap();
    fleet.put(&journal, id, "a", Some("{}")).unwrap();
    let body = b"new";
    journal.append(id, &Record::Cluster { revision: 2, body }).unwrap();
    drop(journal);
    let state = rebuild(&open(dir.path()).1, false);
    assert_eq!(state[&id].body, b"new");
    assert_eq!(state[&id].objects.len(), 1);
}

#[test]
fn one_directory_has_one_owner_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let error = Journal::open(dir.path(), SyncPolicy::Never).unwrap_err();
    assert!(matches!(error, JournalError::Locked(_)), "{error}");
    drop(journal);
    Journal::open(dir.path(), SyncPolicy::Never).unwrap();
}

#[test]
fn only_registered_clusters_are_written_about() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::default();
    let id = journal.allocate();
    let change = object(2, "a", None);
    let refused = |kind| {
        let error = journal.append(id, &change).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    };
    refused(io::ErrorKind::NotFound);
    fleet.register(&journal, id).unwrap();
    journal.append(id, &change).unwrap();
    fleet.gone(&journal, id).unwrap();
    refused(io::ErrorKind::NotFound);
    assert_eq!(journal.stats().records, 3);
}

#[test]
fn a_record_beyond_the_bound_is_refused_and_one_at_the_bound_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::default();
    let id = journal.allocate();
    fleet.register(&journal, id).unwrap();
    let largest = "x".repeat(RECORD_MAX as usize - 3);
    fleet.base(&journal, id, &largest).unwrap();
    let error = fleet.base(&journal, id, &(largest + "x")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    fleet.put(&journal, id, "a", Some("{}")).unwrap();
    drop(journal);
    assert_eq!(rebuild(&open(dir.path()).1, false), fleet.state());
}

#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let _journal = open(&path);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for file in files(&path, 3) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
