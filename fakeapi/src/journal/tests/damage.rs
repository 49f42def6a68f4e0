//! Files that are not as they were left.

use std::fs::OpenOptions;
use std::io::Write;

use pretty_assertions::assert_eq;

use super::*;

/// A shard with a few records, and the offset at which each of them begins.
struct Written {
    dir: tempfile::TempDir,
    log: PathBuf,
    bytes: Vec<u8>,
    starts: Vec<usize>,
    /// The state after the first n records.
    states: Vec<Clusters>,
}

const ID: ClusterId = ClusterId(5);

fn written(records: usize) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::default();
    let log = files(dir.path(), ID.shard()).remove(0);
    let mut starts = Vec::new();
    let mut states = vec![Clusters::new()];
    for number in 0..records {
        starts.push(usize::try_from(fs::metadata(&log).unwrap().len()).unwrap());
        if number == 0 {
            fleet.register(&journal, ID).unwrap();
        } else {
            let json = format!("{{\"number\":{number}}}");
            fleet.put(&journal, ID, &format!("o{number}"), Some(&json)).unwrap();
        }
        states.push(fleet.state());
    }
    drop(journal);
    let bytes = fs::read(&log).unwrap();
    Written { dir, log, bytes, starts, states }
}

impl Written {
    /// The state and the report with this in the log's place.
    fn with(&self, bytes: &[u8], gaps: bool) -> (Clusters, Report) {
        for file in files(self.dir.path(), ID.shard()) {
            fs::remove_file(file).unwrap();
        }
        fs::write(&self.log, bytes).unwrap();
        let (_journal, replay) = open(self.dir.path());
        (rebuild(&replay, gaps), replay.report().clone())
    }

    /// Opens once more: what was mended is good, and appends go on behind it.
    fn opens_clean(&self, expected: &Clusters) {
        let (journal, replay) = open(self.dir.path());
        assert_eq!(replay.report().damage, []);
        assert_eq!(&rebuild(&replay, true), expected);
        let fleet = Fleet::of(expected.clone());
        if expected.contains_key(&ID) {
            fleet.put(&journal, ID, "later", Some("{}")).unwrap();
            drop(journal);
            assert_eq!(rebuild(&open(self.dir.path()).1, true), fleet.state());
        }
    }
}

#[test]
fn an_end_cut_at_any_byte_costs_the_records_behind_it_only() {
    let written = written(4);
    for len in written.starts[0]..=written.bytes.len() {
        let (state, report) = written.with(&written.bytes[..len], false);
        let ends = written.starts[1..].iter().copied().chain([written.bytes.len()]);
        let whole = ends.clone().filter(|end| *end <= len).count();
        assert_eq!(state, written.states[whole], "cut at {len}");
        let good =
            [written.starts[0]].into_iter().chain(ends).filter(|at| *at <= len).max().unwrap();
        let expected = (len > good).then(|| Damage {
            file: written.log.clone(),
            kind: DamageKind::TornEnd,
            offset: good as u64,
            lost_bytes: (len - good) as u64,
            kept: None,
        });
        assert_eq!(report.damage, Vec::from_iter(expected), "cut at {len}");
        assert_eq!(fs::metadata(&written.log).unwrap().len(), good as u64);
        written.opens_clean(&written.states[whole]);
    }
}

#[test]
fn any_bad_byte_in_the_last_record_costs_that_record_only() {
    let written = written(3);
    for at in written.starts[2]..written.bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = written.bytes.clone();
            bytes[at] ^= mask;
            let (state, report) = written.with(&bytes, false);
            assert_eq!(state, written.states[2], "byte {at}");
            assert_eq!(report.damage[0].kind, DamageKind::TornEnd);
            assert_eq!(report.damage[0].offset, written.starts[2] as u64);
        }
    }
    written.opens_clean(&written.states[2]);
}

#[test]
fn any_bad_byte_in_the_middle_costs_one_record_and_the_file_is_kept() {
    let written = written(4);
    let mut expected = written.states[4].clone();
    expected.get_mut(&ID).unwrap().objects.remove("o1");
    for at in written.starts[1]..written.starts[2] {
        let mut bytes = written.bytes.clone();
        bytes[at] ^= 0x01;
        let (state, report) = written.with(&bytes, true);
        assert_eq!(state, expected, "byte {at}");
        let [damage] = &report.damage[..] else {
            panic!("one damage: {report:?}");
        };
        assert_eq!(damage.kind, DamageKind::Damaged);
        assert_eq!(damage.offset, written.starts[1] as u64);
        assert_eq!(damage.lost_bytes, (written.starts[2] - written.starts[1]) as u64);
        assert_eq!(fs::read(damage.kept.as_ref().unwrap()).unwrap(), bytes);
    }
    written.opens_clean(&expected);
}

