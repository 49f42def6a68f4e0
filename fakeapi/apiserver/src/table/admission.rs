//! Webhook configurations and admission policies.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, UNSET, number, row};

pub(super) fn webhooks(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), number(object.count(&["webhooks"])), object.age(now)]
}

pub(super) fn validating_policy(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    policy(object, "validations", now)
}

pub(super) fn mutating_policy(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    policy(object, "mutations", now)
}

fn policy(object: Fields<'_>, rules: &str, now: Timestamp) -> Vec<Value> {
    let kind = object.at(&["spec", "paramKind"]);
    let kind = if kind.has(&[]) {
        format!("{}/{}", kind.text(&["apiVersion"]), kind.text(&["kind"]))
    } else {
        UNSET.to_owned()
    };
    row![object.name(), number(object.count(&["spec", rules])), kind, object.age(now)]
}

pub(super) fn policy_binding(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let parameter = parameter(object.at(&["spec", "paramRef"]));
    row![object.name(), object.text(&["spec", "policyName"]), parameter, object.age(now)]
}

/// The parameter by name; `*` for any namespace, which cluster-wide parameters show too.
fn parameter(reference: Fields<'_>) -> String {
    match reference.text(&["name"]) {
        "" if reference.has(&["selector"]) => selector(reference.at(&["selector"])),
        "" => UNSET.to_owned(),
        name => format!("{}/{name}", reference.text_or(&["namespace"], "*")),
    }
}

/// A selector in the reference's debugging form, which is what its printer shows here.
fn selector(selector: Fields<'_>) -> String {
    let mut labels: Vec<_> = selector.entries(&["matchLabels"]).collect();
    labels.sort_unstable_by_key(|(key, _)| *key);
    let labels =
        labels.iter().map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or("")));
    let labels: String = labels.collect();
    let expressions: String = selector.items(&["matchExpressions"]).map(expression).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

fn expression(expression: Fields<'_>) -> String {
    format!(
        "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
        expression.text(&["key"]),
        expression.text(&["operator"]),
        expression.texts(&["values"]).join(" "),
    )
}
