//! Many threads at once.

use std::thread;
use std::time::Instant;

use pretty_assertions::assert_eq;

use super::*;

#[test]
fn eight_threads_keep_the_order_of_each_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::default();
    // Clusters of one shard and of many, written to by all threads.
    let ids: Vec<ClusterId> =
        (0..4).map(|n| ClusterId(n * 16)).chain((1..5).map(ClusterId)).collect();
    for &id in &ids {
        fleet.register(&journal, id).unwrap();
    }
    thread::scope(|scope| {
        for thread in 0..8 {
            let (fleet, journal, ids) = (&fleet, &journal, &ids);
            scope.spawn(move || {
                for number in 0..200 {
                    let id = ids[(thread + number) % ids.len()];
                    let json = format!("{{\"thread\":{thread},\"number\":{number}}}");
                    fleet.put(journal, id, &format!("o{}", number % 7), Some(&json)).unwrap();
                }
            });
        }
    });
    drop(journal);
    // `rebuild` wants each revision to follow the one before.
    assert_eq!(rebuild(&open(dir.path()).1, false), fleet.state());
}

/// Prints how fast appends and a replay are; run with `--nocapture`, best with `--release`.
#[test]
fn rates() {
    const RECORDS: u32 = 50_000;
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let fleet = Fleet::default();
    for id in 0..64 {
        fleet.register(&journal, ClusterId(id)).unwrap();
    }
    let json = "x".repeat(1500);
    let begun = Instant::now();
    for number in 0..RECORDS {
        let revision = u64::from(number / 64 + 2);
        let record = object(revision, "one", Some(json.as_bytes()));
        journal.append(ClusterId(u64::from(number % 64)), &record).unwrap();
    }
    let rate = |begun: Instant| f64::from(RECORDS) / begun.elapsed().as_secs_f64();
    println!("append: {:.0} records of 1.5 KB a second on one thread", rate(begun));
    drop(journal);
    let begun = Instant::now();
    let (_journal, replay) = open(dir.path());
    println!("open:   {:.0} records a second", rate(begun));
    let begun = Instant::now();
    let mut seen = 0;
    let count = |_, _: Record<'_>, _| {
        seen += 1;
        Ok::<(), JournalError>(())
    };
    replay.run(count).unwrap();
    println!("replay: {:.0} records a second", rate(begun));
    assert_eq!(seen, RECORDS + 64);
}
