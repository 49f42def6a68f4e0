//! What a real server of the release answers to discovery, reduced to what it serves by default.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};

use super::{
    modules::{Modules, read},
    output::Output,
};

const FOLDER: &str = "api/discovery";
/// Where the release says which group versions are on by default.
const DEFAULTS: &str = "pkg/controlplane/instance.go";

/// The group versions served by default, in the form `group/version`; the core group is `v1`.
pub(super) struct Served {
    group_versions: BTreeSet<String>,
}

impl Served {
    /// Whether `apps/v1` (or, for the core group, `v1`) is served.
    pub(super) fn group_version(&self, group_version: &str) -> bool {
        self.group_versions.contains(group_version)
    }

    /// Whether any version of a group is served.
    pub(super) fn group(&self, group: &str) -> bool {
        self.group_versions.iter().any(|served| {
            served.split_once('/').is_some_and(|(served_group, _)| served_group == group)
        })
    }
}

/// Writes the group list, every resource list, and the aggregated form of both.
pub(super) fn generate(modules: &Modules, output: &mut Output) -> anyhow::Result<Served> {
    check_defaults(&read(&modules.kubernetes(DEFAULTS))?)?;
    let document = |name: &str| -> anyhow::Result<Value> {
        let text = read(&modules.kubernetes(FOLDER).join(name))?;
        serde_json::from_str(&text).with_context(|| format!("in {name}"))
    };
    let groups = groups(document("apis.json")?)?;
    let mut resources = Map::new();
    resources.insert("v1".to_owned(), document("api__v1.json")?);
    for group in &groups {
        for version in array(group, "versions")? {
            let group_version = text(version, "groupVersion")?;
            let file = format!("apis__{}.json", group_version.replace('/', "__"));
            resources.insert(group_version.to_owned(), document(&file)?);
        }
    }
    let served = Served { group_versions: resources.keys().cloned().collect() };
    let aggregated = aggregated(document("aggregated_v2.json")?, &served)?;
    let core = core_aggregated(&resources["v1"])?;
    let all = json!({
        "groups": groups,
        "resources": resources,
        "aggregatedCore": [core],
        "aggregatedGroups": aggregated,
    });
    output.text("discovery.json", &(serde_json::to_string(&all)? + "\n"));
    Ok(served)
}

/// Fails when the release serves an alpha or beta version by default, because the rule below
/// would then drop what it serves.
fn check_defaults(source: &str) -> anyhow::Result<()> {
    let mut lists = 0;
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.starts_with("//")
            || line.contains("Disabled")
            || !line.contains("EnabledByDefault = []schema.")
        {
            continue;
        }
        lists += 1;
        for entry in lines.by_ref().take_while(|entry| entry.trim() != "}") {
            ensure!(
                !entry.contains("alpha") && !entry.contains("beta"),
                "{DEFAULTS} enables {} by default: teach the generator about it",
                entry.trim()
            );
        }
    }
    ensure!(lists > 0, "{DEFAULTS} does not list the default group versions any more");
    Ok(())
}

/// `v1`, `v2`: stable, and hence on by default.
fn is_stable(version: &str) -> bool {
    version
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The entries of `APIGroupList`, in the order of the real server.
fn groups(mut list: Value) -> anyhow::Result<Vec<Value>> {
    let mut kept = Vec::new();
    for mut group in list["groups"].as_array_mut().map(std::mem::take).context("no groups")? {
        let versions = group["versions"].as_array_mut().context("a group without versions")?;
        versions.retain(|version| version["version"].as_str().is_some_and(is_stable));
        let Some(preferred) = versions.first().cloned() else {
            continue;
        };
        if !group["preferredVersion"]["version"].as_str().is_some_and(is_stable) {
            group["preferredVersion"] = preferred;
        }
        kept.push(group);
    }
    Ok(kept)
}

fn aggregated(mut list: Value, served: &Served) -> anyhow::Result<Vec<Value>> {
    let mut kept = Vec::new();
    for mut group in list["items"].as_array_mut().map(std::mem::take).context("no items")? {
        let name = text(&group["metadata"], "name")?.to_owned();
        let versions = group["versions"].as_array_mut().context("a group without versions")?;
        versions.retain(|version| {
            version["version"]
                .as_str()
                .is_some_and(|version| served.group_version(&format!("{name}/{version}")))
        });
        if !versions.is_empty() {
            kept.push(group);
        }
    }
    Ok(kept)
}

/// The core group in aggregated form, which the modules hold only as a plain list.
fn core_aggregated(list: &Value) -> anyhow::Result<Value> {
    let mut resources: Vec<Value> = Vec::new();
    for entry in array(list, "resources")? {
        let name = text(entry, "name")?;
        let kind = json!({
            "group": entry["group"].as_str().unwrap_or_default(),
            "version": entry["version"].as_str().unwrap_or_default(),
            "kind": entry["kind"],
        });
        if let Some((parent, subresource)) = name.split_once('/') {
            let item = json!({ "subresource": subresource, "responseKind": kind, "verbs": entry["verbs"] });
            attach(&mut resources, parent, item)?;
            continue;
        }
        let scope = if entry["namespaced"] == json!(true) { "Namespaced" } else { "Cluster" };
        let mut resource = json!({
            "resource": name,
            "responseKind": kind,
            "scope": scope,
            "singularResource": entry["singularName"],
            "verbs": entry["verbs"],
        });
        for optional in ["shortNames", "categories"] {
            if let Some(value) = entry.get(optional) {
                resource[optional] = value.clone();
            }
        }
        resources.push(resource);
    }
    let version = json!({ "version": "v1", "freshness": "Current", "resources": resources });
    Ok(json!({ "metadata": { "name": "" }, "versions": [version] }))
}

fn attach(resources: &mut [Value], parent: &str, subresource: Value) -> anyhow::Result<()> {
    let Some(resource) = resources.iter_mut().find(|resource| resource["resource"] == parent)
    else {
        bail!("a subresource of {parent}, which is not listed before it");
    };
    let list = resource.as_object_mut().context("a resource is an object")?;
    match list.entry("subresources").or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(subresource),
        _ => bail!("subresources of {parent} are no list"),
    }
    Ok(())
}

fn array<'v>(value: &'v Value, key: &str) -> anyhow::Result<&'v Vec<Value>> {
    value[key].as_array().with_context(|| format!("{key} is no list"))
}

fn text<'v>(value: &'v Value, key: &str) -> anyhow::Result<&'v str> {
    value[key].as_str().with_context(|| format!("{key} is no text"))
}
