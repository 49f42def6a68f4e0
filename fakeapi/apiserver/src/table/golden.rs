//! Our rows against the real printers' rows: `testdata/*.jsonl`, answered by `xtask/tables`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::printer;
use super::registry::PRINTERS;

/// The time at which the test data stands still.
const NOW: &str = "2026-11-21T12:00:00Z";

#[derive(Deserialize)]
struct Example {
    case: String,
    resource: String,
    object: Value,
    cells: Vec<Value>,
    #[serde(default)]
    conditions: Vec<Value>,
}

impl Example {
    fn group(&self) -> &str {
        let api_version = self.object["apiVersion"]
            .as_str()
            .expect("objects have an apiVersion");
        api_version.split_once('/').map_or("", |(group, _)| group)
    }

    fn check(&self, file: &str) -> Result<(), String> {
        let now: Timestamp = NOW.parse().expect("a time");
        let printer = printer(self.group(), &self.resource);
        let got = (
            printer.cells(&self.object, now),
            printer.conditions(&self.object),
        );
        if got == (self.cells.clone(), self.conditions.clone()) {
            return Ok(());
        }
        let (case, cells) = (&self.case, &self.cells);
        Err(format!(
            "{file}: {} {case}\n  want {cells:?}\n  got  {:?}",
            self.resource, got.0
        ))
    }
}

macro_rules! families {
    ($($family:literal),* $(,)?) => {
        &[$(($family, include_str!(concat!("testdata/", $family, ".jsonl")))),*]
    };
}

static FAMILIES: &[(&str, &str)] = families![
    "admission",
    "autoscaling",
    "batch",
    "certificates",
    "coordination",
    "core",
    "devices",
    "event",
    "machinery",
    "network",
    "node",
    "pod",
    "policy",
    "rbac",
    "scheduling",
    "service",
    "storage",
    "workload",
];

fn examples() -> impl Iterator<Item = (&'static str, Example)> {
    FAMILIES.iter().flat_map(|(family, lines)| {
        lines.lines().map(move |line| {
            let example = serde_json::from_str(line);
            (
                *family,
                example.unwrap_or_else(|error| panic!("{family}: {error}: {line}")),
            )
        })
    })
}

#[test]
fn rows_are_those_of_the_real_printers() {
    let wrong: Vec<_> = examples()
        .filter_map(|(family, example)| example.check(family).err())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} rows differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_printer_has_an_example() {
    let tried: BTreeSet<_> = examples()
        .map(|(_, example)| (example.group().to_owned(), example.resource))
        .collect();
    // The judge links no aggregator, so API services have a test of their own.
    for printer in PRINTERS
        .iter()
        .filter(|printer| printer.resource != "apiservices")
    {
        let key = (printer.group.to_owned(), printer.resource.to_owned());
        assert!(tried.contains(&key), "no example of {key:?}");
    }
}

#[test]
fn resources_without_a_printer_show_name_and_creation() {
    let now: Timestamp = NOW.parse().expect("a time");
    let role = printer("rbac.authorization.k8s.io", "roles");
    let names: Vec<_> = role.columns().iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["Name", "Created At"]);
    let created = "2026-01-02T03:04:05Z";
    let object = serde_json::json!({"metadata": {"name": "r", "creationTimestamp": created}});
    assert_eq!(role.cells(&object, now), ["r", created]);
}
