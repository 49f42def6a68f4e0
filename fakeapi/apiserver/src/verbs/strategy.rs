//! What the server itself does to objects of each kind before they are stored: the rules that
//! the real server keeps in `registry/*/strategy.go`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::catalog::Resource;
use crate::names;
use crate::status::Cause;

/// The object's metadata, made if it is missing.
pub(super) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = json!({});
    }
    metadata.as_object_mut().expect("made an object above")
}

/// A string of the object's metadata, "" when it is not there.
pub(super) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// The present as the API writes it.
pub(super) fn now() -> String {
    time(Timestamp::now())
}

/// A moment as the API writes it.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether a kind has `status` as a subresource, so that it cannot be written with the rest.
pub(super) fn has_status(resource: &Resource) -> bool {
    resource.subresource("status").is_some()
}

/// Kinds whose metadata a write of the status cannot change.
const STATUS_ALONE: &[(&str, &str)] = &[
    ("admissionregistration.k8s.io", "*"),
    ("certificates.k8s.io", "podcertificaterequests"),
    ("flowcontrol.apiserver.k8s.io", "*"),
    ("internal.apiserver.k8s.io", "*"),
    ("networking.k8s.io", "servicecidrs"),
    ("resource.k8s.io", "*"),
    ("scheduling.k8s.io", "podgroups"),
    ("storage.k8s.io", "volumeattachments"),
    ("storagemigration.k8s.io", "*"),
];

fn listed(list: &[(&str, &str)], resource: &Resource) -> bool {
    list.iter().any(|(group, plural)| {
        *group == resource.group && (*plural == "*" || *plural == resource.plural)
    })
}

/// Takes from a written status what it says of the metadata: for most kinds all of it, a kubelet
/// reports its node's labels so.
pub(super) fn status_metadata(resource: &Resource, mut sent: Value, object: &mut Value) {
    if listed(STATUS_ALONE, resource) || !sent["metadata"].is_object() {
        return;
    }
    let keeps = match (&*resource.group, &*resource.plural) {
        ("apps", "deployments") => "labels",
        ("", "pods") => "ownerReferences",
        _ => "",
    };
    let kept = object["metadata"].get(keeps).cloned();
    object["metadata"] = sent["metadata"].take();
    let metadata = metadata(object);
    metadata.remove(keeps);
    metadata.extend(kept.map(|value| (keeps.to_owned(), value)));
}

/// Kinds whose generation counts changes of their spec.
const WITH_GENERATION: &[(&str, &str)] = &[
    ("", "pods"),
    ("", "replicationcontrollers"),
    ("admissionregistration.k8s.io", "*"),
    ("apiextensions.k8s.io", "*"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "*"),
    ("discovery.k8s.io", "*"),
    ("flowcontrol.apiserver.k8s.io", "*"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "ingressclasses"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("resource.k8s.io", "resourceslices"),
    ("scheduling.k8s.io", "priorityclasses"),
];

pub(super) fn has_generation(resource: &Resource) -> bool {
    listed(WITH_GENERATION, resource)
}

/// Kinds that a PUT may create.
const CREATED_BY_UPDATE: &[(&str, &str)] = &[
    ("", "endpoints"),
    ("", "events"),
    ("", "limitranges"),
    ("coordination.k8s.io", "leases"),
    ("events.k8s.io", "events"),
    ("node.k8s.io", "runtimeclasses"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "roles"),
];

pub(super) fn created_by_update(resource: &Resource) -> bool {
    CREATED_BY_UPDATE.contains(&(&*resource.group, &*resource.plural))
}

/// Kinds whose objects a write without resourceVersion may not replace.
const CONDITIONAL: &[(&str, &str)] = &[
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
    ("coordination.k8s.io", "leases"),
    ("policy", "poddisruptionbudgets"),
    ("scheduling.k8s.io", "priorityclasses"),
];

pub(super) fn unconditional_update(resource: &Resource) -> bool {
    !CONDITIONAL.contains(&(&*resource.group, &*resource.plural))
}

/// What a new object's status is, whatever was sent.
pub(super) fn initial_status(resource: &Resource, object: &mut Value) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let status = match (&*resource.group, &*resource.plural) {
        // A kubelet registers its node with its status.
        ("", "nodes") => return,
        ("", "pods") => json!({"phase": "Pending", "qosClass": qos_class(map.get("spec"))}),
        ("", "namespaces") => json!({"phase": "Active"}),
        ("", "persistentvolumes" | "persistentvolumeclaims") => json!({"phase": "Pending"}),
        ("", "services") => json!({"loadBalancer": {}}),
        // The real server's typed objects have a status even when it is empty.
        _ if has_status(resource) => json!({}),
        _ => return,
    };
    map.insert("status".into(), status);
}

/// The quality of service that a pod's resources ask for.
///
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>
fn qos_class(spec: Option<&Value>) -> &'static str {
    let containers: Vec<&Value> = ["containers", "initContainers"]
        .into_iter()
        .filter_map(|list| spec?.get(list)?.as_array())
        .flatten()
        .collect();
    let of = |container: &Value, list: &str, name: &str| -> Option<Value> {
        container.get("resources")?.get(list)?.get(name).cloned()
    };
    let named = |list: &str, name: &str| containers.iter().any(|c| of(c, list, name).is_some());
    let any = ["requests", "limits"].iter().any(|list| named(list, "cpu") || named(list, "memory"));
    if !any {
        return "BestEffort";
    }
    let guaranteed = containers.iter().all(|container| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = of(container, "limits", name);
            let request = of(container, "requests", name);
            limit.is_some() && (request.is_none() || request == limit)
        })
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}

