//! What rules do by themselves, over changes and restarts.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::behaviour::LATER;
use super::*;
use crate::behaviour::{Behaviours, Effect, Rule};
use crate::register::{RegisterRequest, Registrar};

fn rule(value: Value) -> Rule {
    serde_json::from_value(value).unwrap()
}

async fn with_node(run: &Run) {
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    run.registry.put_node(&named("c"), control_plane("n")).await.unwrap();
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn lost(run: &Run) -> u64 {
    run.registry.behaviours.get("r").unwrap().counts.of(Effect::LeaderLoss)
}

#[tokio::test]
async fn a_node_that_is_put_again_while_it_is_down_becomes_well_with_the_rules_end() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    with_node(&run).await;
    let _acts = run.registry.begin_behaviours().await;
    let flaps = rule(json!({"name": "r", "node": {
        "flapping": {"upFor": "1s", "downFor": "1h"},
    }}));
    run.registry.put_behaviour(flaps).await.unwrap();
    let unwell = || !run.registry.unwell(&named("c")).unwrap().is_empty();
    until("it does not flap", unwell).await;
    run.registry.put_node(&named("c"), control_plane("n")).await.unwrap();
    assert!(unwell());
    run.registry.remove_behaviour("r").await.unwrap();
    until("it stays down", || !unwell()).await;
}

#[tokio::test]
async fn only_a_leader_that_there_was_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    run.registry.register(&named("c"), RegisterRequest::default()).await.unwrap();
    run.registry
        .put_behaviour(rule(json!({"name": "r", "etcd": {"leaderLoss": {}}})))
        .await
        .unwrap();
    let cluster = run.registry.known(&named("c")).unwrap();
    let active = cluster.behaviour.effects().unwrap().active()[0].clone();
    run.registry.lose_leader(&cluster, &active, 0).await;
    assert_eq!(lost(&run), 0, "there is no member");
    run.registry.put_node(&named("c"), control_plane("n")).await.unwrap();
    run.registry.lose_leader(&cluster, &active, 0).await;
    assert_eq!(lost(&run), 0, "nobody else can lead");
    run.registry.put_node(&named("c"), control_plane("m")).await.unwrap();
    run.registry.lose_leader(&cluster, &active, 0).await;
    assert_eq!(lost(&run), 1);
}

#[tokio::test]
async fn a_leader_that_is_lost_once_is_not_lost_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    with_node(&run).await;
    run.registry.put_node(&named("c"), control_plane("m")).await.unwrap();
    let acts = run.registry.begin_behaviours().await;
    run.registry
        .put_behaviour(rule(json!({"name": "r", "etcd": {"leaderLoss": {}}})))
        .await
        .unwrap();
    until("it leads on", || lost(&run) == 1).await;
    drop((acts, run));
    let run = start(directory.path(), None);
    let _acts = run.registry.begin_behaviours().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(lost(&run), 0);
}

#[tokio::test]
async fn an_end_that_cannot_be_written_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let run = start(directory.path(), None);
    let ends = rule(json!({"name": "r", "expireAfter": "1s", "etcd": {"errorRate": 1}}));
    run.registry.put_behaviour(ends).await.unwrap();
    let entry = run.registry.behaviours.get("r").unwrap();
    // A directory where the new file would be.
    let hindrance = directory.path().join("behaviours.json.new");
    std::fs::create_dir(&hindrance).unwrap();
    let _acts = run.registry.begin_behaviours().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(run.registry.behaviours.get("r").is_some());
    std::fs::remove_dir(&hindrance).unwrap();
    drop(entry);
    tokio::time::sleep(LATER).await;
    until("the rule stays", || run.registry.behaviours.get("r").is_none()).await;
}
