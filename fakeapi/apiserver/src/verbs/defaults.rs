//! What an object says after the server read it, where the client said nothing: the part of
//! `k8s.io/kubernetes/pkg/apis/*/v1/defaults.go` that people and controllers see.

use serde_json::{Value, json};

use crate::catalog::Resource;

/// Fills the defaults of an object's kind in. Applying them twice changes nothing more.
pub(super) fn apply(resource: &Resource, object: &mut Value) {
    match (&*resource.group, &*resource.plural) {
        ("apps", "deployments") => deployment(&mut object["spec"]),
        ("apps", "daemonsets") => daemon_set(&mut object["spec"]),
        ("apps", "statefulsets") => stateful_set(&mut object["spec"]),
        ("apps", "replicasets") | ("", "replicationcontrollers") => {
            set(&mut object["spec"], "replicas", 1);
            pod_spec(&mut object["spec"]["template"]["spec"]);
        }
        ("batch", "jobs") => {
            job(&mut object["spec"]);
            adopt_labels(object);
        }
        ("batch", "cronjobs") => cron_job(&mut object["spec"]),
        ("", "pods") => pod(&mut object["spec"]),
        ("", "podtemplates") => pod_spec(&mut object["template"]["spec"]),
        ("", "services") => service(&mut object["spec"]),
        ("", "secrets") => set(object, "type", "Opaque"),
        ("", "persistentvolumes") => {
            set(&mut object["spec"], "persistentVolumeReclaimPolicy", "Retain");
            set(&mut object["spec"], "volumeMode", "Filesystem");
        }
        ("", "persistentvolumeclaims") => set(&mut object["spec"], "volumeMode", "Filesystem"),
        ("storage.k8s.io", "storageclasses") => {
            set(object, "reclaimPolicy", "Delete");
            set(object, "volumeBindingMode", "Immediate");
        }
        _ => {}
    }
}

/// Sets a field that is not set: not there, null or the empty text.
fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if object.is_null() {
        *object = json!({});
    }
    let Some(map) = object.as_object_mut() else {
        return;
    };
    if map.get(field).is_none_or(|old| old.is_null() || *old == "") {
        map.insert(field.to_owned(), value.into());
    }
}

fn each<'a>(object: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn deployment(spec: &mut Value) {
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
    let strategy = &mut spec["strategy"];
    set(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        set(&mut strategy["rollingUpdate"], "maxUnavailable", "25%");
        set(&mut strategy["rollingUpdate"], "maxSurge", "25%");
    }
    pod_spec(&mut spec["template"]["spec"]);
}

fn daemon_set(spec: &mut Value) {
    set(spec, "revisionHistoryLimit", 10);
    let strategy = &mut spec["updateStrategy"];
    set(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        set(&mut strategy["rollingUpdate"], "maxUnavailable", 1);
        set(&mut strategy["rollingUpdate"], "maxSurge", 0);
    }
    pod_spec(&mut spec["template"]["spec"]);
}

fn stateful_set(spec: &mut Value) {
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "podManagementPolicy", "OrderedReady");
    let unset = spec["updateStrategy"]["type"].as_str().is_none_or(str::is_empty);
    let strategy = &mut spec["updateStrategy"];
    set(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" && (unset || strategy["rollingUpdate"].is_object()) {
        set(&mut strategy["rollingUpdate"], "partition", 0);
    }
    let retention = &mut spec["persistentVolumeClaimRetentionPolicy"];
    set(retention, "whenDeleted", "Retain");
    set(retention, "whenScaled", "Retain");
    each(spec, "volumeClaimTemplates").for_each(|claim| {
        set(&mut claim["spec"], "volumeMode", "Filesystem");
        set(&mut claim["status"], "phase", "Pending");
    });
    pod_spec(&mut spec["template"]["spec"]);
}

fn job(spec: &mut Value) {
    let indexed = !spec["backoffLimitPerIndex"].is_null();
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    set(spec, "backoffLimit", if indexed { i32::MAX } else { 6 });
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    set(spec, "manualSelector", false);
    let failed = spec["podFailurePolicy"].is_object();
    set(spec, "podReplacementPolicy", if failed { "Failed" } else { "TerminatingOrFailed" });
    pod_spec(&mut spec["template"]["spec"]);
}

