//! Anything that may happen to nodes, in any order.

use pretty_assertions::assert_eq;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::cluster::members::MemberChange;
use crate::register::MemberHealth;

/// Something that happens to one of a few nodes.
#[derive(Clone, Debug)]
enum Step {
    Put(NodeSpec),
    Remove(String),
    Lead(String),
    Health(String, NodeHealth),
    /// The member on a node fares otherwise.
    Fare(String, MemberHealth),
    /// A client asks etcd to remove the member on a node.
    Leave(String),
    /// A client asks etcd to let the member on a node lead.
    Ask(String),
    /// A client adds a member that nobody starts.
    Join(u8, bool),
    RollOut(Workload, u8),
    /// The pod at this place of the list, and where it comes again.
    Renew(usize, String),
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
    let member = prop::sample::select(vec![
        MemberHealth::Healthy,
        MemberHealth::Lost,
        MemberHealth::Lost,
        MemberHealth::Learner,
        MemberHealth::NoSpace,
    ]);
    prop_oneof![
        4 => spec.prop_map(Step::Put),
        2 => name.clone().prop_map(Step::Remove),
        1 => name.clone().prop_map(Step::Lead),
        1 => (prop::sample::select(vec![Workload::Proxy, Workload::Dns]), 0..3_u8)
            .prop_map(|(workload, image)| Step::RollOut(workload, image)),
        3 => (any::<usize>(), name.clone()).prop_map(|(place, node)| Step::Renew(place, node)),
        3 => (name.clone(), health).prop_map(|(name, health)| Step::Health(name, health)),
        2 => (name.clone(), member).prop_map(|(name, health)| Step::Fare(name, health)),
        2 => name.clone().prop_map(Step::Leave),
        1 => name.prop_map(Step::Ask),
        1 => (0..3_u8, any::<bool>()).prop_map(|(host, learner)| Step::Join(host, learner)),
    ]
}

fn apply(base: &mut ClusterBase, step: &Step, first: u64, second: i64) -> Vec<BaseChange> {
    match step {
        Step::Put(spec) => base.put_node(spec, first, at(second)).unwrap_or_default(),
        Step::Remove(name) => base.remove_node(name, first, at(second)).unwrap_or_default(),
        Step::RollOut(workload, image) => {
            base.roll_out(*workload, &format!("x/y:v{image}"), first, at(second))
        }
        Step::Renew(place, node) => {
            let pods = scan(base, RESOURCES.pods, None, None);
            let Some((_, name)) = pods.get(place % pods.len().max(1)) else { return Vec::new() };
            base.renew_pod(name, Some(node), first, at(second)).unwrap_or_default()
        }
        Step::Health(name, health) => {
            base.set_health(name, *health, first, at(second)).unwrap_or_default()
        }
        Step::Lead(name) => base.move_leader(name, first, at(second)).unwrap_or_default(),
        Step::Fare(node, health) => {
            let change = MemberChange::Fare { node: node.clone(), health: *health };
            base.change_members(&change, first, at(second))
        }
        Step::Leave(name) => ask(base, name, |id| MemberChange::Remove { id }, first, second),
        Step::Ask(name) => ask(base, name, |id| MemberChange::Lead { id }, first, second),
        Step::Join(host, learner) => {
            let peer_urls = vec![format!("https://10.9.9.{host}:2380")];
            let change = MemberChange::Add { peer_urls, learner: *learner };
            allowed(base, &change, first, second)
        }
    }
}

/// Makes a change of the member on a node, if etcd would.
fn ask(
    base: &mut ClusterBase,
    node: &str,
    change: impl FnOnce(u64) -> MemberChange,
    first: u64,
    second: i64,
) -> Vec<BaseChange> {
    match base.etcd_member_id(node) {
        Some(id) => allowed(base, &change(id.into()), first, second),
        None => Vec::new(),
    }
}

fn allowed(
    base: &mut ClusterBase,
    change: &MemberChange,
    first: u64,
    second: i64,
) -> Vec<BaseChange> {
    match base.members(&|_| Noted::default()).check(change) {
        Ok(()) => base.change_members(change, first, at(second)),
        Err(_) => Vec::new(),
    }
}

/// Where a majority runs exactly one member leads, which runs and votes; elsewhere none does. Its
/// pod says so, and no other.
fn check_leader(base: &ClusterBase) {
    let members = base.members(&|_| Noted::default());
    let voters = members.list.iter().filter(|m| !m.learner);
    let running = voters.clone().filter(|m| m.running).count();
    let leader = members.leading();
    assert_eq!(leader.is_some(), running * 2 > voters.count(), "{members:?}");
    assert!(leader.is_none_or(|leader| leader.running && !leader.learner), "{members:?}");
    assert_eq!(leader.and_then(|leader| leader.node.as_deref()), base.etcd_leader());
    let annotated =
        members.list.iter().filter_map(|member| member.node.as_deref()).filter(|node| {
            let pod = value(base, &pod(&format!("etcd-{node}")));
            let key = "etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from";
            !pod["metadata"]["annotations"][key].is_null()
        });
    assert_eq!(annotated.collect::<Vec<_>>(), Vec::from_iter(base.etcd_leader()));
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
            check_leader(&base);
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
