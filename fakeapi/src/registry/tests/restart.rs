//! What the journal has comes back, also when it has what it should not have.

use apiserver::storage::{Key, Object, ResourceId, Storage};
use serde_json::json;

use super::*;
use crate::addr::ClusterAddr;
use crate::cluster::base::ClusterFacts;
use crate::cluster::baseline::DEFAULT_VERSION;
use crate::journal::{ClusterId, ObjectBytes, ObjectKey, Record};
use crate::register::{Fault, RegisterRequest, Registrar};
use crate::registry::boot::Booting;
use crate::registry::cluster::Identity;
use crate::registry::record::StandIns;

/// Writes a registration that nobody was told of.
async fn leave(run: &Run, id: u64, name: &str, address: &str) {
    let facts = ClusterFacts {
        name: named(name),
        addr: ClusterAddr(address.parse().unwrap()),
        ca: CertificateAuthority::from_pem(&authority()).unwrap(),
        etcd_ca: CertificateAuthority::from_pem(&authority()).unwrap(),
        seed: uuid::Uuid::new_v4(),
        created: Timestamp::now(),
    };
    let identity = Identity::new(facts, StandIns::default());
    let left = run.registry.make(ClusterId(id), identity, DEFAULT_VERSION);
    left.append_registration().unwrap();
    left.sync().await.unwrap();
}

/// The shards are read one after the other, so either one may come first.
#[tokio::test]
async fn the_newest_of_a_name_or_an_address_is_served() {
    for (older, newer) in [(1, 18), (2, 17)] {
        let directory = tempfile::tempdir().unwrap();
        let run = start(directory.path(), None);
        leave(&run, older, "name", "127.64.0.1:6443").await;
        leave(&run, newer, "name", "127.64.0.2:6443").await;
        leave(&run, older + 32, "old", "127.64.0.3:6443").await;
        leave(&run, newer + 32, "new", "127.64.0.3:6443").await;
        drop(run);
        for _ in 0..2 {
            let run = start(directory.path(), None);
            let found = run.registry.clusters(None, 10);
            let found: Vec<_> =
                found.iter().map(|c| (c.name.as_str(), c.address.to_string())).collect();
            let expected = [("name", "127.64.0.2:6443"), ("new", "127.64.0.3:6443")]
                .map(|(name, address)| (name, address.to_owned()));
            assert_eq!(found, expected);
            assert_eq!(run.registry.ipam().used(), 2, "what is superseded has no address");
            assert_eq!(run.journal.stats().clusters, 2, "the journal knows its end");
        }
        let run = start(directory.path(), None);
        let wanted = Some("127.64.0.1:6443".parse().unwrap());
        let request = RegisterRequest { address: wanted, ..RegisterRequest::default() };
        run.registry.register(&named("free"), request).await.unwrap();
    }
}

fn map(revision: u64) -> Object {
    Object::encode(&json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"name": "m", "namespace": "default", "resourceVersion": revision.to_string()},
    }))
}

/// As after an upgrade to a version whose baseline has more objects.
#[tokio::test]
async fn what_an_earlier_version_wrote_at_lower_revisions_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    let cluster = run.registry.known(&named("c")).unwrap();
    let clock = cluster.store.revision();
    let object = map(2);
    let key = ObjectKey { group: "", resource: "configmaps", namespace: "default", name: "m" };
    let bytes = ObjectBytes { json: object.json(), rest: object.rest() };
    let record = Record::Object { revision: 2, key, object: Some(bytes) };
    run.journal.append(cluster.id, &record).unwrap();
    drop((cluster, run));
    let run = start(directory.path(), None);
    let cluster = run.registry.known(&named("c")).unwrap();
    let key = Key::new(ResourceId::of("", "configmaps"), "default", "m");
    assert!(cluster.store.get(&key).is_some());
    assert!(cluster.store.revision() >= clock);
}

