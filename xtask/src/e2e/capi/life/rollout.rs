//! Control planes and workers of one version replaced by those of the next.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{NEW, SOON, nodes, patience};
use crate::e2e::capi::paths::text;
use crate::e2e::capi::report::Report;
use crate::e2e::capi::subject::{Size, Subject};
use crate::e2e::capi::wait::until;

/// The tag of coredns that kubeadm of the new version deploys.
const DNS: &str = "v1.14.2";

/// Rolls control planes, then workers.
pub(super) fn steps(report: &mut Report, subject: &mut Subject, size: &mut Size) {
    size.version = NEW;
    let wanted = *size;
    report.step(&format!("control planes are rolled to {NEW}"), || {
        subject.patch_control_plane(&json!({"spec": {
            "version": NEW,
            "kubeadmConfigSpec": {"clusterConfiguration": {"dns": {"imageTag": DNS}}},
        }}))?;
        until(patience(2 * wanted.control_planes), || subject.settled(wanted))?;
        until(SOON, || nodes(subject, wanted))
    });
    report.step("kubeadm-config, kube-proxy and CoreDNS are as the new version has them", || {
        until(SOON, || deployed(subject))
    });
    size.workers_version = NEW;
    let wanted = *size;
    report.step(&format!("workers are rolled to {NEW}"), || {
        subject.patch_workers(&json!({"spec": {"template": {"spec": {"version": NEW}}}}))?;
        until(patience(2 * wanted.workers), || subject.settled(wanted))?;
        until(SOON, || nodes(subject, wanted))
    });
}

/// What the control-plane provider writes into the cluster.
fn deployed(subject: &mut Subject) -> Result<()> {
    let mut one = |kind: &str, name: &str| {
        let found = subject.inside(&[kind, name, "-n", "kube-system"])?;
        found.into_iter().next().context("no answer")
    };
    let config = text(&one("configmap", "kubeadm-config")?, "/data/ClusterConfiguration");
    ensure!(config.contains(&format!("imageTag: {DNS}")), "kubeadm-config holds {config}");
    for (kind, name, tag) in [("daemonset", "kube-proxy", NEW), ("deployment", "coredns", DNS)] {
        let image = text(&one(kind, name)?, "/spec/template/spec/containers/0/image");
        ensure!(image.ends_with(&format!(":{tag}")), "{name} runs {image}");
    }
    let dns = one("configmap", "coredns")?;
    ensure!(!text(&dns, "/data/Corefile").is_empty(), "there is no Corefile");
    ensure!(!text(&dns, "/data/Corefile-backup").is_empty(), "the Corefile was not migrated");
    Ok(())
}
