//! What runs beside the program: the real management cluster and Cluster API's managers.

use std::path::PathBuf;

use anyhow::Result;

use crate::e2e::management::{GoModule, KUBERNETES, Manager, Ports, Program};
use crate::workspace::{has, root};

/// What is built, the long ones last.
const PROGRAMS: [Program; 6] = [
    Program { name: "etcd", package: "go.etcd.io/etcd/server/v3", variables: &[] },
    Program { name: CORE, package: "sigs.k8s.io/cluster-api/core", variables: CLUSTER_API },
    Program {
        name: BOOTSTRAP,
        package: "sigs.k8s.io/cluster-api/bootstrap/kubeadm",
        variables: CLUSTER_API,
    },
    Program {
        name: CONTROL_PLANE,
        package: "sigs.k8s.io/cluster-api/controlplane/kubeadm",
        variables: CLUSTER_API,
    },
    Program {
        name: "kube-apiserver",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        variables: KUBERNETES,
    },
    Program {
        name: "kube-controller-manager",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        variables: KUBERNETES,
    },
];

/// What builds of Cluster API's release say of themselves.
const CLUSTER_API: &[(&str, &str)] = &[
    ("sigs.k8s.io/cluster-api/version.gitVersion", "v1.14.2"),
    ("sigs.k8s.io/cluster-api/version.gitMajor", "1"),
    ("sigs.k8s.io/cluster-api/version.gitMinor", "14"),
];

/// Cluster API's core: clusters, machines, deployments of them, health checks, resource sets.
pub(in crate::e2e) const CORE: &str = "core-manager";
/// The kubeadm bootstrap provider.
pub(in crate::e2e) const BOOTSTRAP: &str = "bootstrap-manager";
/// The kubeadm control-plane provider.
pub(in crate::e2e) const CONTROL_PLANE: &str = "control-plane-manager";

/// What has to be on the path.
const TOOLS: [&str; 3] = ["kubectl", "openssl", "setpriv"];

/// Where Cluster API's sources are: its manifests come from there.
#[derive(Debug)]
pub(in crate::e2e) struct Sources(PathBuf);

impl Sources {
    /// Builds all programs; where this machine cannot, the reason.
    ///
    /// # Errors
    /// When sources that are there do not compile.
    pub(in crate::e2e) fn build() -> Result<Result<Self, String>> {
        let missing: Vec<_> = TOOLS.into_iter().filter(|name| !has(name)).collect();
        if !missing.is_empty() {
            return Ok(Err(format!("not on the path: {}", missing.join(", "))));
        }
        let module = GoModule::new(root().join("tests/clients/capi"));
        if let Err(reason) = module.build(&PROGRAMS)? {
            return Ok(Err(reason));
        }
        Ok(match module.sources("sigs.k8s.io/cluster-api") {
            Ok(folder) => Ok(Self(folder)),
            Err(error) => Err(format!("Cluster API's manifests cannot be had: {error:#}")),
        })
    }

    /// Its three managers.
    pub(in crate::e2e) fn managers(&self) -> Vec<Manager> {
        [
            (CORE, "core", core_flags as fn(&Ports) -> Vec<String>),
            (BOOTSTRAP, "bootstrap/kubeadm", flags),
            (CONTROL_PLANE, "controlplane/kubeadm", flags),
        ]
        .map(|(name, folder, flags)| Manager {
            name,
            manifests: self.0.join(folder).join("config/default"),
            flags,
        })
        .into()
    }
}

/// Core carries the annotations of a domain to nodes.
fn core_flags(ports: &Ports) -> Vec<String> {
    let mut flags = flags(ports);
    flags.push(r"--additional-sync-machine-annotations=^sync\.example\.com/".to_owned());
    flags
}

/// Defaults everywhere, but for where it listens, and taints that follow their Machine.
fn flags(ports: &Ports) -> Vec<String> {
    vec![
        "--leader-elect=false".to_owned(),
        format!("--health-addr={}", ports.health),
        format!("--diagnostics-address={}", ports.metrics),
        "--insecure-diagnostics=true".to_owned(),
        format!("--webhook-port={}", ports.webhooks.port()),
        format!("--webhook-cert-dir={}", ports.certificates.display()),
        "--feature-gates=MachineTaintPropagation=true".to_owned(),
    ]
}