/// What else a new object gets.
pub(super) fn initial_spec(resource: &Resource, object: &mut Value) {
    if (&*resource.group, &*resource.plural) == ("", "namespaces") {
        let name = meta(object, "name").to_owned();
        let labels = metadata(object).entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("kubernetes.io/metadata.name".into(), name.into());
        }
        let finalizers = &mut object["spec"]["finalizers"];
        if finalizers.as_array().is_none_or(Vec::is_empty) {
            *finalizers = json!(["kubernetes"]);
        }
    }
}

/// How the names of a kind's objects are checked.
pub(super) fn name_rule(resource: &Resource) -> fn(&str) -> Vec<String> {
    match (&*resource.group, &*resource.plural) {
        ("", "namespaces") => names::dns1123_label,
        ("", "services") => names::dns1035_label,
        ("rbac.authorization.k8s.io" | "certificates.k8s.io", _) => names::path_segment,
        _ => names::dns1123_subdomain,
    }
}

/// What is wrong with an object's metadata.
pub(super) fn metadata_faults(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = meta(object, "name");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        let faults = name_rule(resource)(name).into_iter();
        causes.extend(faults.map(|why| Cause::invalid("metadata.name", &name.into(), why)));
    }
    let strings = |field: &str| -> BTreeMap<&str, &str> {
        let map = object["metadata"][field].as_object();
        map.into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
            .collect()
    };
    let labels = names::labels(strings("labels")).into_iter();
    causes.extend(labels.map(|fault| cause("metadata.labels", fault)));
    let annotations = names::annotations(&strings("annotations")).into_iter();
    causes.extend(annotations.map(|fault| cause("metadata.annotations", fault)));
    causes
}

fn cause(field: &str, fault: names::Fault) -> Cause {
    let Some(value) = fault.value else {
        let message = format!("Too long: {}", fault.detail);
        return Cause { reason: "FieldValueTooLong", message, field: field.into() };
    };
    Cause::invalid(field, &value.into(), fault.detail)
}

/// Fields that a kind's objects keep from their creation on.
const IMMUTABLE: &[(&str, &str, &[&str])] = &[
    ("", "configmaps", &[]),
    ("", "secrets", &["type"]),
    ("apps", "daemonsets", &["spec.selector"]),
    ("apps", "deployments", &["spec.selector"]),
    ("apps", "replicasets", &["spec.selector"]),
    ("apps", "statefulsets", &["spec.selector", "spec.serviceName", "spec.podManagementPolicy"]),
    ("batch", "jobs", &["spec.selector", "spec.completionMode"]),
    ("rbac.authorization.k8s.io", "clusterrolebindings", &["roleRef"]),
    ("rbac.authorization.k8s.io", "rolebindings", &["roleRef"]),
    ("storage.k8s.io", "storageclasses", &["provisioner", "parameters", "reclaimPolicy"]),
];

/// What of an update touches fields that must stay.
pub(super) fn immutable_faults(resource: &Resource, old: &Value, new: &Value) -> Vec<Cause> {
    let key = (&*resource.group, &*resource.plural);
    let mut causes = Vec::new();
    if matches!(key, ("", "configmaps" | "secrets")) && old["immutable"] == true {
        let forbid = |field: &str| {
            let why = "field is immutable when `immutable` is set";
            (old[field] != new[field]).then(|| Cause::forbidden(field, why))
        };
        causes.extend(
            ["immutable", "data", "binaryData", "stringData"].iter().filter_map(|f| forbid(f)),
        );
    }
    causes.extend(finalizer_fault(old, new));
    let fields = IMMUTABLE.iter().find(|(g, p, _)| (*g, *p) == key).map_or(&[][..], |f| f.2);
    for field in fields {
        let at = |object: &Value| {
            object.pointer(&format!("/{}", field.replace('.', "/"))).cloned().unwrap_or_default()
        };
        if at(old) != at(new) {
            let why =
                if *field == "roleRef" { "cannot change roleRef" } else { "field is immutable" };
            causes.push(Cause::invalid(*field, &at(new), why));
        }
    }
    causes
}

/// Nobody may hold what is going already.
fn finalizer_fault(old: &Value, new: &Value) -> Option<Cause> {
    old["metadata"].get("deletionTimestamp")?;
    let list = |object: &Value| -> Vec<String> {
        let list = object["metadata"]["finalizers"].as_array();
        list.into_iter().flatten().filter_map(|f| f.as_str().map(str::to_owned)).collect()
    };
    let before = list(old);
    let mut extra: Vec<String> =
        list(new).into_iter().filter(|f| !before.contains(f)).map(|f| format!("{f:?}")).collect();
    extra.sort();
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers \
         []string{{{}}}",
        extra.join(", ")
    );
    (!extra.is_empty()).then(|| Cause::forbidden("metadata.finalizers", why))
}

/// Moves what a Secret was sent as text to where it is kept.
pub(super) fn fold_string_data(resource: &Resource, object: &mut Value) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    if (&*resource.group, &*resource.plural) != ("", "secrets") {
        return;
    }
    let Some(map) = object.as_object_mut() else {
        return;
    };
    if let Some(Value::Object(texts)) = map.remove("stringData") {
        let data = map.entry("data").or_insert_with(|| json!({}));
        if let Some(data) = data.as_object_mut() {
            for (key, text) in texts {
                let text = text.as_str().unwrap_or_default();
                data.insert(key, STANDARD.encode(text).into());
            }
        }
    }
}
