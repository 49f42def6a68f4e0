//! Events, which two groups serve under different field names.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, UNKNOWN, row};

/// What one group calls the fields the other group calls otherwise.
struct Names {
    object: &'static str,
    message: &'static str,
    source: &'static str,
    reporter: &'static str,
    first: &'static str,
    last: &'static str,
    count: &'static str,
}

const CORE: Names = Names {
    object: "involvedObject",
    message: "message",
    source: "source",
    reporter: "reportingComponent",
    first: "firstTimestamp",
    last: "lastTimestamp",
    count: "count",
};

const EVENTS: Names = Names {
    object: "regarding",
    message: "note",
    source: "deprecatedSource",
    reporter: "reportingController",
    first: "deprecatedFirstTimestamp",
    last: "deprecatedLastTimestamp",
    count: "deprecatedCount",
};

pub(super) fn core(event: Fields<'_>, now: Timestamp) -> Vec<Value> {
    cells(event, &CORE, now)
}

pub(super) fn events(event: Fields<'_>, now: Timestamp) -> Vec<Value> {
    cells(event, &EVENTS, now)
}

fn cells(event: Fields<'_>, names: &Names, now: Timestamp) -> Vec<Value> {
    let first = first_seen(event, names, now);
    row![
        last_seen(event, names, &first, now),
        event.text(&["type"]),
        event.text(&["reason"]),
        target(event.at(&[names.object])),
        event.text(&[names.object, "fieldPath"]),
        source(event, names),
        event.text(&[names.message]).trim(),
        first,
        count(event, names),
        event.name(),
    ]
}

fn first_seen(event: Fields<'_>, names: &Names, now: Timestamp) -> String {
    match event.time(&[names.first]) {
        Some(_) => event.since(&[names.first], now),
        None => event.since(&["eventTime"], now),
    }
}

fn last_seen(event: Fields<'_>, names: &Names, first: &str, now: Timestamp) -> String {
    if event.has(&["series"]) {
        return event.since(&["series", "lastObservedTime"], now);
    }
    match event.since(&[names.last], now) {
        last if last == UNKNOWN => first.to_owned(),
        last => last,
    }
}

/// A single event has no count in the newer form.
fn count(event: Fields<'_>, names: &Names) -> i64 {
    match event.int(&[names.count]) {
        _ if event.has(&["series"]) => event.int(&["series", "count"]),
        0 => 1,
        count => count,
    }
}

fn target(object: Fields<'_>) -> String {
    let kind = object.text(&["kind"]).to_lowercase();
    match object.text(&["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

/// Who reported it, and from where.
fn source(event: Fields<'_>, names: &Names) -> String {
    let component = event.text_or(&[names.source, "component"], event.text(&[names.reporter]));
    match event.text_or(&[names.source, "host"], event.text(&["reportingInstance"])) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    }
}