#[test]
fn a_bad_header_loses_no_record() {
    let written = written(3);
    for at in [0, 9, 20, 30, 43] {
        let mut bytes = written.bytes.clone();
        bytes[at] ^= 0x10;
        let (state, report) = written.with(&bytes, false);
        assert_eq!(state, written.states[3], "byte {at}");
        assert_eq!(report.damage[0].kind, DamageKind::Damaged);
        assert_eq!((report.damage[0].offset, report.damage[0].lost_bytes), (0, 44));
    }
    for len in [0, 1, 43] {
        let (state, report) = written.with(&written.bytes[..len], false);
        assert_eq!(state, Clusters::new());
        assert_eq!(report.damage[0].kind, DamageKind::Damaged);
        written.opens_clean(&Clusters::new());
    }
}

#[test]
fn zeros_and_absurd_lengths_behind_the_end_are_cut_off() {
    let written = written(3);
    for tail in [
        vec![0; 1],
        vec![0; 70_000],
        vec![0xff; 5_000],
        [&(RECORD_MAX + 1).to_le_bytes()[..], &[7; 40]].concat(),
        [&RECORD_MAX.to_le_bytes()[..], &[1; 40]].concat(),
        // A record of this very shard, from a file of another generation.
        {
            let mut frame = Vec::new();
            let payload = record::Payload::Record(ID, Record::Gone);
            let seed = frame::FileId::log(ID.shard(), 2).seed();
            frame::put_frame(&mut frame, seed, &payload).unwrap();
            frame
        },
    ] {
        let (state, report) = written.with(&[&written.bytes[..], &tail].concat(), false);
        assert_eq!(state, written.states[3]);
        let [damage] = &report.damage[..] else {
            panic!("one damage: {report:?}");
        };
        assert_eq!(damage.kind, DamageKind::TornEnd);
        assert_eq!(damage.lost_bytes, tail.len() as u64);
    }
    written.opens_clean(&written.states[3]);
}

#[test]
fn another_version_is_refused_and_left_alone() {
    let written = written(3);
    let mut bytes = written.bytes.clone();
    bytes[8] = 9;
    let sum = crc32fast::hash(&bytes[..40]);
    bytes[40..44].copy_from_slice(&sum.to_le_bytes());
    // Other files have work to do, which must not be done.
    let torn = files(written.dir.path(), 0).remove(0);
    OpenOptions::new().append(true).open(&torn).unwrap().write_all(b"torn").unwrap();
    fs::write(&written.log, &bytes).unwrap();
    let error = Journal::open(written.dir.path(), SyncPolicy::Never).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("has format version 9; this fakeapi reads version 1"), "{text}");
    assert_eq!(fs::read(&written.log).unwrap(), bytes);
    assert!(fs::read(&torn).unwrap().ends_with(b"torn"));
}

#[test]
fn a_registration_that_is_damaged_leaves_orphans_that_are_counted() {
    let written = written(4);
    let mut bytes = written.bytes.clone();
    bytes[written.starts[0] + 9] ^= 1;
    let (state, report) = written.with(&bytes, false);
    assert_eq!(state, Clusters::new());
    assert_eq!((report.clusters, report.orphans), (0, 3));
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_an_error() {
    let written = written(3);
    let (_journal, replay) = open(written.dir.path());
    let mut bytes = written.bytes.clone();
    bytes[written.starts[1] + 12] ^= 1;
    fs::write(&written.log, &bytes).unwrap();
    let error = replay.run(|_, _, _| Ok::<(), JournalError>(())).unwrap_err();
    assert!(
        matches!(error, JournalError::Changed { offset, .. } if offset == written.starts[1] as u64)
    );
}

/// A shard that was compacted, with its files before and after.
fn compacted() -> (tempfile::TempDir, Arc<Fleet>) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::of(Clusters::new());
    fleet.attach(&journal);
    for id in [ID, ClusterId(ID.0 + 16)] {
        fleet.register(&journal, id).unwrap();
        fleet.put(&journal, id, "a", Some("{}")).unwrap();
    }
    let log = files(dir.path(), ID.shard()).remove(0);
    let before = fs::read(&log).unwrap();
    journal.inner.compact(ID.shard()).unwrap();
    fleet.put(&journal, ID, "b", Some("{}")).unwrap();
    // As if the crash came before the old log was removed.
    fs::write(log, before).unwrap();
    (dir, fleet)
}

