//! Anything that may happen to nodes, in any order.

use pretty_assertions::assert_eq;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Something that happens to one of a few nodes.
#[derive(Clone, Debug)]
enum Step {
    Put(NodeSpec),
    Remove(String),
    Lead(String),
    Health(String, NodeHealth),
}

fn step() -> impl Strategy<Value = Step> {
    let name = (0..6_u8).prop_map(|number| format!("n-{number}"));
    let health = prop::sample::select(vec![
        NodeHealth::Ready,
        NodeHealth::NotReady,
        NodeHealth::Unreachable,
    ]);
    let version = prop::option::of(prop::sample::select(vec!["v1.35.9", "v1.36.3", "v1.37.0"]));
    let spec = (name.clone(), any::<bool>(), version, 0..3_u8).prop_map(
        |(name, control, version, label)| {
            let mut spec = if control { control_plane(&name) } else { worker(&name) };
            spec.version = version.map(str::to_owned);
            spec.labels.insert("turn".to_owned(), label.to_string());
            spec
        },
    );
    prop_oneof![
        4 => spec.prop_map(Step::Put),
        2 => name.clone().prop_map(Step::Remove),
        1 => name.clone().prop_map(Step::Lead),
        3 => (name, health).prop_map(|(name, health)| Step::Health(name, health)),
    ]
}

fn apply(base: &mut ClusterBase, step: &Step, first: u64, second: i64) -> Vec<BaseChange> {
    match step {
        Step::Put(spec) => base.put_node(spec, first, at(second)).unwrap_or_default(),
        Step::Remove(name) => base.remove_node(name, first, at(second)).unwrap_or_default(),
        Step::Health(name, health) => {
            base.set_health(name, *health, first, at(second)).unwrap_or_default()
        }
        Step::Lead(name) => base.move_leader(name, first, at(second)).unwrap_or_default(),
    }
}

/// What can be read is what was told: the revision of every object is that of its last event.
fn follow(seen: &mut BTreeMap<Key, u64>, first: u64, changes: &[BaseChange]) {
    for (revision, change) in (first..).zip(changes) {
        match change.kind {
            EventKind::Added => {
                assert_eq!(seen.insert(change.key.clone(), revision), None, "{:?}", change.key);
            }
            EventKind::Modified => {
                let old = seen.insert(change.key.clone(), revision);
                let last = change.last.as_ref().map(|last| last.meta.resource_version);
                // Of two changes at once, readers see the second one only.
                if old.is_some_and(|old| old < first) {
                    assert_eq!(old, last, "{:?}", change.key);
                }
                assert!(old.is_some(), "{:?}", change.key);
            }
            EventKind::Deleted => assert!(seen.remove(&change.key).is_some(), "{:?}", change.key),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn readers_and_watchers_agree_and_a_restart_changes_nothing(
        steps in vec(step(), 1..25),
        restart in 0..25_usize,
    ) {
        let mut base = cluster();
        let facts = base.facts().clone();
        let mut seen: BTreeMap<Key, u64> = everything(&base)
            .into_iter()
            .map(|key| (key.clone(), base.get_at(&key, at(0)).unwrap().meta.resource_version))
            .collect();
        let mut twin = None;
        let mut next = base.initial_revision() + 1;
        for (turn, second) in (0..).zip(0_i64..).take(steps.len()) {
            if turn == restart {
                twin = Some(ClusterBase::from_state(facts.clone(), baseline(), base.state()));
            }
            let changes = apply(&mut base, &steps[turn], next, second);
            follow(&mut seen, next, &changes);
            if let Some(twin) = &mut twin {
                apply(twin, &steps[turn], next, second);
                prop_assert_eq!(twin.state(), base.state());
                prop_assert_eq!(twin.version(), base.version());
            }
            next += changes.len() as u64;
            let read: BTreeMap<Key, u64> = everything(&base)
                .into_iter()
                .map(|key| (key.clone(), base.get_at(&key, at(0)).unwrap().meta.resource_version))
                .collect();
            prop_assert_eq!(&read, &seen);
        }
    }
}
