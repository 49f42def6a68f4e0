//! A cluster under test: its objects in the management cluster, and itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::paths::{BOOTSTRAP, CONTROL_PLANE, CORE, INFRASTRUCTURE, condition, text};
use crate::e2e::management::{Api, Kubectl};
use crate::workspace::root;

/// A cluster and how to reach what belongs to it.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) api: Api,
    pub(super) namespace: String,
    pub(super) name: String,
    folder: PathBuf,
}

/// How many machines of which version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Of control planes.
    pub(super) version: &'static str,
    /// Of workers, which follow.
    pub(super) workers_version: &'static str,
    pub(super) control_planes: u32,
    pub(super) workers: u32,
}

impl Subject {
    pub(super) fn new(api: Api, namespace: &str, name: &str, folder: &Path) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { api, namespace, name, folder: folder.to_owned() }
    }

    /// Its objects as a user writes them.
    ///
    /// # Errors
    /// When the template cannot be read.
    pub(super) fn manifests(&self, size: Size) -> Result<String> {
        let text = template("cluster.yaml")?;
        Ok(text
            .replace("$NAMESPACE", &self.namespace)
            .replace("$NAME", &self.name)
            .replace("$VERSION", size.version)
            .replace("$CONTROL_PLANES", &size.control_planes.to_string())
            .replace("$WORKERS", &size.workers.to_string()))
    }

    /// The path of one of its objects.
    pub(super) fn path(&self, group: &str, kind: &str, name: &str) -> String {
        format!("{group}/namespaces/{}/{kind}/{name}", self.namespace)
    }

    /// The objects of a kind that belong to it.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub(super) fn all(&mut self, group: &str, kind: &str) -> Result<Vec<Value>> {
        let selector = format!("labelSelector=cluster.x-k8s.io/cluster-name={}", self.name);
        self.api.list(&format!("{group}/namespaces/{}/{kind}?{selector}", self.namespace))
    }

    /// Its Cluster.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn cluster(&mut self) -> Result<Value> {
        self.api.get(&self.path(CORE, "clusters", &self.name))
    }

    /// Its control plane.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn control_plane(&mut self) -> Result<Value> {
        self.api.get(&self.path(CONTROL_PLANE, "kubeadmcontrolplanes", &self.name))
    }

    /// Changes its control plane.
    ///
    /// # Errors
    /// When the change is refused.
    pub(super) fn patch_control_plane(&mut self, change: &Value) -> Result<()> {
        let path = self.path(CONTROL_PLANE, "kubeadmcontrolplanes", &self.name);
        self.api.patch(&path, change).map(drop)
    }

    /// Changes its `MachineDeployment`.
    ///
    /// # Errors
    /// When the change is refused.
    pub(super) fn patch_workers(&mut self, change: &Value) -> Result<()> {
        let path = self.path(CORE, "machinedeployments", &self.name);
        self.api.patch(&path, change).map(drop)
    }

    /// Its Machines, control planes or workers.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub(super) fn machines(&mut self, control_planes: bool) -> Result<Vec<Value>> {
        let mut machines = self.all(CORE, "machines")?;
        let label = "cluster.x-k8s.io/control-plane";
        machines.retain(|one| one["metadata"]["labels"][label].is_null() != control_planes);
        Ok(machines)
    }

    /// Fails until the cluster is as large as it is to be, and its controllers say that it is
    /// well: Available, etcd healthy, all machines up to date and on `size.version`.
    ///
    /// # Errors
    /// With the first thing that is not so yet.
    pub(super) fn settled(&mut self, size: Size) -> Result<()> {
        let control_plane = self.control_plane()?;
        replicas(&control_plane, size.control_planes, size.version)?;
        for kind in ["Available", "EtcdClusterHealthy", "ControlPlaneComponentsHealthy"] {
            holds(&control_plane, kind)?;
        }
        let workers = self.api.get(&self.path(CORE, "machinedeployments", &self.name))?;
        replicas(&workers, size.workers, size.workers_version)?;
        holds(&workers, "Available")?;
        for control_planes in [true, false] {
            let expected = if control_planes { size.control_planes } else { size.workers };
            let machines = self.machines(control_planes)?;
            let word = if control_planes { "control planes" } else { "workers" };
            ensure!(machines.len() == expected as usize, "{} {word}", machines.len());
            for machine in &machines {
                ["Ready", "Available", "NodeHealthy", "UpToDate"]
                    .iter()
                    .try_for_each(|kind| holds(machine, kind))
                    .with_context(|| text(machine, "/metadata/name"))?;
            }
        }
        holds(&self.cluster()?, "Available")
    }

    /// kubectl for the cluster itself, by the kubeconfig that its control-plane provider wrote.
    ///
    /// # Errors
    /// When there is none yet.
    pub(super) fn kubectl(&mut self) -> Result<Kubectl> {
        let secret = self.api.get(&format!(
            "/api/v1/namespaces/{}/secrets/{}-kubeconfig",
            self.namespace, self.name
        ))?;
        let path = self.folder.join(format!("{}.kubeconfig", self.name));
        fs::write(&path, STANDARD.decode(text(&secret, "/data/value"))?)?;
        Ok(Kubectl::new(&path, &self.folder))
    }

    /// Objects of the cluster itself, by kubectl.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) fn inside(&mut self, args: &[&str]) -> Result<Vec<Value>> {
        let kubectl = self.kubectl()?;
        let args = ["get"].iter().chain(args).chain(&["--output", "json"]);
        let text = kubectl.run(&args.copied().collect::<Vec<_>>())?;
        let mut found: Value = serde_json::from_str(&text)?;
        Ok(match found["items"].take() {
            Value::Array(items) => items,
            _ => vec![found],
        })
    }

    /// Deletes its Cluster; everything else is to follow.
    ///
    /// # Errors
    /// When the deletion is refused.
    pub(super) fn delete(&mut self) -> Result<()> {
        let path = self.path(CORE, "clusters", &self.name);
        ensure!(self.api.delete(&path)?, "there is no Cluster {}", self.name);
        Ok(())
    }

    /// Fails while any object of it is left. The templates are the user's, and are deleted first.
    ///
    /// # Errors
    /// With what is left.
    pub(super) fn gone(&mut self) -> Result<()> {
        for (group, kind) in KINDS {
            let left = self.all(group, kind)?;
            let names: Vec<_> = left.iter().map(|one| text(one, "/metadata/name")).collect();
            ensure!(left.is_empty(), "{kind} are left: {}", names.join(", "));
        }
        let path = self.path(CORE, "clusters", &self.name);
        if self.api.find(&path)?.is_some() {
            bail!("the Cluster is left");
        }
        Ok(())
    }
}

