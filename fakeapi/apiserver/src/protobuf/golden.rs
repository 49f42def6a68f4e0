//! The judge: Kubernetes' own golden vectors must decode to their JSON and encode to their bytes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{decode_as, encode};
use crate::types::{check, normalize, table, unknown_fields};

/// A JSON document and its protobuf form.
pub(super) struct Vector {
    name: String,
    pub(super) json: Value,
    pub(super) protobuf: Vec<u8>,
}

impl Vector {
    /// Version and kind, which `core.v1.WatchEvent` has in its file's name only.
    fn named(&self) -> (String, String) {
        if let (Value::String(api_version), Value::String(kind)) =
            (&self.json["apiVersion"], &self.json["kind"])
        {
            return (api_version.clone(), kind.clone());
        }
        let parts: Vec<&str> = self.name.rsplitn(3, '.').collect();
        assert_eq!(parts[2], "core", "{} names no kind", self.name);
        (parts[1].to_owned(), parts[0].to_owned())
    }
}

fn vectors(folder: &Path) -> Vec<Vector> {
    let mut names: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of golden vectors")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pb"))
        .collect();
    names.sort();
    names
        .iter()
        .map(|path| Vector {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            json: serde_json::from_slice(&fs::read(path.with_extension("json")).expect("JSON"))
                .expect("valid JSON"),
            protobuf: fs::read(path).expect("protobuf"),
        })
        .collect()
}

pub(super) fn fixtures() -> Vec<Vector> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/protobuf/testdata");
    let found = vectors(Path::new(folder));
    assert!(found.len() >= 12, "fixtures are missing from {folder}");
    found
}

/// A module in Go's cache; nothing when Go or the module is not there.
fn module(path: &str) -> Option<PathBuf> {
    let version = crate::generated::release().replacen("v1.", "v0.", 1);
    let result = Command::new("go")
        .args(["mod", "download", "-json", &format!("{path}@{version}")])
        .env("GOPROXY", "off")
        .current_dir(std::env::temp_dir())
        .output();
    let found = match result {
        Err(error) => Err(format!("Go could not be started: {error}")),
        Ok(output) => serde_json::from_slice::<Value>(&output.stdout)
            .ok()
            .and_then(|found| found["Dir"].as_str().map(PathBuf::from))
            .ok_or_else(|| format!("{path}@{version} is not in the module cache")),
    };
    found.inspect_err(|reason| eprintln!("skipped: {reason}")).ok()
}

/// Checks one vector in every way; tells what is wrong.
fn judge(vector: &Vector) -> Result<(), String> {
    let (api_version, kind) = vector.named();
    let decoded = decode_as(&vector.protobuf, &api_version, &kind);
    let decoded = decoded.map_err(|error| format!("decode: {error}"))?;
    if (&decoded.api_version, &decoded.kind) != (&api_version, &kind) {
        return Err(format!("decoded as {} {}", decoded.api_version, decoded.kind));
    }
    if decoded.value != vector.json {
        let difference = difference("", &decoded.value, &vector.json);
        return Err(format!("decodes to other JSON at {difference:?}"));
    }
    let encoded = encode(&vector.json, &api_version, &kind).map_err(|e| format!("encode: {e}"))?;
    if encoded != vector.protobuf {
        let position = encoded.iter().zip(&vector.protobuf).position(|(a, b)| a != b);
        return Err(format!("encodes to other bytes from {position:?}"));
    }
    let root = table().root_of(&api_version, &kind).ok_or("no type")?;
    let unknown = unknown_fields(&vector.json, root);
    if !unknown.is_empty() {
        return Err(format!("{unknown:?}"));
    }
    check(&vector.json, root).map_err(|error| format!("check: {error}"))?;
    let mut normalized = vector.json.clone();
    normalize(&mut normalized, root);
    if normalized != vector.json {
        let difference = difference("", &normalized, &vector.json);
        return Err(format!("normalizes to other JSON at {difference:?}"));
    }
    Ok(())
}

/// The first place where two values differ.
pub(super) fn difference(path: &str, left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|key| {
            let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
            difference(&format!("{path}.{key}"), a, b).or_else(|| {
                (left.get(key).is_some() != right.get(key).is_some())
                    .then(|| format!("{path}.{key}: only on one side"))
            })
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).find_map(|(a, b)| difference(&format!("{path}[]"), a, b))
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{path}: {a} is not {b}")),
    }
}

fn judge_all(vectors: &[Vector]) {
    let faults: Vec<String> = vectors
        .iter()
        .filter_map(|vector| judge(vector).err().map(|fault| format!("{}: {fault}", vector.name)))
        .collect();
    assert!(
        faults.is_empty(),
        "{} of {} vectors fail:\n{}",
        faults.len(),
        vectors.len(),
        faults.join("\n")
    );
}

#[test]
fn fixtures_round_trip() {
    judge_all(&fixtures());
}

#[test]
fn every_vector_of_the_api_module_round_trips() {
    let Some(module) = module("k8s.io/api") else {
        return;
    };
    let all = vectors(&module.join("testdata/HEAD"));
    assert!(all.len() > 150, "only {} vectors", all.len());
    judge_all(&all);
}

#[test]
fn every_vector_of_the_extensions_module_round_trips() {
    let Some(module) = module("k8s.io/apiextensions-apiserver") else {
        return;
    };
    let all = vectors(&module.join("pkg/apis/testdata/HEAD"));
    assert!(all.len() > 2, "only {} vectors", all.len());
    judge_all(&all);
}
