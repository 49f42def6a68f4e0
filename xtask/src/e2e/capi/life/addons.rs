//! What a `ClusterResourceSet` puts into the cluster, and keeps there.

use anyhow::{Context, Result, ensure};

use super::SOON;
use crate::e2e::capi::paths::text;
use crate::e2e::capi::stage::Stage;
use crate::e2e::capi::subject::{Subject, template};
use crate::e2e::capi::wait::until;

/// Applies the set, looks for its objects, changes it, and waits until they follow.
///
/// # Errors
/// When they do not.
pub(super) fn kept(stage: &Stage, subject: &mut Subject) -> Result<()> {
    let text = template("addons.yaml")?.replace("$NAMESPACE", &subject.namespace);
    stage.kubectl.apply(text.as_bytes())?;
    until(SOON, || interval(subject, "10s"))?;
    for object in [
        ["serviceaccount", "agent", "-n", "addons"].as_slice(),
        &["daemonset", "agent", "-n", "addons"],
        &["clusterrole", "addons-agent"],
        &["clusterrolebinding", "addons-agent"],
        &["customresourcedefinition", "agents.addons.example.com"],
    ] {
        until(SOON, || subject.inside(object))?;
    }
    let changed = text.replace("interval: 10s", "interval: 20s");
    stage.kubectl.apply(changed.as_bytes())?;
    until(SOON, || interval(subject, "20s"))
}

fn interval(subject: &mut Subject, expected: &str) -> Result<()> {
    let found = subject.inside(&["configmap", "agent", "-n", "addons"])?;
    let config = found.first().context("no answer")?;
    let found = text(config, "/data/interval");
    ensure!(found == expected, "the interval is {found}");
    Ok(())
}
