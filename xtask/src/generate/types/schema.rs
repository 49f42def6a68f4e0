//! What the release's OpenAPI documents add to a field: how lists and maps merge, which fields
//! are required, and defaults.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::generate::modules::{Modules, read};

const FOLDER: &str = "api/openapi-spec/v3";

/// All schemas of the release, by definition name such as `io.k8s.api.core.v1.Pod`.
pub(super) struct Schemas {
    definitions: BTreeMap<String, Value>,
}

/// A kind as OpenAPI names it, and the protobuf message behind it.
pub(super) struct Root {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) message: String,
}

impl Schemas {
    /// Reads every document, those of group versions that are off by default too.
    pub(super) fn read(modules: &Modules) -> anyhow::Result<Self> {
        let mut schemas = BTreeMap::new();
        let folder = modules.kubernetes(FOLDER);
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let mut document: Value = serde_json::from_str(&read(&path)?)
                .with_context(|| format!("in {}", path.display()))?;
            if let Some(found) = document.pointer_mut("/components/schemas") {
                let found = found.as_object_mut().context("schemas are an object")?;
                schemas.extend(std::mem::take(found));
            }
        }
        Ok(Self { definitions: schemas })
    }

    /// The schema of a message, when OpenAPI has one under the message's own name.
    pub(super) fn of(&self, message: &str) -> Option<&Value> {
        self.definitions.get(&definition(message)?)
    }

    /// Every kind with the message that describes it.
    pub(super) fn kinds(&self) -> Vec<Root> {
        let mut kinds = Vec::new();
        for (name, schema) in &self.definitions {
            let list = schema["x-kubernetes-group-version-kind"].as_array();
            for kind in list.into_iter().flatten() {
                let text = |key: &str| kind[key].as_str().unwrap_or_default().to_owned();
                kinds.push(Root {
                    group: text("group"),
                    version: text("version"),
                    kind: text("kind"),
                    message: message(name),
                });
            }
        }
        kinds
    }
}

/// Properties of a schema by name.
pub(super) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema["properties"].as_object()
}

/// Whether a schema requires a property.
pub(super) fn requires(schema: &Value, property: &str) -> bool {
    schema["required"].as_array().is_some_and(|list| list.iter().any(|name| name == property))
}

fn definition(message: &str) -> Option<String> {
    let rest = message.strip_prefix("k8s.io.")?;
    Some(format!("io.k8s.{}", rest.replacen('_', "-", 1)))
}

fn message(definition: &str) -> String {
    let rest = definition.strip_prefix("io.k8s.").unwrap_or(definition);
    format!("k8s.io.{}", rest.replacen('-', "_", 1))
}
