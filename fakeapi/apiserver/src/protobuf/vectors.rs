//! The second judge: what Kubernetes' own Go types make of imperfect objects.
//!
//! Golden vectors have every field set to something. These have fields missing, empty, unknown
//! and of the wrong type; `cargo xtask gen --vectors` makes them by running a small Go program.

use std::{collections::BTreeMap, io::Read as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::{decode_as, encode, golden::difference};
use crate::types::{TypeRef, check, normalize, prune, table, unknown_fields};

static VECTORS: &[u8] = include_bytes!("testdata/vectors.jsonl.gz");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    mode: String,
    name: String,
    r#in: Value,
    #[serde(default)]
    error: String,
    #[serde(default)]
    json: Value,
    #[serde(default)]
    protobuf: String,
    #[serde(default)]
    from_protobuf: Value,
}

/// Faults, each with the vectors that have it.
#[derive(Default)]
struct Faults(BTreeMap<String, Vec<String>>);

impl Faults {
    fn add(&mut self, vector: &Vector, fault: String) {
        self.0.entry(fault).or_default().push(format!("{} {}", vector.mode, vector.name));
    }

    fn assert_none(&self) {
        let lines: Vec<String> = self
            .0
            .iter()
            .map(|(fault, vectors)| format!("{} times {fault}, in {}", vectors.len(), vectors[0]))
            .collect();
        assert!(lines.is_empty(), "{} faults:\n{}", lines.len(), lines.join("\n"));
    }
}

fn vectors() -> Vec<Vector> {
    let mut text = String::new();
    GzDecoder::new(VECTORS).read_to_string(&mut text).expect("compressed text");
    text.lines().map(|line| serde_json::from_str(line).expect("a vector")).collect()
}

fn names(vector: &Vector) -> (&str, &str, TypeRef) {
    let text = |key: &str| vector.r#in[key].as_str().expect("objects name their kind");
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    (api_version, kind, table().root_of(api_version, kind).expect("a built-in kind"))
}

#[test]
fn errors_are_those_of_go() {
    const STRICT: &str = "strict decoding error: ";
    let mut faults = Faults::default();
    let mut seen = 0;
    for vector in &vectors() {
        let (.., root) = names(vector);
        let told = match check(&vector.r#in, root) {
            Err(error) => error.to_string(),
            Ok(()) => match unknown_fields(&vector.r#in, root) {
                unknown if unknown.is_empty() => String::new(),
                unknown => format!("{STRICT}{}", unknown.join(", ")),
            },
        };
        seen += usize::from(!vector.error.is_empty());
        if told != vector.error {
            faults.add(vector, format!("{told:?} instead of {:?}", vector.error));
        }
    }
    assert!(seen > 200, "only {seen} vectors have errors");
    faults.assert_none();
}

#[test]
fn objects_are_those_of_go() {
    let mut faults = Faults::default();
    let mut seen = 0;
    for vector in vectors().iter().filter(|vector| vector.error.is_empty()) {
        seen += 1;
        let (api_version, kind, root) = names(vector);
        let expected = STANDARD.decode(&vector.protobuf).expect("base64");
        let mut normalized = vector.r#in.clone();
        normalize(&mut normalized, root);
        if let Some(difference) = difference("", &normalized, &vector.json) {
            faults.add(vector, format!("normalizes to {difference}"));
        }
        let mut twice = normalized.clone();
        normalize(&mut twice, root);
        if let Some(difference) = difference("", &twice, &normalized) {
            faults.add(vector, format!("normalizes the second time to {difference}"));
        }
        match encode(&vector.r#in, api_version, kind) {
            Ok(bytes) if bytes == expected => {}
            Ok(_) => faults.add(vector, "encodes to other bytes".to_owned()),
            Err(error) => faults.add(vector, format!("encodes to {error}")),
        }
        match decode_as(&expected, api_version, kind) {
            Ok(decoded) => {
                if let Some(difference) = difference("", &decoded.value, &vector.from_protobuf) {
                    faults.add(vector, format!("decodes to {difference}"));
                }
            }
            Err(error) => faults.add(vector, format!("decodes to {error}")),
        }
    }
    assert!(seen > 500, "only {seen} vectors decode");
    faults.assert_none();
}

#[test]
fn pruning_leaves_what_go_knows() {
    let mut faults = Faults::default();
    let unknown = |vector: &&Vector| vector.error.starts_with("strict decoding error");
    for vector in vectors().iter().filter(unknown) {
        let (.., root) = names(vector);
        let mut pruned = vector.r#in.clone();
        prune(&mut pruned, root);
        let left = unknown_fields(&pruned, root);
        if !left.is_empty() {
            faults.add(vector, format!("{left:?} are left"));
        }
    }
    faults.assert_none();
}
