//! The overlays that stand in FKAS's place have its names: those that metal3's test waits for, and
//! those that scripts around it use.

use serde_json::{Value, json};

use super::{have_kubectl, rendered, root};

/// What FKAS's own role may do, as (group, resource, verbs).
const OF_FKAS: [(&str, &str, &[&str]); 5] = [
    ("metal3.io", "baremetalhosts", &["get", "list", "watch"]),
    ("metal3.io", "metal3machines", &["get", "list", "watch"]),
    ("infrastructure.cluster.x-k8s.io", "metal3machines", &["get", "list", "watch"]),
    ("cluster.x-k8s.io", "machines", &["get", "list", "watch"]),
    ("", "secrets", &["get", "list"]),
];

fn overlay(name: &str) -> Vec<Value> {
    rendered(&root().join("deploy/overlays").join(name)).unwrap()
}

/// The one object of a kind, which must have this name.
fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut of_kind = objects.iter().filter(|object| object["kind"] == kind);
    let object = of_kind.next().unwrap_or_else(|| panic!("no {kind}"));
    assert_eq!(object["metadata"]["name"], name);
    assert!(of_kind.next().is_none(), "a second {kind}");
    object
}

fn allows(role: &Value, group: &str, resource: &str, verb: &str) -> bool {
    let has = |list: &Value, value: &str| list.as_array().unwrap().contains(&json!(value));
    role["rules"].as_array().unwrap().iter().any(|rule| {
        has(&rule["apiGroups"], group)
            && has(&rule["resources"], resource)
            && has(&rule["verbs"], verb)
    })
}

fn check(objects: &[Value], namespace: &str) {
    let deployment = named(objects, "Deployment", "metal3-fkas-system");
    assert_eq!(deployment["metadata"]["namespace"], namespace);
    let selector = &deployment["spec"]["selector"]["matchLabels"];
    assert_eq!(*selector, json!({"app": "metal3-fkas-system"}));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "metal3-fkas-sa");
    let containers = pod["containers"].as_array().unwrap();
    let commands: Vec<_> =
        containers.iter().map(|container| (&container["name"], &container["command"])).collect();
    let expected = [
        (json!("metal3-fkas"), json!(["/fkas"])),
        (json!("metal3-fkas-reconciler"), json!(["/reconciler"])),
    ];
    assert!(commands.iter().copied().eq(expected.iter().map(|(a, b)| (a, b))), "{commands:?}");
    let server = &containers[0];
    assert_eq!(server["ports"][0]["containerPort"], 3333);
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert!(server[probe]["httpGet"]["path"].is_string(), "{probe}");
    }
    let env = server["env"].as_array().unwrap();
    let variable = |name: &str| env.iter().find(|env| env["name"] == name).unwrap();
    assert_eq!(variable("POD_IP")["valueFrom"]["fieldRef"]["fieldPath"], "status.podIP");
    assert!(variable("DEBUG")["value"].is_string());

    let account = named(objects, "ServiceAccount", "metal3-fkas-sa");
    assert_eq!(account["metadata"]["namespace"], namespace);
    let role = named(objects, "ClusterRole", "metal3-fkas-role");
    for (group, resource, verbs) in OF_FKAS {
        for verb in verbs {
            assert!(allows(role, group, resource, verb), "{verb} {resource} of {group:?}");
        }
    }
    let binding = named(objects, "ClusterRoleBinding", "metal3-fkas-rolebinding");
    assert_eq!(binding["roleRef"]["name"], "metal3-fkas-role");
    assert_eq!(binding["subjects"][0]["name"], "metal3-fkas-sa");
    assert_eq!(binding["subjects"][0]["namespace"], namespace);
}

#[test]
fn it_has_the_names_of_fkas() {
    if !have_kubectl("it_has_the_names_of_fkas") {
        return;
    }
    check(&overlay("fkas"), "default");
}

#[test]
fn the_e2e_variant_is_what_metal3_applies() {
    if !have_kubectl("the_e2e_variant_is_what_metal3_applies") {
        return;
    }
    let objects = overlay("fkas-e2e");
    check(&objects, "fkas-system");
    named(&objects, "Namespace", "fkas-system");
    let deployment = named(&objects, "Deployment", "metal3-fkas-system");
    // The test speaks to the node's address.
    assert_eq!(deployment["spec"]["template"]["spec"]["hostNetwork"], true);
}

/// Whoever includes the rules has all of them: nothing is written twice.
#[test]
fn every_overlay_has_the_same_rules() {
    if !have_kubectl("every_overlay_has_the_same_rules") {
        return;
    }
    let rules = |overlay_name: &str, role: &str| {
        named(&overlay(overlay_name), "ClusterRole", role)["rules"].clone()
    };
    let expected = rules("production", "fakeapi-management");
    for name in ["fkas", "fkas-e2e"] {
        assert_eq!(rules(name, "metal3-fkas-role"), expected, "{name}");
    }
}
