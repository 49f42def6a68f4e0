//! The manifests in `tests/clients/metal3/manifests`, with their `${NAME}`s filled in.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::workspace::root;

/// Where they are.
fn folder() -> PathBuf {
    root().join("tests/clients/metal3/manifests")
}

/// The manifest `name`, filled in.
///
/// # Errors
/// When there is none, or it names something that `values` do not have.
pub(super) fn manifest(name: &str, values: &[(&str, &str)]) -> Result<String> {
    let path = folder().join(format!("{name}.yaml"));
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    fill(&text, values).with_context(|| path.display().to_string())
}

/// Replaces every `${NAME}`.
fn fill(text: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { bail!("a ${{ is not closed") };
        let value = values.iter().find(|(known, _)| *known == name);
        let (_, value) = value.with_context(|| format!("nobody says what ${{{name}}} is"))?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_filled_in_or_refused() {
        let values = [("A", "1"), ("B", "two")];
        assert_eq!(fill("${A}-${B} $A {{ ds }} ${A}", &values).unwrap(), "1-two $A {{ ds }} 1");
        assert!(fill("${C}", &values).unwrap_err().to_string().contains("${C}"));
        assert!(fill("${A", &values).is_err());
    }

    #[test]
    fn the_manifests_need_no_more_than_the_test_gives() {
        let host = [("HOST", "h"), ("NAMESPACE", "n"), ("MAC", "m")];
        let cluster = [("CLUSTER", "c"), ("NAMESPACE", "n"), ("WORKERS", "1"), ("VERSION", "v1")];
        manifest("host", &host).unwrap();
        for name in ["addresses", "cluster", "clusterclass", "cluster-of-class"] {
            manifest(name, &cluster).unwrap();
        }
    }
}
