//! When the disk is asked.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pretty_assertions::assert_eq;

use super::faults::faulty;
use super::*;

const HOUR: SyncPolicy = SyncPolicy::Interval(Duration::from_hours(1));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_come_together_share_a_sync() {
    let (_dir, disk, journal) = faulty(HOUR, Duration::from_millis(5));
    let journal = Arc::new(journal);
    let fleet = Fleet::of(Clusters::new());
    let callers = (0..200u64).map(|number| {
        let (journal, fleet) = (journal.clone(), fleet.clone());
        tokio::spawn(async move {
            let id = ClusterId(16 * number);
            fleet.register(&journal, id).unwrap();
            let shard = &journal.inner.shards[0];
            let target = shard.target();
            journal.sync(id).await.unwrap();
            assert!(shard.is_synced(target).unwrap());
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let syncs = disk.syncs.load(Ordering::SeqCst);
    assert!((1..50).contains(&syncs), "{syncs} syncs for 200 callers");
    // Nothing is left to sync, so nothing is done.
    journal.sync(ClusterId(0)).await.unwrap();
    assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs);
}

#[tokio::test]
async fn a_sync_covers_what_was_appended_before_it_also_across_a_rotation() {
    let (_dir, disk, journal) = faulty(HOUR, Duration::ZERO);
    let fleet = Fleet::of(Clusters::new());
    fleet.register(&journal, ClusterId(0)).unwrap();
    let shard = &journal.inner.shards[0];
    let (log, highest) = shard.next_log();
    let file = journal.inner.directory.new_log(log, highest).unwrap();
    shard.rotate(log, file, 44).unwrap();
    disk.syncs.store(0, Ordering::SeqCst);
    journal.sync(ClusterId(0)).await.unwrap();
    assert_eq!(disk.syncs.load(Ordering::SeqCst), 2, "the old log and the new one");
}

#[test]
fn an_interval_syncs_once_for_all_and_rests() {
    let (_dir, disk, journal) =
        faulty(SyncPolicy::Interval(Duration::from_millis(50)), Duration::ZERO);
    let fleet = Fleet::of(Clusters::new());
    fleet.register(&journal, ClusterId(1)).unwrap();
    for number in 0..100 {
        fleet.put(&journal, ClusterId(1), &format!("o{number}"), Some("{}")).unwrap();
    }
    let begun = Instant::now();
    while disk.syncs.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "no sync came");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    let syncs = disk.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 3, "{syncs} syncs");
    assert!(journal.inner.shards[1].capture().is_none());
}

#[tokio::test]
async fn the_policy_is_kept() {
    for (policy, after_append, after_sync, after_drop) in
        [(SyncPolicy::Always, 1, 1, 1), (HOUR, 0, 1, 1), (SyncPolicy::Never, 0, 0, 0)]
    {
        let (_dir, disk, journal) = faulty(policy, Duration::ZERO);
        let syncs = || disk.syncs.load(Ordering::SeqCst);
        Fleet::default().register(&journal, ClusterId(1)).unwrap();
        assert_eq!(syncs(), after_append, "{policy:?}");
        journal.sync(ClusterId(1)).await.unwrap();
        assert_eq!(syncs(), after_sync, "{policy:?}");
        drop(journal);
        assert_eq!(syncs(), after_drop, "{policy:?}");
    }
    let (_dir, disk, journal) = faulty(HOUR, Duration::ZERO);
    Fleet::default().register(&journal, ClusterId(1)).unwrap();
    drop(journal);
    assert_eq!(disk.syncs.load(Ordering::SeqCst), 1, "dropping syncs the rest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_synced_survives_the_loss_of_power() {
    let (dir, disk, journal) = faulty(HOUR, Duration::from_millis(1));
    let journal = Arc::new(journal);
    let fleet = Fleet::of(Clusters::new());
    fleet.attach(&journal);
    for round in 0..8u64 {
        let callers = (0..20u64).map(|number| {
            let (journal, fleet) = (journal.clone(), fleet.clone());
            tokio::spawn(async move {
                let id = ClusterId(1 + (round * 20 + number) * 2);
                fleet.register(&journal, id).unwrap();
                fleet.put(&journal, id, "a", Some("{}")).unwrap();
                journal.sync(id).await.unwrap();
                id
            })
        });
        let mut acknowledged = Vec::new();
        for caller in callers.collect::<Vec<_>>() {
            acknowledged.push(caller.await.unwrap());
        }
        // Written, and not acknowledged as durable.
        fleet.put(&journal, acknowledged[0], "later", Some("{}")).unwrap();
        if round % 2 == 1 {
            journal.inner.compact(1).unwrap();
        }
        let platter = tempfile::tempdir().unwrap();
        disk.power_loss(dir.path(), platter.path());
        let (_journal, replay) = open(platter.path());
        assert_eq!(replay.report().damage, []);
        let state = rebuild(&replay, false);
        for id in acknowledged {
            assert!(state[&id].objects.contains_key("a"), "cluster {id}");
        }
    }
}

#[test]
fn a_log_that_gave_way_to_a_new_one_is_on_disk() {
    let (dir, disk, journal) = faulty(HOUR, Duration::ZERO);
    let fleet = Fleet::default();
    fleet.register(&journal, ClusterId(1)).unwrap();
    journal.inner.rotate(1).unwrap();
    let platter = tempfile::tempdir().unwrap();
    disk.power_loss(dir.path(), platter.path());
    assert_eq!(rebuild(&open(platter.path()).1, false), fleet.state());
}