/// A job without labels takes those of its pods.
fn adopt_labels(job: &mut Value) {
    let labels = job["spec"]["template"]["metadata"]["labels"].clone();
    let none = |labels: &Value| labels.as_object().is_none_or(serde_json::Map::is_empty);
    if none(&job["metadata"]["labels"]) && !none(&labels) {
        job["metadata"]["labels"] = labels;
    }
}

fn cron_job(spec: &mut Value) {
    set(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
    pod_spec(&mut spec["jobTemplate"]["spec"]["template"]["spec"]);
}

fn pod(spec: &mut Value) {
    set(spec, "enableServiceLinks", true);
    // The admission plug-ins ServiceAccount, DefaultTolerationSeconds and Priority see to these.
    set(spec, "serviceAccountName", "default");
    let account = spec["serviceAccountName"].clone();
    set(spec, "serviceAccount", account);
    set(spec, "preemptionPolicy", "PreemptLowerPriority");
    set(spec, "priority", 0);
    pod_spec(spec);
    for list in ["containers", "initContainers"] {
        each(spec, list).for_each(requests_from_limits);
    }
}

/// A pod that bounds a resource and asks for none of it asks for as much as the bound.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container["resources"]["limits"].as_object().cloned() else {
        return;
    };
    for (resource, limit) in limits {
        set(&mut container["resources"]["requests"], &resource, limit);
    }
}

fn pod_spec(spec: &mut Value) {
    set(spec, "restartPolicy", "Always");
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "schedulerName", "default-scheduler");
    set(spec, "securityContext", json!({}));
    if let Some(account) = spec["serviceAccountName"].as_str().map(str::to_owned) {
        set(spec, "serviceAccount", account);
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list).for_each(container);
    }
    each(spec, "volumes").for_each(volume);
}

fn container(container: &mut Value) {
    let policy = if has_moving_tag(container["image"].as_str().unwrap_or_default()) {
        "Always"
    } else {
        "IfNotPresent"
    };
    set(container, "imagePullPolicy", policy);
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    set(container, "resources", json!({}));
    each(container, "ports").for_each(|port| set(port, "protocol", "TCP"));
    each(container, "env").for_each(|variable| {
        if variable["valueFrom"]["fieldRef"].is_object() {
            set(&mut variable["valueFrom"]["fieldRef"], "apiVersion", "v1");
        }
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) {
            self::probe(probe);
        }
    }
}

/// Whether an image is named by the tag `latest`, which is also the tag of an image without one.
fn has_moving_tag(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(probe: &mut Value) {
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        set(probe, field, value);
    }
    if let Some(get) = probe.get_mut("httpGet").filter(|get| get.is_object()) {
        set(get, "path", "/");
        set(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Value) {
    /// 0644 in decimal, as JSON has it.
    const MODE: i64 = 420;
    if volume.as_object().is_some_and(|fields| fields.len() <= 1) {
        set(volume, "emptyDir", json!({}));
    }
    for source in ["secret", "configMap", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source).filter(|source| source.is_object()) {
            set(source, "defaultMode", MODE);
        }
    }
    if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        path.entry("type").or_insert_with(|| "".into());
    }
    let projected = volume.get_mut("projected").into_iter();
    for source in projected.flat_map(|projected| each(projected, "sources")) {
        if source["serviceAccountToken"].is_object() {
            set(&mut source["serviceAccountToken"], "expirationSeconds", 3600);
        }
        let fields = source.get_mut("downwardAPI").into_iter();
        for item in fields.flat_map(|fields| each(fields, "items")) {
            if item["fieldRef"].is_object() {
                set(&mut item["fieldRef"], "apiVersion", "v1");
            }
        }
    }
}

fn service(spec: &mut Value) {
    set(spec, "sessionAffinity", "None");
    set(spec, "type", "ClusterIP");
    if spec["sessionAffinity"] == "ClientIP" {
        set(&mut spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds", 10800);
    }
    for port in each(spec, "ports") {
        set(port, "protocol", "TCP");
        let number = port["port"].clone();
        if port["targetPort"] == 0 {
            port["targetPort"] = Value::Null;
        }
        set(port, "targetPort", number);
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides_when_an_image_is_pulled() {
        let cases = [
            ("nginx", true),
            ("nginx:latest", true),
            ("registry:5000/nginx", true),
            ("registry:5000/nginx:1.2", false),
            ("nginx:1.2", false),
            ("nginx@sha256:abc", false),
            ("nginx:latest@sha256:abc", false),
        ];
        for (image, moving) in cases {
            assert_eq!(has_moving_tag(image), moving, "{image}");
        }
    }
}