#[tokio::test]
async fn an_activation_that_is_replayed_is_not_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    let early = run.registry.known(&named("c")).unwrap().store.revision();
    run.registry.put_node(&named("c"), control_plane("n")).await.unwrap();
    let nodes = ResourceId::of("", "nodes");
    let check = |run: &Run| {
        let cluster = run.registry.known(&named("c")).unwrap();
        let late = cluster.store.revision();
        assert!(cluster.store.changes(nodes, early, 1).is_err(), "dozens of events are kept");
        assert!(cluster.store.changes(nodes, late, 1).is_ok());
        late
    };
    let late = check(&run);
    drop(run);
    assert_eq!(check(&start(directory.path(), None)), late);
}

/// The faults that a snapshot has.
fn faults_in_snapshot(run: &Run) -> Vec<serde_json::Value> {
    let mut faults = Vec::new();
    for shard in 0..crate::journal::JOURNAL_SHARDS {
        let mut look = |_: ClusterId, record: &Record<'_>| {
            if let Record::Base { body, .. } = record {
                let change: serde_json::Value = serde_json::from_slice(body).unwrap();
                faults.extend(change.get("fault").cloned());
            }
            Ok(())
        };
        run.registry.snapshot(shard, &mut look).unwrap();
    }
    faults
}

#[tokio::test]
async fn a_fault_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    let wanted =
        [("all", Fault::Blackhole), ("some", Fault::Drop { per_mille: 7 }), ("none", Fault::None)];
    for (name, fault) in wanted {
        run.registry.register(&named(name), RegisterRequest::default()).await.unwrap();
        // The last one that was set counts.
        run.registry.set_fault(&named(name), Fault::Drop { per_mille: 1 }).await.unwrap();
        run.registry.set_fault(&named(name), fault).await.unwrap();
    }
    let revision = run.registry.known(&named("all")).unwrap().store.revision();
    drop(run);
    let run = start(directory.path(), None);
    for (name, fault) in wanted {
        assert_eq!(run.registry.fault(&named(name)).unwrap(), fault, "{name}");
    }
    let cluster = run.registry.known(&named("all")).unwrap();
    assert_eq!(cluster.store.revision(), revision, "a fault is no change of an object");
    let mut faults = faults_in_snapshot(&run);
    faults.sort_by_key(ToString::to_string);
    assert_eq!(faults, [json!({"kind": "blackhole"}), json!({"kind": "drop", "per_mille": 7})]);
}

/// A snapshot knows the notes of before it by their revisions, as it does changes.
#[tokio::test]
async fn what_is_noted_after_a_snapshot_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    let cluster = run.registry.known(&named("c")).unwrap();
    let boots = |name: &str| Booting {
        node: control_plane(name),
        ready_at: "2036-01-01T00:00:00Z".parse().unwrap(),
    };
    cluster.write_booting(boots("before")).unwrap();
    run.registry.set_fault(&named("c"), Fault::Drop { per_mille: 1 }).await.unwrap();
    run.journal.compact();
    run.registry.set_fault(&named("c"), Fault::Blackhole).await.unwrap();
    cluster.write_booting(boots("after")).unwrap();
    cluster.sync().await.unwrap();
    let revision = cluster.store.revision();
    drop((cluster, run));
    for _ in 0..2 {
        let run = start(directory.path(), None);
        assert_eq!(run.registry.fault(&named("c")).unwrap(), Fault::Blackhole);
        let cluster = run.registry.known(&named("c")).unwrap();
        let names: Vec<_> = cluster.booting_nodes().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["after", "before"]);
        assert_eq!(cluster.store.revision(), revision);
        run.journal.compact();
    }
}

/// As versions wrote it whose notes took no revision.
#[tokio::test]
async fn a_note_at_the_clock_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    let cluster = run.registry.known(&named("c")).unwrap();
    let revision = cluster.store.revision();
    let body = serde_json::to_vec(&json!({"fault": Fault::Blackhole})).unwrap();
    run.journal.append(cluster.id, &Record::Base { revision, body: &body }).unwrap();
    drop((cluster, run));
    let run = start(directory.path(), None);
    assert_eq!(run.registry.fault(&named("c")).unwrap(), Fault::Blackhole);
    assert_eq!(run.registry.known(&named("c")).unwrap().store.revision(), revision);
}
