//! Role bindings. Roles have no printer: they show in the default form.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{Fields, row};

/// Bindings and cluster bindings look alike.
pub(super) fn binding(object: Fields<'_>, now: Timestamp) -> Vec<Value> {
    let role = object.at(&["roleRef"]);
    let subjects = |kind: &str| {
        let of_kind = object.items(&["subjects"]).filter(|it| it.text(&["kind"]) == kind);
        of_kind.map(subject).collect::<Vec<_>>().join(", ")
    };
    row![
        object.name(),
        format!("{}/{}", role.text(&["kind"]), role.text(&["name"])),
        object.age(now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn subject(subject: Fields<'_>) -> String {
    let name = subject.text(&["name"]);
    match subject.text(&["kind"]) {
        "ServiceAccount" => format!("{}/{name}", subject.text(&["namespace"])),
        _ => name.to_owned(),
    }
}