/// What belongs to a cluster.
const KINDS: [(&str, &str); 9] = [
    (CORE, "machines"),
    (CORE, "machinesets"),
    (CORE, "machinedeployments"),
    (CORE, "machinehealthchecks"),
    (CONTROL_PLANE, "kubeadmcontrolplanes"),
    (BOOTSTRAP, "kubeadmconfigs"),
    (INFRASTRUCTURE, "testmachines"),
    (INFRASTRUCTURE, "testclusters"),
    ("/api/v1", "secrets"),
];

/// A file of the test's manifests.
///
/// # Errors
/// When it cannot be read.
pub(super) fn template(name: &str) -> Result<String> {
    let path = root().join("tests/clients/capi").join(name);
    fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
}

/// Fails until a condition is true, with what it says.
pub(super) fn holds(value: &Value, kind: &str) -> Result<()> {
    match condition(value, kind) {
        Some(("True", _)) => Ok(()),
        Some((_, told)) => bail!("{told}"),
        None => bail!("no condition {kind} yet"),
    }
}

/// Fails until as many replicas as wanted are there, up to date and available.
fn replicas(value: &Value, wanted: u32, version: &str) -> Result<()> {
    let name = text(value, "/kind");
    ensure!(
        value["status"]["observedGeneration"] == value["metadata"]["generation"],
        "{name} is not looked at yet"
    );
    for field in ["replicas", "readyReplicas", "availableReplicas", "upToDateReplicas"] {
        let count = value["status"][field].as_u64().unwrap_or_default();
        ensure!(count == u64::from(wanted), "{name} has {count} {field} of {wanted}");
    }
    let versions = value["status"]["versions"].as_array();
    let on = json!([{"version": version, "replicas": wanted}]);
    if let Some(versions) = versions
        && wanted > 0
    {
        ensure!(json!(versions) == on, "{name} has {}", json!(versions));
    }
    Ok(())
}