#[test]
fn a_bad_snapshot_is_not_used_while_the_logs_before_it_are_there() {
    let (dir, fleet) = compacted();
    let snapshot = dir.path().join("05-0000000002.snap");
    let whole = fs::read(&snapshot).unwrap();
    let first = 44 + 8 + usize::from(whole[44]);
    let mut flipped = whole.clone();
    flipped[60] ^= 1;
    for bytes in [
        &whole[..whole.len() - 10],
        &whole[..60],
        &[][..],
        &flipped,
        // A record less than the end mark says.
        &[&whole[..44], &whole[first..]].concat(),
    ] {
        let copy = tempfile::tempdir().unwrap();
        copy_files(dir.path(), copy.path());
        fs::write(copy.path().join("05-0000000002.snap"), bytes).unwrap();
        let (_journal, replay) = open(copy.path());
        assert_eq!(rebuild(&replay, false), fleet.state());
        assert_eq!(replay.report().damage[0].kind, DamageKind::Unneeded);
        assert!(copy.path().join("05-0000000002.snap.damaged").exists());
    }
}

#[test]
fn a_bad_snapshot_serves_what_is_good_when_nothing_else_is_there() {
    let (dir, fleet) = compacted();
    fs::remove_file(dir.path().join("05-0000000001.log")).unwrap();
    let snapshot = dir.path().join("05-0000000002.snap");
    let mut bytes = fs::read(&snapshot).unwrap();
    // The registration of the first cluster; everything of the second one is behind it.
    bytes[44 + 9] ^= 1;
    fs::write(&snapshot, &bytes).unwrap();
    let mut expected = fleet.state();
    expected.remove(&ID);
    for damage in [1, 0] {
        let (_journal, replay) = open(dir.path());
        assert_eq!(rebuild(&replay, true), expected);
        assert_eq!(replay.report().damage.len(), damage);
    }
    let kept = dir.path().join("05-0000000002.snap.damaged");
    assert_eq!(fs::read(kept).unwrap(), bytes);
}

#[test]
fn a_log_that_a_damaged_snapshot_stood_for_in_part_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, fleet) = {
        let (journal, _) = open(dir.path());
        let fleet = Fleet::of(Clusters::new());
        fleet.attach(&journal);
        (journal, fleet)
    };
    fleet.register(&journal, ID).unwrap();
    journal.inner.rotate(ID.shard()).unwrap();
    fleet.put(&journal, ID, "a", Some("{}")).unwrap();
    let second = dir.path().join("05-0000000002.log");
    let before = fs::read(&second).unwrap();
    journal.inner.compact(ID.shard()).unwrap();
    drop(journal);
    fs::write(&second, &before).unwrap();
    let snapshot = dir.path().join("05-0000000003.snap");
    let mut bytes = fs::read(&snapshot).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    let (_journal, replay) = open(dir.path());
    assert_eq!(rebuild(&replay, false), fleet.state(), "only the end mark was bad");
    assert_eq!(replay.report().damage[0].kind, DamageKind::Damaged);
    assert_eq!(fs::read(dir.path().join("05-0000000002.log.damaged")).unwrap(), before);
}

#[test]
fn a_torn_end_that_a_later_log_follows_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::of(Clusters::new());
    fleet.register(&journal, ID).unwrap();
    fleet.put(&journal, ID, "lost", Some("{}")).unwrap();
    journal.inner.rotate(ID.shard()).unwrap();
    fleet.put(&journal, ID, "kept", Some("{}")).unwrap();
    drop(journal);
    let log = dir.path().join("05-0000000001.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes.pop();
    fs::write(&log, &bytes).unwrap();
    let (_journal, replay) = open(dir.path());
    let [damage] = &replay.report().damage[..] else {
        panic!("one damage: {:?}", replay.report());
    };
    assert_eq!(damage.kind, DamageKind::Damaged);
    assert_eq!(fs::read(damage.kept.as_ref().unwrap()).unwrap(), bytes);
    let mut expected = fleet.state();
    expected.get_mut(&ID).unwrap().objects.remove("lost");
    assert_eq!(rebuild(&replay, true), expected);
}

#[test]
fn a_missing_log_is_reported() {
    let (dir, _) = compacted();
    fs::remove_file(dir.path().join("05-0000000002.log")).unwrap();
    let (_journal, replay) = open(dir.path());
    let [damage] = &replay.report().damage[..] else {
        panic!("one damage: {:?}", replay.report());
    };
    assert_eq!(damage.kind, DamageKind::Missing);
    assert!(damage.file.ends_with("05-0000000002.log"));
    assert_eq!(rebuild(&replay, false).len(), 2);
}
