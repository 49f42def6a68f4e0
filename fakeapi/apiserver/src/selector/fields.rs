//! Which fields a kind can be selected by, and what their values are.
//!
//! The lists follow the real server's conversion functions. Most kinds know only
//! `metadata.name` and `metadata.namespace`; a client that asks for more gets that kind's own
//! wording of the refusal.

use std::borrow::Cow;

use serde_json::Value;

use super::SelectorError;
use crate::names::quote;

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

const POD: &[&str] = &[
    NAME,
    NAMESPACE,
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];
const EVENT: &[&str] = &[
    NAME,
    NAMESPACE,
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const NEW_EVENT: &[&str] = &[
    NAME,
    NAMESPACE,
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];
const POD_CERTIFICATE: &[&str] = &[NAME, "spec.signerName", "spec.podName", "spec.nodeName"];

/// The fields by which objects of `resource` (group and plural name, `("", "pods")`) can be
/// selected.
pub fn supported(resource: (&str, &str)) -> &'static [&'static str] {
    match resource {
        ("", "pods") => POD,
        ("", "nodes") => &[NAME, "spec.unschedulable"],
        ("", "events") => EVENT,
        ("events.k8s.io", "events") => NEW_EVENT,
        ("", "namespaces") => &[NAME, "status.phase"],
        ("", "secrets") => &[NAME, NAMESPACE, "type"],
        ("", "services") => &[NAME, NAMESPACE, "spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") => &[NAME, NAMESPACE, "status.replicas"],
        ("batch", "jobs") => &[NAME, NAMESPACE, "status.successful"],
        ("certificates.k8s.io", "certificatesigningrequests" | "clustertrustbundles") => {
            &[NAME, "spec.signerName"]
        }
        ("certificates.k8s.io", "podcertificaterequests") => POD_CERTIFICATE,
        ("resource.k8s.io", "resourceslices") => &[NAME, "spec.nodeName", "spec.driver"],
        _ => &[NAME, NAMESPACE],
    }
}

/// The name under which [`value`] knows the field that a client of `resource` calls `label`.
///
/// # Errors
/// [`SelectorError::UnsupportedField`], in the words of that kind.
pub fn resolve(resource: (&str, &str), label: &str) -> Result<&'static str, SelectorError> {
    if resource == ("", "pods") && label == "spec.host" {
        return Ok("spec.nodeName"); // the name old clients use
    }
    supported(resource)
        .iter()
        .find(|&&field| field == label)
        .copied()
        .ok_or_else(|| SelectorError::UnsupportedField(refusal(resource, label)))
}

/// Whether a custom resource with these `selectable` fields can be selected by `label`.
///
/// # Errors
/// [`SelectorError::UnsupportedField`] when it cannot.
pub fn check_custom(
    selectable: &[&str],
    namespaced: bool,
    label: &str,
) -> Result<(), SelectorError> {
    if label == NAME || (namespaced && label == NAMESPACE) || selectable.contains(&label) {
        return Ok(());
    }
    Err(SelectorError::UnsupportedField(format!("field label not supported: {label}")))
}

fn refusal(resource: (&str, &str), label: &str) -> String {
    match resource {
        ("batch", "jobs") => format!("field label {} not supported for Job", quote(label)),
        ("resource.k8s.io", "resourceslices") => {
            format!("field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {label}")
        }
        _ if supported(resource) == [NAME, NAMESPACE] => format!(
            "{} is not a known field selector: only {}, {}",
            quote(label),
            quote(NAME),
            quote(NAMESPACE)
        ),
        _ => format!("field label not supported: {label}"),
    }
}

/// The value of `field` (a name from [`supported`], or a custom resource's selectable path) in
/// `object`; the empty string when unset.
///
/// Fields that a built-in kind holds as booleans or numbers have their zero value when unset,
/// and some are not where their name says: `status.successful` of a Job is `status.succeeded`.
pub fn value<'a>(object: &'a Value, field: &str) -> Cow<'a, str> {
    if is_built_in(object)
        && let Some(value) = derived(object, field)
    {
        return value;
    }
    scalar(walk(object, field)).unwrap_or_default()
}

/// Kinds with derived fields are in groups without a dot, or in `events.k8s.io`. Items of a
/// list carry no `apiVersion`; they come from built-in kinds only.
fn is_built_in(object: &Value) -> bool {
    let group = object.get("apiVersion").and_then(Value::as_str).and_then(|v| v.split_once('/'));
    group.is_none_or(|(group, _)| !group.contains('.') || group == "events.k8s.io")
}

