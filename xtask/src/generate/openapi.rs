//! The OpenAPI documents, reduced to the served group versions, minified and compressed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha512};

use super::{
    discovery::Served,
    modules::{Modules, read},
    openapi_v2_proto,
    output::Output,
};

const V2: &str = "api/openapi-spec/swagger.json";
const V3_FOLDER: &str = "api/openapi-spec/v3";
const V3_SUFFIX: &str = "_openapi.json";
/// Documents of handlers that are off by default: the log viewer.
const V3_OFF: [&str; 1] = ["logs"];

/// Writes the v2 document in both of its encodings, the v3 documents, and Rust code that embeds
/// them with their digests.
pub(super) fn generate(
    modules: &Modules,
    served: &Served,
    output: &mut Output,
) -> anyhow::Result<()> {
    let mut code =
        String::from("// Made by `cargo xtask gen`: path, digest and compressed document.\n");
    let v2 = v2(serde_json::from_str(&read(&modules.kubernetes(V2))?)?, served)?;
    let proto = openapi_v2_proto::encode(modules, &v2).context("OpenAPI v2 as protobuf")?;
    for (name, file, document) in [
        ("OPENAPI_V2_JSON", "openapi/v2.json", serde_json::to_vec(&v2)?),
        ("OPENAPI_V2_PROTO", "openapi/v2.pb", proto),
    ] {
        let entry = embed(file, &document, output)?;
        writeln!(code, "pub(crate) static {name}: (&str, &[u8]) =\n    ({entry});")?;
    }
    code.push_str("pub(crate) static OPENAPI_V3: &[(&str, &str, &[u8])] = &[\n");
    for (path, (name, document)) in &v3(modules, served)? {
        let entry = embed(&format!("openapi/v3/{name}.json"), document, output)?;
        writeln!(code, "    ({path:?}, {entry}),")?;
    }
    code.push_str("];\n");
    output.text("openapi.rs", &code);
    Ok(())
}

/// Adds a document to the output; the answer is its digest and the code that embeds it.
fn embed(file: &str, document: &[u8], output: &mut Output) -> anyhow::Result<String> {
    let mut hash = String::new();
    for byte in Sha512::digest(document) {
        write!(hash, "{byte:02X}")?;
    }
    output.gzip(file, document)?;
    Ok(format!("{hash:?}, include_bytes!(\"{file}.gz\")"))
}

/// File name and content of every served document, by path.
fn v3(modules: &Modules, served: &Served) -> anyhow::Result<BTreeMap<String, (String, Vec<u8>)>> {
    let mut documents = BTreeMap::new();
    for entry in std::fs::read_dir(modules.kubernetes(V3_FOLDER))? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(V3_SUFFIX) else {
            continue;
        };
        let path = name.replace("__", "/");
        if is_served(&path, served) && !V3_OFF.contains(&path.as_str()) {
            let document: Value = serde_json::from_str(&read(&file)?)?;
            documents.insert(path, (name.to_owned(), serde_json::to_vec(&document)?));
        }
    }
    ensure!(documents.contains_key("api/v1"), "no document for the core group");
    Ok(documents)
}

/// Whether a path such as `apis/apps/v1`, `apis/apps` or `version` belongs to what is served.
fn is_served(path: &str, served: &Served) -> bool {
    match path.strip_prefix("apis/") {
        None => true,
        Some(rest) if rest.contains('/') => served.group_version(rest),
        Some(group) => served.group(group),
    }
}

/// Drops paths of versions that are not served, and definitions nothing refers to any more.
fn v2(mut document: Value, served: &Served) -> anyhow::Result<Value> {
    let paths = document["paths"].as_object_mut().context("no paths")?;
    paths.retain(|path, _| {
        let path = path.trim_matches('/');
        let group_version: Vec<&str> = path.splitn(4, '/').take(3).collect();
        let off = V3_OFF.iter().any(|off| path.split('/').next() == Some(*off));
        !off && is_served(&group_version.join("/"), served)
    });
    let mut wanted = BTreeSet::new();
    let mut open: VecDeque<&Value> =
        [&document["paths"], &document["parameters"]].into_iter().collect();
    let definitions = document["definitions"].as_object().context("no definitions")?;
    while let Some(value) = open.pop_front() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref")
                    && let Some(name) = target.strip_prefix("#/definitions/")
                    && wanted.insert(name.to_owned())
                {
                    open.push_back(definitions.get(name).context("a reference to nothing")?);
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    document["definitions"]
        .as_object_mut()
        .context("no definitions")?
        .retain(|name, _| wanted.contains(name));
    Ok(document)
}
