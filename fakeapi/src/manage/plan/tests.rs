use pretty_assertions::assert_eq;

use super::*;
use crate::manage::endpoint::Destinations;
use crate::manage::kinds::Labels;
use crate::manage::seen::{Endpoint, Infrastructure, ObjectName};

fn infrastructure(kind: &str) -> Infrastructure {
    Infrastructure {
        group: marks::INFRASTRUCTURE_GROUP.into(),
        kind: kind.into(),
        name: ObjectName::new("ns", "infra"),
    }
}

fn seen_cluster() -> SeenCluster {
    SeenCluster {
        uid: "u1".to_owned(),
        deleting: false,
        paused: false,
        held: false,
        unpause: false,
        ignore: false,
        labels: Labels::from([("env".to_owned(), "test".to_owned())]),
        endpoint: Endpoint::Empty,
        annotated: None,
        destinations: Ok(Destinations::default()),
        infrastructure: Some(infrastructure("Metal3Cluster")),
        version: None,
        variable: None,
    }
}

fn policy(register: Register, selector: &str) -> Policy {
    Policy { register, selector: LabelSelector::parse(selector).unwrap(), namespace: None }
}

#[test]
fn which_clusters_are_ours() {
    let metal3 = policy(Register::Metal3, "");
    let any = policy(Register::Any, "");
    let change = |change: fn(&mut SeenCluster)| {
        let mut cluster = seen_cluster();
        change(&mut cluster);
        cluster
    };
    let docker = change(|cluster| cluster.infrastructure = Some(infrastructure("DockerCluster")));
    let none = change(|cluster| cluster.infrastructure = None);
    for (policy, cluster, wanted) in [
        (&metal3, seen_cluster(), Ok(())),
        (&metal3, docker.clone(), Err(Skip::OtherInfrastructure)),
        (&any, docker, Ok(())),
        (&metal3, none.clone(), Err(Skip::NoInfrastructure)),
        (&any, none, Ok(())),
        (&metal3, change(|cluster| cluster.ignore = true), Err(Skip::Ignored)),
        (&metal3, change(|cluster| cluster.deleting = true), Err(Skip::Deleting)),
        (&metal3, change(|cluster| cluster.paused = true), Ok(())),
        (&policy(Register::Never, ""), seen_cluster(), Err(Skip::Never)),
        (&policy(Register::Metal3, "env=test"), seen_cluster(), Ok(())),
        (&policy(Register::Metal3, "env!=test"), seen_cluster(), Err(Skip::NotSelected)),
        (&policy(Register::Any, "other"), seen_cluster(), Err(Skip::NotSelected)),
    ] {
        assert_eq!(ours(policy, &cluster), wanted, "{policy:?} {cluster:?}");
    }
}

#[test]
fn other_infrastructure_is_read_only_where_it_is_written() {
    let written = Destinations { infrastructure: true, ..Destinations::default() };
    let elsewhere = Destinations { annotation: true, ..Destinations::default() };
    for (kind, destinations, wanted) in [
        ("DockerCluster", Ok(written), true),
        ("DockerCluster", Ok(elsewhere), false),
        ("DockerCluster", Ok(Destinations::default()), false),
        ("DockerCluster", Err("nowhere".to_owned()), false),
        // The role allows that, and the Cluster copies what it says.
        ("Metal3Cluster", Ok(written), true),
        ("Metal3Cluster", Ok(elsewhere), true),
        ("Metal3Cluster", Err("nowhere".to_owned()), true),
    ] {
        let infrastructure = Some(infrastructure(kind));
        let seen = SeenCluster { destinations, infrastructure, ..seen_cluster() };
        assert_eq!(seen.readable_infrastructure().is_some(), wanted, "{seen:?}");
    }
    let none = SeenCluster { infrastructure: None, ..seen_cluster() };
    assert_eq!(none.readable_infrastructure(), None);
}

#[test]
fn of_other_namespaces_nothing_is_known() {
    let all = policy(Register::Metal3, "");
    let one = Policy { namespace: Some("ns".to_owned()), ..all.clone() };
    assert!(all.looks_at("ns") && all.looks_at("other"));
    assert!(one.looks_at("ns") && !one.looks_at("other"));
}

