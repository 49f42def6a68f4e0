//! Compaction: alone, under appends, and with a crash after each step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pretty_assertions::assert_eq;

use super::*;

/// A journal with three clusters in shard 0, one of them gone.
fn filled(path: &Path) -> (Journal, Arc<Fleet>) {
    let (journal, _) = open(path);
    let fleet = Fleet::of(Clusters::new());
    fleet.attach(&journal);
    for id in [16, 32, 48] {
        let id = ClusterId(id);
        fleet.register(&journal, id).unwrap();
        fleet.base(&journal, id, "nodes").unwrap();
        for round in 0..20 {
            let json = format!("{{\"round\":{round}}}");
            fleet.put(&journal, id, "often-written", Some(&json)).unwrap();
        }
        fleet.put(&journal, id, &format!("removed-{id}"), None).unwrap();
    }
    fleet.gone(&journal, ClusterId(48)).unwrap();
    (journal, fleet)
}

#[test]
fn a_compacted_shard_is_smaller_and_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, fleet) = filled(dir.path());
    let size = || files(dir.path(), 0).iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>();
    let before = size();
    journal.inner.compact(0).unwrap();
    assert!(size() < before / 2, "{} of {before} bytes", size());
    assert_eq!(after_kill(dir.path()).0, fleet.state());
    assert_eq!(files(dir.path(), 0).len(), 2);
    fleet.put(&journal, ClusterId(16), "later", Some("{}")).unwrap();
    fleet.register(&journal, ClusterId(64)).unwrap();
    assert_eq!(after_kill(dir.path()).0, fleet.state());
    journal.inner.compact(0).unwrap();
    assert_eq!(after_kill(dir.path()).0, fleet.state());
}

#[test]
fn a_cluster_that_is_gone_leaves_nothing_and_its_id_is_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _fleet) = filled(dir.path());
    let holds = |text: &[u8]| {
        files(dir.path(), 0)
            .iter()
            .any(|file| fs::read(file).unwrap().windows(text.len()).any(|w| w == text))
    };
    assert!(holds(b"removed-48"));
    for _ in 0..2 {
        journal.inner.compact(0).unwrap();
    }
    assert!(!holds(b"removed-48"));
    assert!(holds(b"removed-32"));
    drop(journal);
    assert_eq!(open(dir.path()).0.allocate(), ClusterId(49));
}

#[test]
fn a_crash_after_any_step_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, fleet) = filled(dir.path());
    let inner = &journal.inner;
    let mut number = 0;
    let mut step = |name: &str| {
        // What comes between two steps must survive too.
        number += 1;
        fleet.put(&journal, ClusterId(16), &format!("step{number}"), Some("{}")).unwrap();
        fleet.register(&journal, ClusterId(160 + 16 * number)).unwrap();
        let (state, report) = after_kill(dir.path());
        assert_eq!(state, fleet.state(), "after {name}");
        assert_eq!(report.damage, [], "after {name}");
    };
    step("nothing");
    let (log, highest) = inner.shards[0].next_log();
    inner.directory.begin(log, highest).unwrap();
    step("beginning the new log");
    inner.directory.new_log(log, highest).unwrap();
    step("the new log is in place, not in use");
    let rotation = inner.rotate(0).unwrap();
    step("the rotation");
    fleet.gone(&journal, ClusterId(32)).unwrap();
    step("a cluster going");
    let id = frame::FileId::snapshot(0, rotation.generation);
    let unfinished = || fs::write(inner.directory.unfinished(id), b"half a snapshot").unwrap();
    unfinished();
    step("half a snapshot");
    inner.write_snapshot(0, &rotation, &*fleet).unwrap();
    step("the snapshot is in place, the old log too");
    for old in files(dir.path(), 0) {
        if old.extension().is_some_and(|e| e == "log") && !old.ends_with(rotation_log(&rotation)) {
            fs::remove_file(old).unwrap();
            step("an old log is removed");
        }
    }
    inner.drop_before(0, rotation.generation).unwrap();
    inner.shards[0].compacted(rotation.covered, 1);
    step("everything");
    inner.compact(0).unwrap();
    step("another compaction");
}

fn rotation_log(rotation: &shard::Rotation) -> String {
    frame::FileId::log(0, rotation.generation).to_string()
}

#[test]
fn a_torn_end_before_a_log_that_was_never_used_is_only_a_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, fleet) = filled(dir.path());
    let (log, highest) = journal.inner.shards[0].next_log();
    journal.inner.directory.new_log(log, highest).unwrap();
    drop(journal);
    let first = files(dir.path(), 0).remove(0);
    let mut bytes = fs::read(&first).unwrap();
    bytes.extend_from_slice(b"\x20\0\0\0half");
    fs::write(&first, bytes).unwrap();
    let (_journal, replay) = open(dir.path());
    assert_eq!(replay.report().damage[0].kind, DamageKind::TornEnd);
    assert_eq!(rebuild(&replay, false), fleet.state());
}

