//! The file that `fakeapi run --config` reads.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::behaviour::Rule;

/// The largest file.
const BYTES_MAX: u64 = 4 << 20;

/// What a run begins with, in YAML or JSON.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Config {
    behaviours: Vec<Value>,
}

/// The rules of behaviour in a file; none when there is none.
pub(super) async fn rules(path: Option<&Path>) -> Result<Vec<Rule>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let read = || format!("cannot read {}", path.display());
    let length = tokio::fs::metadata(path).await.with_context(read)?.len();
    if length > BYTES_MAX {
        bail!("{} has more than {BYTES_MAX} bytes", path.display());
    }
    let text = tokio::fs::read_to_string(path).await.with_context(read)?;
    parse(&text).with_context(|| format!("{} is no configuration", path.display()))
}

fn parse(text: &str) -> Result<Vec<Rule>> {
    let Config { behaviours } = serde_saphyr::from_str(text)?;
    let mut rules: Vec<Rule> = Vec::new();
    for (index, value) in behaviours.into_iter().enumerate() {
        let rule = Rule::read(value).with_context(|| format!("behaviours[{index}]"))?;
        if rules.iter().any(|other| other.name == rule.name) {
            bail!("behaviours[{index}].name: {:?} is there twice", rule.name);
        }
        rules.push(rule);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let rules = parse(
            "behaviours:\n\
             - name: slow\n  selector:\n    names: [a*]\n    share: 0.5\n\
             \x20 apiServer:\n    latency: {mean: 50ms}\n\
             - name: out\n  apiServer:\n    outage: {kind: refuse, for: 2m}\n",
        )
        .unwrap();
        let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["slow", "out"]);
        assert!(parse("behaviours: []").unwrap().is_empty());
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (text, expected) in [
            ("behaviors: []", "behaviors"),
            ("behaviours: [{name: A}]", "behaviours[0]: name: must be"),
            ("behaviours: [{name: a}, {name: a}]", "behaviours[1].name: \"a\" is there twice"),
            (
                "behaviours: [{name: a, apiServer: {outage: {kind: sleep}}}]",
                "apiServer.outage.kind: unknown variant `sleep`",
            ),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