#[test]
fn what_becomes_of_a_cluster() {
    let policy = policy(Register::Metal3, "");
    let here = seen_cluster();
    let docker =
        SeenCluster { infrastructure: Some(infrastructure("DockerCluster")), ..seen_cluster() };
    let deleting = SeenCluster { deleting: true, ..seen_cluster() };
    let ignored = SeenCluster { ignore: true, ..seen_cluster() };
    let by = |uid: Option<&str>| {
        Some(Registration { registered_for: uid.map(str::to_owned), paused: false })
    };
    let paused_by = |uid: &str| Some(Registration { paused: true, ..by(Some(uid)).unwrap() });
    for (seen, was_paused, registration, wanted) in [
        (Some(&here), false, None, ClusterPlan::Register),
        (Some(&here), false, by(Some("u1")), ClusterPlan::Keep),
        // A user's registration is taken as it is.
        (Some(&here), false, by(None), ClusterPlan::Keep),
        (Some(&docker), false, by(None), ClusterPlan::Keep),
        (Some(&docker), false, None, ClusterPlan::Skip(Skip::OtherInfrastructure)),
        // Registered or not, for this Cluster or another one.
        (Some(&ignored), false, None, ClusterPlan::Skip(Skip::Ignored)),
        (Some(&ignored), false, by(None), ClusterPlan::Skip(Skip::Ignored)),
        (Some(&ignored), false, by(Some("u1")), ClusterPlan::Skip(Skip::Ignored)),
        (Some(&ignored), false, by(Some("u0")), ClusterPlan::Skip(Skip::Ignored)),
        // The same name, another Cluster.
        (Some(&here), false, by(Some("u0")), ClusterPlan::Replace),
        (Some(&docker), false, by(Some("u0")), ClusterPlan::Unregister),
        (Some(&deleting), false, by(Some("u0")), ClusterPlan::Unregister),
        // Until the object is gone, KCP reads what it holds.
        (Some(&deleting), false, by(Some("u1")), ClusterPlan::Keep),
        (Some(&deleting), false, None, ClusterPlan::Skip(Skip::Deleting)),
        (None, false, by(Some("u1")), ClusterPlan::Unregister),
        (None, false, by(None), ClusterPlan::Leave),
        // clusterctl move.
        (None, true, by(Some("u1")), ClusterPlan::Leave),
        (None, false, paused_by("u1"), ClusterPlan::Leave),
        (Some(&here), false, paused_by("u1"), ClusterPlan::Keep),
        (Some(&here), false, paused_by("u0"), ClusterPlan::Keep),
        (None, false, None, ClusterPlan::Nothing),
        (None, true, None, ClusterPlan::Nothing),
    ] {
        let planned = cluster(&policy, seen, was_paused, registration.as_ref());
        assert_eq!(planned, wanted, "{seen:?} {was_paused} {registration:?}");
    }
}

fn machine(kind: &str) -> SeenMachine {
    SeenMachine {
        deleting: false,
        cluster: "c".into(),
        labels: Labels::from([(marks::CLUSTER_NAME_LABEL.to_owned(), "c".to_owned())]),
        version: Some("v1.36.1".to_owned()),
        provider_id: None,
        infrastructure: Some(infrastructure(kind)),
        provisioned: false,
    }
}

fn metal3(machine: Option<&str>) -> SeenMetal3Machine {
    SeenMetal3Machine { machine: machine.map(Into::into), provider_id: None }
}

fn host(provisioned: bool) -> SeenHost {
    SeenHost { uid: "host-uid".to_owned(), provisioned, consumer: None }
}

fn spec(provider_id: Option<&str>, uuid: Option<&str>) -> NodeSpec {
    NodeSpec {
        name: "m".to_owned(),
        provider_id: provider_id.map(str::to_owned),
        uuid: uuid.map(str::to_owned),
        labels: machine("x").labels,
        version: Some("v1.36.1".to_owned()),
    }
}

/// Everything about a machine of metal3 whose host runs.
fn running() -> (SeenMachine, SeenMetal3Machine, SeenHost) {
    (machine("Metal3Machine"), metal3(Some("m")), host(true))
}

fn planned(
    (machine, metal3, host): (Option<&SeenMachine>, Option<&SeenMetal3Machine>, Option<&SeenHost>),
    known: Option<&NodeSpec>,
) -> NodePlan {
    let parts = MachineParts {
        machine,
        metal3,
        host,
        machines_listed: true,
        metal3_listed: true,
        paused: false,
    };
    node("m", &parts, known)
}

#[test]
fn a_node_is_there_while_its_host_runs() {
    let (machine, metal, up) = running();
    let put = NodePlan::Put(spec(None, Some("host-uid")));
    let known = spec(None, Some("host-uid"));
    let down = host(false);
    let unowned = metal3(None);
    let stranger = metal3(Some("another"));
    for (parts, known, wanted) in [
        ((Some(&machine), Some(&metal), Some(&up)), None, put),
        ((Some(&machine), Some(&metal), Some(&up)), Some(&known), NodePlan::Leave(Leave::AsItIs)),
        ((Some(&machine), Some(&metal), Some(&down)), None, NodePlan::Leave(Leave::NotProvisioned)),
        ((Some(&machine), Some(&metal), Some(&down)), Some(&known), NodePlan::Remove),
        ((Some(&machine), Some(&metal), None), Some(&known), NodePlan::Remove),
        ((Some(&machine), None, None), Some(&known), NodePlan::Remove),
        ((Some(&machine), None, None), None, NodePlan::Leave(Leave::NotProvisioned)),
        ((None, None, None), Some(&known), NodePlan::Remove),
        ((None, None, None), None, NodePlan::Leave(Leave::Nothing)),
        ((Some(&machine), Some(&unowned), Some(&up)), None, NodePlan::Leave(Leave::NotProvisioned)),
        (
            (Some(&machine), Some(&stranger), Some(&up)),
            None,
            NodePlan::Leave(Leave::NotProvisioned),
        ),
    ] {
        assert_eq!(planned(parts, known), wanted, "{parts:?} {known:?}");
    }
}

