//! The roles and bindings a fresh cluster holds, as the real server's own tests record them.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    modules::{Modules, read},
    output::Output,
};

const FOLDER: &str = "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata";

/// Recorded for the default feature gates; `cluster-roles-featuregates.yaml` is for others.
const FILES: [&str; 6] = [
    "cluster-roles.yaml",
    "cluster-role-bindings.yaml",
    "controller-roles.yaml",
    "controller-role-bindings.yaml",
    "namespace-roles.yaml",
    "namespace-role-bindings.yaml",
];

/// Writes one list with every object.
pub(super) fn generate(modules: &Modules, output: &mut Output) -> anyhow::Result<()> {
    let mut items = Vec::new();
    for file in FILES {
        let text = read(&modules.kubernetes(FOLDER).join(file))?;
        let list: Value = serde_saphyr::from_str(&text).with_context(|| format!("in {file}"))?;
        let list = list["items"].as_array().with_context(|| format!("{file} is no list"))?;
        items.extend(list.iter().cloned());
    }
    let list = json!({ "kind": "List", "apiVersion": "v1", "items": items });
    output.text("rbac.json", &(serde_json::to_string(&list)? + "\n"));
    Ok(())
}
