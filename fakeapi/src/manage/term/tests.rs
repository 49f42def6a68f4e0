use pretty_assertions::assert_eq;
use serde_json::json;

use super::*;
use crate::manage::kinds::Cluster;

fn seen(paused: bool, unpause: bool, labels: &Labels) -> SeenCluster {
    let annotations = if unpause { json!({marks::UNPAUSE: "true"}) } else { json!({}) };
    let cluster = json!({
        "metadata": {"namespace": "ns", "name": "c", "uid": "u", "labels": labels,
            "annotations": annotations},
        "spec": {"paused": paused, "controlPlaneEndpoint": {"host": "", "port": 0}},
    });
    SeenCluster::from(&serde_json::from_value::<Cluster>(cluster).unwrap())
}

#[test]
fn a_registration_says_whether_its_cluster_is_paused() {
    let none = Labels::new();
    let marked = |paused, unpause, others: &Labels| {
        labels(&seen(paused, unpause, &none), others.clone()).contains_key(marks::WENT_PAUSED)
    };
    let paused = labels(&seen(true, false, &none), none.clone());
    assert!(marked(true, false, &none));
    assert!(!marked(true, true, &none), "it waits for its address");
    assert!(!marked(false, false, &paused), "it goes on");
    assert_eq!(paused[marks::REGISTERED_FOR], "u");
}

#[test]
fn marks_are_not_a_clusters_to_set_and_find_room_among_many_labels() {
    let mut theirs: Labels = (0..LABELS).map(|n| (format!("l{n:02}"), n.to_string())).collect();
    theirs.insert(marks::REGISTERED_FOR.to_owned(), "another".to_owned());
    theirs.insert(marks::WENT_PAUSED.to_owned(), "true".to_owned());
    let runs = labels(&seen(false, false, &theirs), Labels::new());
    assert_eq!((runs.len(), &*runs[marks::REGISTERED_FOR]), (LABELS, "u"));
    assert!(!runs.contains_key(marks::WENT_PAUSED));
    let paused = labels(&seen(true, false, &theirs), runs.clone());
    assert_eq!((paused.len(), &*paused[marks::WENT_PAUSED]), (LABELS, "true"));
    assert_eq!(labels(&seen(true, false, &theirs), paused.clone()), paused, "and stays so");
    assert_eq!(labels(&seen(false, false, &theirs), paused), runs);
}
