//! A provider's controller manager: installed by its manifests, run as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::certificates::Authority;
use super::client::Kubectl;
use super::manifests::Manifests;
use super::process::{Process, free_port};
use crate::e2e::http::Connection;

/// How long it may take to be ready: caches of every kind are filled first.
const PATIENCE: Duration = Duration::from_mins(3);

/// Where controller-runtime looks for a webhook's certificate below the folder for temporary
/// files, unless a flag tells it: not every manager has one.
const CERTIFICATES: &str = "k8s-webhook-server/serving-certs";

/// How long its service account's token holds: longer than any run.
const TOKEN_LIFE: &str = "48h";

/// A manager to run.
#[derive(Debug)]
pub(in crate::e2e) struct Manager {
    /// Its program's name among the binaries, and its log's.
    pub(in crate::e2e) name: &'static str,
    /// The folder with the kustomization that installs it.
    pub(in crate::e2e) manifests: PathBuf,
    /// Its flags. The kubeconfig comes by the environment, as do the variables that tell a pod
    /// its own name.
    pub(in crate::e2e) flags: fn(&Ports) -> Vec<String>,
}

/// Where a manager listens, and with what.
#[derive(Debug)]
pub(in crate::e2e) struct Ports {
    /// Health, by plain HTTP at `/readyz`.
    pub(in crate::e2e) health: SocketAddr,
    /// Figures, by plain HTTP at `/metrics`.
    pub(in crate::e2e) metrics: SocketAddr,
    /// Webhooks, by TLS.
    pub(in crate::e2e) webhooks: SocketAddr,
    /// The folder with `tls.crt` and `tls.key` for webhooks.
    pub(in crate::e2e) certificates: PathBuf,
}

/// A manager whose objects are in the API and whose process is yet to be started.
#[derive(Debug)]
pub(super) struct Installed<'a> {
    manager: &'a Manager,
    ports: Ports,
    namespace: String,
    service_account: String,
}

/// A manager that runs.
#[derive(Debug)]
pub(super) struct Running {
    name: &'static str,
    process: Process,
    health: SocketAddr,
    metrics: SocketAddr,
}

impl Manager {
    /// Applies its manifests.
    pub(super) fn install(
        &self,
        kubectl: &Kubectl,
        authority: &Authority,
    ) -> Result<Installed<'_>> {
        let serving = authority.server(&format!("{}/{CERTIFICATES}/tls", self.name))?;
        let ports = Ports {
            health: free_port()?,
            metrics: free_port()?,
            webhooks: free_port()?,
            certificates: serving.key.parent().map(Path::to_owned).unwrap_or_default(),
        };
        let manifests = Manifests::read(&self.manifests)?;
        let namespace = manifests.namespace.clone();
        let service_account = manifests.service_account.clone();
        let list = manifests.list(ports.webhooks, &authority.certificate())?;
        kubectl.apply(&serde_json::to_vec(&list)?)?;
        Ok(Installed { manager: self, ports, namespace, service_account })
    }
}

impl Installed<'_> {
    /// Starts the process as the service account that the manifests give rights to.
    pub(super) fn start(
        self,
        folder: &Path,
        binaries: &Path,
        kubectl: &Kubectl,
        authority: &Authority,
        server: SocketAddr,
    ) -> Result<Running> {
        let Self { manager, ports, namespace, service_account } = self;
        let token = token(kubectl, &namespace, &service_account)?;
        let kubeconfig = authority.kubeconfig_by_token(manager.name, &token, server)?;
        let program = binaries.join(manager.name);
        let parts = Path::new(CERTIFICATES).components().count();
        let temporary = ports.certificates.ancestors().nth(parts).unwrap_or(folder);
        let process = Process::start(manager.name, &program, folder, |command| {
            command
                .args((manager.flags)(&ports))
                .env("KUBECONFIG", &kubeconfig)
                .env("TMPDIR", temporary)
                .env("POD_NAMESPACE", &namespace)
                .env("POD_NAME", format!("{}-0", manager.name))
                .env("POD_UID", "9f3cf5f4-0000-4000-8000-000000000001");
        })?;
        let Ports { health, metrics, .. } = ports;
        Ok(Running { name: manager.name, process, health, metrics })
    }
}

/// A token of a service account.
pub(super) fn token(kubectl: &Kubectl, namespace: &str, account: &str) -> Result<String> {
    let args = ["create", "token", account, "--namespace", namespace, "--duration", TOKEN_LIFE];
    Ok(kubectl.run(&args)?.trim().to_owned())
}

impl Running {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    pub(super) fn wait_until_ready(&mut self) -> Result<()> {
        let health = self.health;
        self.process
            .wait(PATIENCE, || Connection::open(health)?.request("GET", "/readyz", "").map(drop))
    }
}