fn derived<'a>(object: &'a Value, field: &str) -> Option<Cow<'a, str>> {
    let at = |path: &str| scalar(walk(object, path));
    let filled = |path: &str| at(path).filter(|value| !value.is_empty());
    let or = |path: &str, zero: &'static str| Some(at(path).unwrap_or(Cow::Borrowed(zero)));
    match field {
        "spec.hostNetwork" | "spec.unschedulable" => or(field, "false"),
        "status.replicas" => or(field, "0"),
        "status.successful" => or("status.succeeded", "0"),
        "status.podIP" => filled("status.podIP").or_else(|| {
            let first = walk(object, "status.podIPs")?.get(0)?;
            scalar(first.get("ip"))
        }),
        // The server accepts the name but fills in nothing: only the empty value matches.
        "status.podIPs" => Some(Cow::Borrowed("")),
        "source" => filled("source.component")
            .or_else(|| filled("deprecatedSource.component"))
            .or_else(|| filled("reportingComponent"))
            .or_else(|| filled("reportingController"))
            .or(Some(Cow::Borrowed(""))),
        "reportingComponent" | "reportingController" => {
            filled("reportingComponent").or_else(|| filled("reportingController"))
        }
        // Events are one kind under two names: find the subject in either form.
        _ => {
            let subject = field
                .strip_prefix("involvedObject.")
                .or_else(|| field.strip_prefix("regarding."))?;
            let of = |name: &str| scalar(object.get(name)?.get(subject));
            of("involvedObject").or_else(|| of("regarding"))
        }
    }
}

fn walk<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, key| value.get(key))
}

fn scalar(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value? {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_refuses_in_its_own_words() {
        for (resource, label, error) in [
            (("", "pods"), "spec.foo", "field label not supported: spec.foo"),
            (("", "nodes"), NAMESPACE, "field label not supported: metadata.namespace"),
            (
                ("", "configmaps"),
                "spec.foo",
                "\"spec.foo\" is not a known field selector: only \"metadata.name\", \
                 \"metadata.namespace\"",
            ),
            (
                ("apps", "replicasets"),
                "status.replicas",
                "\"status.replicas\" is not a known field selector: only \"metadata.name\", \
                 \"metadata.namespace\"",
            ),
            (("batch", "jobs"), "x", "field label \"x\" not supported for Job"),
            (
                ("resource.k8s.io", "resourceslices"),
                "x",
                "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: x",
            ),
            (("events.k8s.io", "events"), "source", "field label not supported: source"),
        ] {
            assert_eq!(resolve(resource, label).expect_err(label).to_string(), error);
        }
        assert_eq!(resolve(("", "pods"), "spec.host"), Ok("spec.nodeName"));
        assert_eq!(resolve(("apps", "deployments"), NAMESPACE), Ok(NAMESPACE));
        assert!(check_custom(&["spec.color"], false, "spec.color").is_ok());
        assert!(check_custom(&["spec.color"], false, NAMESPACE).is_err());
    }

    #[test]
    fn values_of_built_in_kinds() {
        let pod = json!({
            "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"nodeName": "n1"},
            "status": {"podIPs": [{"ip": "10.0.0.1"}]}
        });
        let event = json!({"involvedObject": {"name": "n1"}, "reportingComponent": "kubelet"});
        let new_event = json!({
            "apiVersion": "events.k8s.io/v1", "regarding": {"name": "n1"},
            "reportingController": "kubelet"
        });
        for (object, field, expected) in [
            (&pod, NAME, "p"),
            (&pod, "spec.nodeName", "n1"),
            (&pod, "spec.hostNetwork", "false"),
            (&pod, "status.podIP", "10.0.0.1"),
            (&pod, "status.podIPs", ""),
            (&pod, "status.phase", ""),
            (&json!({"spec": {"unschedulable": true}}), "spec.unschedulable", "true"),
            (&json!({}), "spec.unschedulable", "false"),
            (&json!({"status": {"succeeded": 3}}), "status.successful", "3"),
            (&json!({}), "status.replicas", "0"),
            (&json!({"apiVersion": "a.b/v1"}), "status.replicas", ""),
            (&json!({"apiVersion": "a.b/v1", "spec": {"n": 7}}), "spec.n", "7"),
            (&event, "involvedObject.name", "n1"),
            (&event, "source", "kubelet"),
            (&json!({"source": {"component": "s"}}), "source", "s"),
            (&new_event, "regarding.name", "n1"),
            (&new_event, "reportingController", "kubelet"),
            (&json!({"type": "Opaque"}), "type", "Opaque"),
        ] {
            assert_eq!(value(object, field), expected, "{field} of {object}");
        }
    }
}