#[test]
fn changes_are_passed_on_and_what_is_absent_changes_nothing() {
    let (machine, mut metal, up) = running();
    let known = |change: fn(&mut NodeSpec)| {
        let mut known = spec(Some("metal3://ns/h/m"), Some("host-uid"));
        change(&mut known);
        known
    };
    let same = NodePlan::Leave(Leave::AsItIs);
    let parts = (Some(&machine), Some(&metal), Some(&up));
    // CAPM3 has set the provider id on the Node, and not yet on its own object.
    assert_eq!(planned(parts, Some(&known(|_| {}))), same);
    // A label that a Machine has no more stays on the node.
    let more = known(|node| {
        node.labels.insert("gone".to_owned(), String::new());
    });
    assert_eq!(planned(parts, Some(&more)), same);
    let older = known(|node| node.version = Some("v1.35.0".to_owned()));
    let put = NodePlan::Put(spec(None, Some("host-uid")));
    assert_eq!(planned(parts, Some(&older)), put);
    let unlabelled = known(|node| node.labels.clear());
    assert_eq!(planned(parts, Some(&unlabelled)), put);
    let other_host = known(|node| node.uuid = Some("another".to_owned()));
    assert_eq!(planned(parts, Some(&other_host)), put);
    metal.provider_id = Some("metal3://ns/h/m2".to_owned());
    let parts = (Some(&machine), Some(&metal), Some(&up));
    let put = NodePlan::Put(spec(Some("metal3://ns/h/m2"), Some("host-uid")));
    assert_eq!(planned(parts, Some(&known(|_| {}))), put);
}

#[test]
fn a_machine_on_its_way_out_keeps_its_node_until_its_host_goes_and_never_gets_it_back() {
    let (mut machine, metal, up) = running();
    machine.deleting = true;
    let known = spec(None, Some("host-uid"));
    let parts = (Some(&machine), Some(&metal), Some(&up));
    assert_eq!(planned(parts, Some(&known)), NodePlan::Leave(Leave::Deleting));
    assert_eq!(planned(parts, None), NodePlan::Leave(Leave::Deleting));
    let down = host(false);
    let parts = (Some(&machine), Some(&metal), Some(&down));
    assert_eq!(planned(parts, Some(&known)), NodePlan::Remove);
}

#[test]
fn nothing_is_decided_before_everything_is_listed() {
    let (machine, metal, up) = running();
    let known = spec(None, Some("host-uid"));
    let listed = MachineParts {
        machine: Some(&machine),
        metal3: Some(&metal),
        host: Some(&up),
        machines_listed: true,
        metal3_listed: true,
        paused: false,
    };
    let wait = NodePlan::Leave(Leave::NotListed);
    let no_metal3 = MachineParts { metal3_listed: false, host: None, ..listed };
    assert_eq!(node("m", &no_metal3, Some(&known)), wait);
    assert_eq!(node("m", &no_metal3, None), wait);
    let no_machines = MachineParts { machine: None, machines_listed: false, ..listed };
    assert_eq!(node("m", &no_machines, Some(&known)), wait);
}

#[test]
fn nodes_of_a_paused_cluster_are_not_removed() {
    let known = spec(None, Some("host-uid"));
    let parts = MachineParts { machines_listed: true, paused: true, ..MachineParts::default() };
    assert_eq!(node("m", &parts, Some(&known)), NodePlan::Leave(Leave::Paused));
    let (machine, metal, up) = running();
    let parts = MachineParts {
        machine: Some(&machine),
        metal3: Some(&metal),
        host: Some(&up),
        metal3_listed: true,
        ..parts
    };
    // What fakeapi lost comes back all the same.
    assert_eq!(node("m", &parts, None), NodePlan::Put(known));
}

#[test]
fn other_infrastructure_counts_by_cluster_apis_word() {
    let mut machine = machine("FakeMachine");
    let known = spec(Some("fake:///m"), None);
    let wait = NodePlan::Leave(Leave::NotProvisioned);
    // Metal3's kinds need not be there.
    let plan = |machine: &SeenMachine, known: Option<&NodeSpec>| {
        let parts = MachineParts {
            machine: Some(machine),
            machines_listed: true,
            ..MachineParts::default()
        };
        node("m", &parts, known)
    };
    assert_eq!(plan(&machine, None), wait);
    machine.provider_id = Some("fake:///m".to_owned());
    assert_eq!(plan(&machine, None), wait);
    machine.provisioned = true;
    assert_eq!(plan(&machine, None), NodePlan::Put(known.clone()));
    assert_eq!(plan(&machine, Some(&known)), NodePlan::Leave(Leave::AsItIs));
    machine.deleting = true;
    assert_eq!(plan(&machine, Some(&known)), NodePlan::Leave(Leave::Deleting));
}

#[test]
fn nodes_that_users_put_by_hand_are_theirs() {
    assert!(from_machine(&spec(None, None), "c"));
    assert!(!from_machine(&spec(None, None), "another"));
    let by_hand = NodeSpec { labels: Labels::new(), ..spec(None, None) };
    assert!(!from_machine(&by_hand, "c"));
}
