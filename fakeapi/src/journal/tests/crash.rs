//! `kill -9`, for real: this test starts itself as another process and kills it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use pretty_assertions::assert_eq;

use super::*;

const DIRECTORY: &str = "FAKEAPI_TEST_JOURNAL";

/// Not a test of its own: what is killed. Says every change after it is acknowledged.
#[test]
fn child() {
    let Some(path) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let settings =
        Settings { policy: SyncPolicy::Never, compact_min: 50_000, disk: Arc::new(OsDisk) };
    let (journal, replay) = Journal::open_with(Path::new(&path), settings).unwrap();
    let fleet = Fleet::of(rebuild(&replay, false));
    fleet.attach(&journal);
    let mut say = io::stderr();
    loop {
        let id = journal.allocate();
        fleet.register(&journal, id).unwrap();
        for number in 0..50 {
            let json = "x".repeat(200);
            fleet.put(&journal, id, &format!("o{}", number % 5), Some(&json)).unwrap();
            let revision = number + 2;
            // One write, so that a line is whole or not there.
            say.write_all(format!("ack {id} {revision}\n").as_bytes()).unwrap();
        }
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["journal::tests::crash::child", "--exact", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut acks = 0;
        let mut take = |line: &str| {
            let mut words = line.split(' ').skip(1).map(|word| word.parse().unwrap());
            let (id, revision) = (words.next().unwrap(), words.next().unwrap());
            acknowledged.insert(id, revision);
        };
        for line in lines.by_ref() {
            take(&line.unwrap());
            acks += 1;
            if acks == 3000 + 517 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let (state, report) = after_kill(dir.path());
        for (id, revision) in &acknowledged {
            let cluster = state.get(&ClusterId(*id)).unwrap_or_else(|| panic!("cluster {id}"));
            assert!(cluster.revision >= *revision, "cluster {id} has {}", cluster.revision);
        }
        let torn = |damage: &&Damage| damage.kind != DamageKind::TornEnd;
        assert_eq!(report.damage.iter().find(torn), None);
        assert_eq!(report.orphans, 0);
    }
}
