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
        let api_version = self.object["apiVersion"].as_str().expect("objects have an apiVersion");
        api_version.split_once('/').map_or("", |(group, _)| group)
    }

    fn check(&self, file: &str) -> Result<(), String> {
        let now: Timestamp = NOW.parse().expect("a time");
        let printer = printer(self.group(), &self.resource);
        let got = (printer.cells(&self.object, now), printer.conditions(&self.object));
        if got == (self.cells.clone(), self.conditions.clone()) {
            return Ok(());
        }
        let (case, cells) = (&self.case, &self.cells);
        Err(format!("{file}: {} {case}\n  want {cells:?}\n  got  {:?}", self.resource, got.0))
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
            (*family, example.unwrap_or_else(|error| panic!("{family}: {error}: {line}")))
        })
    })
}

#[test]
fn rows_are_those_of_the_real_printers() {
    let wrong: Vec<_> =
        examples().filter_map(|(family, example)| example.check(family).err()).collect();
    assert!(wrong.is_empty(), "{} rows differ\n{}", wrong.len(), wrong.join("\n"));
}

/// Calls `check` with `whole` after each value in it, one at a time, was replaced.
fn each_replaced(whole: &Value, replacement: &Value, check: &mut dyn FnMut(&Value)) {
    fn walk(whole: &mut Value, at: &str, with: &Value, check: &mut dyn FnMut(&Value)) {
        let place = whole.pointer_mut(at).expect("the path was made from the value");
        let below: Vec<String> = match &*place {
            Value::Object(map) => {
                map.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect()
            }
            Value::Array(list) => (0..list.len()).map(|index| index.to_string()).collect(),
            _ => Vec::new(),
        };
        let old = std::mem::replace(place, with.clone());
        check(whole);
        *whole.pointer_mut(at).expect("only what is below the path changed") = old;
        for key in below {
            walk(whole, &format!("{at}/{key}"), with, check);
        }
    }
    walk(&mut whole.clone(), "", replacement, check);
}

#[test]
fn a_value_of_another_type_still_makes_a_whole_row() {
    let now: Timestamp = NOW.parse().expect("a time");
    let strangers = [
        serde_json::json!(null),
        serde_json::json!(i64::MAX),
        serde_json::json!(-1.5),
        serde_json::json!("9999-12-31T23:59:59Z"),
        serde_json::json!("a\u{e9}/:, "),
        serde_json::json!([[], {}, "x"]),
        serde_json::json!({"a": {}}),
    ];
    for (family, example) in examples() {
        let printer = printer(example.group(), &example.resource);
        for stranger in &strangers {
            each_replaced(&example.object, stranger, &mut |object| {
                let cells = printer.cells(object, now).len();
                assert_eq!(cells, example.cells.len(), "{family} {}: {object}", example.case);
            });
        }
    }
}

#[test]
fn a_row_has_a_cell_for_each_column() {
    for (family, example) in examples() {
        // The real printer of addresses makes an age that it has no column for.
        let extra = usize::from(example.resource == "ipaddresses");
        let columns = printer(example.group(), &example.resource).columns().len();
        assert_eq!(example.cells.len(), columns + extra, "{family} {}", example.case);
    }
}

#[test]
fn every_printer_has_an_example() {
    let tried: BTreeSet<_> =
        examples().map(|(_, example)| (example.group().to_owned(), example.resource)).collect();
    // The judge links no aggregator, so API services have a test of their own.
    for printer in PRINTERS.iter().filter(|printer| printer.resource != "apiservices") {
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