#[test]
fn appends_go_on_while_shards_are_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::of(Clusters::new());
    fleet.attach(&journal);
    for id in 0..8 {
        fleet.register(&journal, ClusterId(id * 16)).unwrap();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (fleet, journal, done) = (&fleet, &journal, &done);
        let writers: Vec<_> = (0..4u64)
            .map(|thread| {
                scope.spawn(move || {
                    for number in 0..400u64 {
                        let id = ClusterId((number + thread) % 8 * 16);
                        fleet.put(journal, id, &format!("o{}", number % 9), Some("{}")).unwrap();
                        if number % 20 == 0 {
                            let id = ClusterId(16 * (1000 + thread * 1000 + number));
                            fleet.register(journal, id).unwrap();
                            if number % 40 == 0 {
                                fleet.gone(journal, id).unwrap();
                            }
                        }
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            let mut rounds = 0;
            while !done.load(Ordering::SeqCst) || rounds < 3 {
                journal.inner.compact(0).unwrap();
                rounds += 1;
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(after_kill(dir.path()).0, fleet.state());
    assert_eq!(journal.stats().clusters, 8 + 40);
}

#[test]
fn a_log_that_is_too_large_is_compacted_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let compact_min = 10_000;
    let settings = || Settings { policy: SyncPolicy::Never, compact_min, disk: Arc::new(OsDisk) };
    let (journal, _) = Journal::open_with(dir.path(), settings()).unwrap();
    let fleet = Fleet::of(Clusters::new());
    fleet.register(&journal, ClusterId(1)).unwrap();
    let put = |journal: &Journal, name: &str| {
        fleet.put(journal, ClusterId(1), name, Some(&"x".repeat(1000))).unwrap();
    };
    let wait = |journal: &Journal, compactions: u64| {
        let begun = Instant::now();
        while journal.stats().compactions < compactions {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", journal.stats());
            thread::sleep(Duration::from_millis(2));
        }
    };
    for _ in 0..12 {
        put(&journal, "one");
    }
    // Nobody is attached yet; attaching is what makes up for it.
    assert_eq!(journal.stats().compactions, 0);
    fleet.attach(&journal);
    wait(&journal, 1);
    let stats = journal.stats();
    assert!(stats.log_bytes < 100 && stats.snapshot_bytes < 1500, "{stats:?}");
    // Ten objects live: the bound is now the minimum, then twice what lives.
    for number in 0..30 {
        put(&journal, &format!("o{number}"));
    }
    wait(&journal, 2);
    drop(journal);
    let (journal, replay) = Journal::open_with(dir.path(), settings()).unwrap();
    assert_eq!(rebuild(&replay, false), fleet.state());
    assert!(journal.stats().snapshot_bytes > 5000, "{:?}", journal.stats());
}

/// An owner that forgets, or invents.
struct Wrong(fn(Out<'_>) -> io::Result<()>);

type Out<'a> = &'a mut dyn FnMut(ClusterId, &Record<'_>) -> io::Result<()>;

impl Live for Wrong {
    fn snapshot(
        &self,
        _: u32,
        out: &mut dyn FnMut(ClusterId, &Record<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        (self.0)(out)
    }
}

#[test]
fn an_owner_that_is_wrong_costs_nothing() {
    const CLUSTER: Record<'static> = Record::Cluster { revision: 90, body: b"" };
    let dir = tempfile::tempdir().unwrap();
    let (journal, fleet) = filled(dir.path());
    for (wrong, why) in [
        (Wrong(|_| Ok(())), "misses cluster"),
        (Wrong(|out| out(ClusterId(16), &CLUSTER)), "misses cluster 32"),
        (Wrong(|out| out(ClusterId(17), &CLUSTER)), "not so cluster 17"),
        (Wrong(|out| out(ClusterId(16), &object(1, "a", None))), "not so cluster 16"),
        (Wrong(|out| out(ClusterId(16), &Record::Gone)), "not so cluster 16"),
        (
            Wrong(|out| {
                out(ClusterId(16), &CLUSTER)?;
                out(ClusterId(32), &CLUSTER)?;
                out(ClusterId(16), &object(1, "a", None))
            }),
            "not so cluster 16",
        ),
        (Wrong(|_| Err(io::Error::other("no time"))), "no time"),
    ] {
        let live: Arc<dyn Live> = Arc::new(wrong);
        journal.attach(&live);
        let error = anyhow::Error::from(journal.inner.compact(0).unwrap_err());
        assert!(format!("{error:#}").contains(why), "{error:#}");
        assert_eq!(after_kill(dir.path()).0, fleet.state(), "{why}");
    }
    // A cluster that the owner still has but that is gone in the journal does not come back.
    fleet.attach(&journal);
    let zombie = Arc::new(Mutex::new(Cluster::default()));
    fleet.clusters.write().insert(ClusterId(48), zombie);
    journal.inner.compact(0).unwrap();
    fleet.clusters.write().remove(&ClusterId(48));
    assert_eq!(after_kill(dir.path()).0, fleet.state());
}
