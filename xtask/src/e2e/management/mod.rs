//! A real management cluster on loopback: etcd, kube-apiserver, kube-controller-manager, and the
//! controller managers of a provider as their own manifests describe them.
//!
//! Nothing here knows fakeapi. RBAC is on, webhooks are called, and each manager is the service
//! account that its manifests bind, so what works here is not a matter of rights it would not have.

mod binaries;
mod certificates;
mod client;
mod control_plane;
mod manager;
mod manifests;
mod process;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub(super) use self::binaries::{GoModule, KUBERNETES, Program};
pub(super) use self::certificates::Authority;
pub(super) use self::client::{Api, Kubectl};
pub(super) use self::manager::{Manager, Ports};

use self::control_plane::ControlPlane;
use self::manager::Running;
use self::manifests::Manifests;
use self::process::Process;

/// The group that may do everything.
const ADMINISTRATORS: &str = "system:masters";

/// A running management cluster. Dropped, all its processes are killed; logs stay in its folder.
#[derive(Debug)]
pub(super) struct Management {
    managers: Vec<Running>,
    proxy: Process,
    control_plane: ControlPlane,
    authority: Authority,
    admin: PathBuf,
    client: std::net::SocketAddr,
    folder: PathBuf,
}

impl Management {
    /// Starts one with its data and logs in `folder`, which is empty, from the programs in
    /// `binaries`: `etcd`, `kube-apiserver`, `kube-controller-manager`.
    ///
    /// # Errors
    /// When a part does not start; the error has the end of its log.
    pub(super) fn start(folder: &Path, binaries: &Path) -> Result<Self> {
        let authority = Authority::make(&folder.join("pki"))?;
        let mut control_plane = ControlPlane::start(folder, binaries, &authority)?;
        let admin = authority.kubeconfig("admin", &[ADMINISTRATORS], control_plane.server())?;
        let kubectl = Kubectl::new(&admin, folder);
        control_plane.wait_until_ready(&kubectl)?;
        let (proxy, client) = client::proxy(&admin, folder)?;
        let folder = folder.to_owned();
        Ok(Self { managers: Vec::new(), proxy, control_plane, authority, admin, client, folder })
    }

    /// Applies what the manifests of `managers` hold, then starts them and waits until all are
    /// ready.
    ///
    /// # Errors
    /// When a manifest is refused or a manager does not start; the error has the end of its log.
    pub(super) fn add(&mut self, managers: &[Manager], binaries: &Path) -> Result<()> {
        let kubectl = self.kubectl();
        let mut starting = Vec::new();
        for manager in managers {
            starting.push(manager.install(&kubectl, &self.authority)?);
        }
        kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
        for installed in starting {
            let server = self.control_plane.server();
            let started =
                installed.start(&self.folder, binaries, &kubectl, &self.authority, server)?;
            self.managers.push(started);
        }
        self.managers.iter_mut().try_for_each(Running::wait_until_ready)
    }

    /// Makes the service account that the manifests in `folder` run a program as, with the rights
    /// that they bind it to; a kubeconfig of that account. The rest of the manifests is left out.
    ///
    /// # Errors
    /// When the manifests cannot be read or are refused.
    pub(super) fn account(&self, folder: &Path) -> Result<PathBuf> {
        let manifests = Manifests::read(folder)?;
        let kubectl = self.kubectl();
        kubectl.apply(&serde_json::to_vec(&manifests.rights())?)?;
        let Manifests { namespace, service_account, .. } = &manifests;
        let token = manager::token(&kubectl, namespace, service_account)?;
        self.authority.kubeconfig_by_token(service_account, &token, self.control_plane.server())
    }

    /// A kubeconfig of the user `name` in these groups.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub(super) fn kubeconfig_of(&self, name: &str, groups: &[&str]) -> Result<PathBuf> {
        self.authority.kubeconfig(name, groups, self.control_plane.server())
    }

    /// kubectl as an administrator.
    pub(super) fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.admin, &self.folder)
    }

    /// A client of its API as an administrator; each thread makes its own.
    pub(super) fn api(&self) -> Api {
        Api::new(self.client)
    }

    /// Where the manager `name` tells its figures, by plain HTTP.
    pub(super) fn metrics(&self, name: &str) -> Option<std::net::SocketAddr> {
        self.managers.iter().find(|manager| manager.name() == name).map(Running::metrics)
    }

    /// Says which of its processes has ended though nobody asked it to.
    ///
    /// # Errors
    /// When one has; with the end of its log.
    pub(super) fn check(&mut self) -> Result<()> {
        self.proxy.check()?;
        self.control_plane.check()?;
        self.managers.iter_mut().try_for_each(Running::check)
    }
}
