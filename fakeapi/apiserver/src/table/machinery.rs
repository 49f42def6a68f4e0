//! Kinds by which the API servers organise themselves.

use jiff::Timestamp;
use serde_json::Value;

use super::columns::{CREATED_DESCRIPTION, NAME_DESCRIPTION};
use super::fields::{Fields, UNSET, non_empty, row};
use super::service::shorten;
use super::{Column, column};

/// The columns of the aggregator's own server, which has no part in the printers' list.
pub(super) static API_SERVICE: &[Column] = &[
    column("Name", "string", "name", 0, NAME_DESCRIPTION),
    column(
        "Service",
        "string",
        "",
        0,
        "The reference to the service that hosts this API endpoint.",
    ),
    column("Available", "string", "", 0, "Whether this service is available."),
    column("Age", "string", "", 0, CREATED_DESCRIPTION),
];

pub(super) fn api_service(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let service = object.at(&["spec", "service"]);
    let service = if service.has(&[]) {
        format!("{}/{}", service.text(&["namespace"]), service.text(&["name"]))
    } else {
        "Local".to_owned()
    };
    row![object.name(), service, availability(object), object.age(now)]
}

/// The status of the condition, with the reason behind it unless all is well.
fn availability(object: Fields<'_>) -> String {
    let Some(condition) = object.condition(&["status", "conditions"], "Available") else {
        return "Unknown".to_owned();
    };
    match (condition.text(&["status"]), condition.text(&["reason"])) {
        ("True", _) => "True".to_owned(),
        (status, "") => status.to_owned(),
        (status, reason) => format!("{status} ({reason})"),
    }
}

pub(super) fn storage_version(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let servers: Vec<_> = object
        .items(&["status", "storageVersions"])
        .map(|it| format!("{}={}", it.text(&["apiServerID"]), it.text(&["encodingVersion"])))
        .collect();
    row![
        object.name(),
        object.optional_text_or(&["status", "commonEncodingVersion"], UNSET),
        non_empty(shorten(&servers), UNSET),
        object.age(now),
    ]
}

pub(super) fn storage_version_migration(object: Fields<'_>, _now: Timestamp) -> Vec<Value> {
    let resource = object.at(&["spec", "resource"]);
    let name = match (resource.text(&["resource"]), resource.text(&["group"])) {
        (resource, "") => resource.to_owned(),
        (resource, group) => format!("{resource}.{group}"),
    };
    let state = object
        .items(&["status", "conditions"])
        .filter(|condition| condition.text(&["status"]) == "True")
        .map(|condition| condition.text(&["type"]))
        .rfind(|kind| matches!(*kind, "Running" | "Failed" | "Succeeded"));
    row![object.name(), name, state.unwrap_or("Unknown")]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{conditions, printer};

    fn api_service(spec: &Value, conditions: &Value) -> Vec<Value> {
        let object = json!({
            "metadata": {"name": "v1.apps", "creationTimestamp": "2026-11-21T11:00:00Z"},
            "spec": spec,
            "status": {"conditions": conditions},
        });
        let now = "2026-11-21T12:00:00Z".parse().expect("a time");
        printer("apiregistration.k8s.io", "apiservices").cells(&object, now)
    }

    #[test]
    fn api_services() {
        let served = json!({"service": {"namespace": "kube-system", "name": "metrics"}});
        let available = |status: &str, reason: &str| {
            json!([{"type": "Else", "status": "True"},
                   {"type": "Available", "status": status, "reason": reason}])
        };
        let cases = [
            (json!({}), available("True", "Local"), ["Local", "True"]),
            (json!({"service": null}), json!(null), ["Local", "Unknown"]),
            (
                served.clone(),
                available("False", "Missing"),
                ["kube-system/metrics", "False (Missing)"],
            ),
            (served, available("False", ""), ["kube-system/metrics", "False"]),
        ];
        for (spec, conditions, [service, status]) in cases {
            assert_eq!(api_service(&spec, &conditions), ["v1.apps", service, status, "60m"]);
        }
    }

    #[test]
    fn api_services_repeat_their_columns_in_a_watch() {
        let printer = printer("apiregistration.k8s.io", "apiservices");
        assert_eq!(printer.event_columns(false).map(<[_]>::len), Some(4));
        assert!(conditions("apiregistration.k8s.io", "apiservices", &json!({})).is_empty());
    }
}
