//! Dynamic resource allocation: devices, claims and what is known of their pools.

use jiff::Timestamp;
use serde_json::Value;

use super::duration::human_duration;
use super::fields::{Fields, NONE, between, number, row};

pub(super) fn claim(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    row![object.name(), claim_state(object), object.age(now)]
}

fn claim_state(claim: Fields<'_>) -> String {
    let allocated = claim.has(&["status", "allocation"]);
    let states = [
        (claim.deleting(), "deleted"),
        (!allocated && !claim.deleting(), "pending"),
        (allocated, "allocated"),
        (allocated && claim.count(&["status", "reservedFor"]) > 0, "reserved"),
    ];
    let shown = states.into_iter().filter(|(holds, _)| *holds).map(|(_, state)| state);
    shown.collect::<Vec<_>>().join(",")
}

pub(super) fn slice(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let spec = object.at(&["spec"]);
    row![
        object.name(),
        spec.text(&["nodeName"]),
        spec.text(&["driver"]),
        spec.text(&["pool", "name"]),
        object.age(now),
    ]
}

pub(super) fn taint_rule(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let taint = object.at(&["spec", "taint"]);
    // The real server fills the time in on reading, so a taint without one is always new.
    let added = taint.time(&["timeAdded"]).unwrap_or(now);
    row![
        object.name(),
        taint.text(&["key"]),
        taint.text(&["value"]),
        taint.text(&["effect"]),
        human_duration(between(added, now)),
        object.age(now),
    ]
}

/// How far the query of a pool has come.
enum Query<'a> {
    Pending,
    Failed,
    Complete(Fields<'a>),
}

impl<'a> Query<'a> {
    fn of(request: Fields<'a>) -> Self {
        let mut conditions = request.items(&["status", "conditions"]);
        let decided = conditions.find(|condition| {
            condition.text(&["status"]) == "True"
                && matches!(condition.text(&["type"]), "Complete" | "Failed")
        });
        match decided {
            Some(condition) if condition.text(&["type"]) == "Complete" => Self::Complete(condition),
            Some(_) => Self::Failed,
            None => Self::Pending,
        }
    }

    /// A complete answer that lists fewer pools than there are says how many.
    fn status(&self, listed: usize, pools: i64) -> String {
        match self {
            Self::Pending => "Pending".to_owned(),
            Self::Failed => "Failed".to_owned(),
            Self::Complete(_) if pools > number(listed) => {
                format!("Complete ({listed}/{pools} pools)")
            }
            Self::Complete(_) => "Complete".to_owned(),
        }
    }
}

pub(super) fn pool_status_request(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let query = Query::of(object);
    let status = object.at(&["status"]);
    let counted = status.has(&[]) && !matches!(query, Query::Failed);
    let show = |count: i64| {
        if counted { count.to_string() } else { "-".to_owned() }
    };
    let pools = || status.items(&["pools"]);
    let sum = |key| pools().fold(0_i64, |sum, pool| sum.saturating_add(pool.int(&[key])));
    let errors = pools().filter(|pool| pool.has(&["validationError"])).count();
    let known = status.int(&["poolCount"]);
    let completed = match query {
        Query::Complete(condition) => condition.since(&["lastTransitionTime"], now),
        _ => NONE.to_owned(),
    };
    row![
        object.name(),
        object.text(&["spec", "driver"]),
        show(sum("totalDevices")),
        show(sum("availableDevices")),
        show(sum("allocatedDevices")),
        show(sum("unavailableDevices")),
        show(number(errors)),
        known,
        query.status(status.count(&["pools"]), known),
        completed,
    ]
}
