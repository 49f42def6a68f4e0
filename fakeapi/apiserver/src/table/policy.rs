//! Kinds that tell the scheduler, the kubelet and the server what they may do.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, NONE, row};

/// What an absent setting of a priority level means.
const DEFAULT_SHARES: i64 = 30;
const DEFAULT_QUEUES: i64 = 64;
const DEFAULT_HAND_SIZE: i64 = 8;
const DEFAULT_QUEUE_LENGTH: i64 = 50;
/// What an absent precedence of a flow schema means.
const DEFAULT_PRECEDENCE: i64 = 1000;

pub(super) fn pod_disruption_budget(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let bound = |key| match object.at(&["spec", key]).0 {
        Value::Null => "N/A".to_owned(),
        Value::String(share) => share.clone(),
        number => number.to_string(),
    };
    row![
        object.name(),
        bound("minAvailable"),
        bound("maxUnavailable"),
        object.int(&["status", "disruptionsAllowed"]),
        object.age(now),
    ]
}

pub(super) fn priority_class(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![
        object.name(),
        object.int(&["value"]),
        object.flag(&["globalDefault"]),
        object.age(now),
        object.optional_text_or(&["preemptionPolicy"], "PreemptLowerPriority"),
    ]
}

pub(super) fn runtime_class(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), object.text(&["handler"]), object.age(now)]
}

pub(super) fn flow_schema(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let spec = object.at(&["spec"]);
    let method = if spec.has(&["distinguisherMethod"]) {
        spec.text(&["distinguisherMethod", "type"])
    } else {
        NONE
    };
    let dangling = object.condition(&["status", "conditions"], "Dangling");
    row![
        object.name(),
        spec.text(&["priorityLevelConfiguration", "name"]),
        precedence(object),
        method,
        object.age(now),
        dangling.map_or("?", |condition| condition.text(&["status"])),
    ]
}

/// The schemas that are tried first come first in a list.
pub(super) fn by_precedence(a: Fields<'_>, b: Fields<'_>) -> Ordering {
    (precedence(a), a.name()).cmp(&(precedence(b), b.name()))
}

fn precedence(schema: Fields<'_>) -> i64 {
    match schema.int(&["spec", "matchingPrecedence"]) {
        0 => DEFAULT_PRECEDENCE,
        precedence => precedence,
    }
}

pub(super) fn priority_level(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let limited = object.at(&["spec", "limited"]);
    let queuing = limited.at(&["limitResponse", "queuing"]);
    // Zero is a number of shares like any other; zero queues mean the default.
    let shares = match limited.0 {
        Value::Null => Value::from(NONE),
        _ => Value::from(limited.int_or(&["nominalConcurrencyShares"], DEFAULT_SHARES)),
    };
    let setting = |key, default| match queuing.int(&[key]) {
        _ if !queuing.has(&[]) => Value::from(NONE),
        0 => Value::from(default),
        value => Value::from(value),
    };
    row![
        object.name(),
        object.text(&["spec", "type"]),
        shares,
        setting("queues", DEFAULT_QUEUES),
        setting("handSize", DEFAULT_HAND_SIZE),
        setting("queueLengthLimit", DEFAULT_QUEUE_LENGTH),
        object.age(now),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::printer;

    #[test]
    fn flow_schemas_are_listed_by_precedence_then_name() {
        let schema = |name: &str, precedence: i64| json!({"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence}});
        let mut list = [
            schema("z", 500),
            schema("b", 0),
            schema("a", 1000),
            schema("late", 9000),
            schema("y", 1),
        ];
        let order = printer("flowcontrol.apiserver.k8s.io", "flowschemas").list_order();
        list.sort_by(order.expect("flow schemas have an order"));
        let names: Vec<_> = list.iter().filter_map(|it| it["metadata"]["name"].as_str()).collect();
        assert_eq!(names, ["y", "z", "a", "b", "late"]);
        assert!(printer("", "pods").list_order().is_none());
    }
}
