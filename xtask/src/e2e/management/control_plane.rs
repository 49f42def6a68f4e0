//! etcd, kube-apiserver and kube-controller-manager.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::certificates::Authority;
use super::client::Kubectl;
use super::process::{Process, free_port};

/// How long the API server may take to be ready: it starts on a machine that may be compiling.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a management cluster needs of kube-controller-manager: objects go with their owner and
/// with their namespace, namespaces get what pods would, roles are aggregated.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,\
     serviceaccount-controller,root-ca-certificate-publisher-controller,\
     clusterrole-aggregation-controller";

#[derive(Debug)]
pub(super) struct ControlPlane {
    // In the order they are to be killed.
    controller_manager: Process,
    apiserver: Process,
    etcd: Process,
    server: SocketAddr,
}

impl ControlPlane {
    pub(super) fn start(folder: &Path, binaries: &Path, authority: &Authority) -> Result<Self> {
        let (etcd, store) = etcd(folder, &binaries.join("etcd"))?;
        let server = free_port()?;
        let apiserver =
            apiserver(folder, &binaries.join("kube-apiserver"), authority, store, server)?;
        let kubeconfig = authority.kubeconfig(
            "system:kube-controller-manager",
            &[super::ADMINISTRATORS],
            server,
        )?;
        let program = binaries.join("kube-controller-manager");
        let controller_manager = controller_manager(folder, &program, authority, &kubeconfig)?;
        Ok(Self { controller_manager, apiserver, etcd, server })
    }

    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    pub(super) fn wait_until_ready(&mut self, kubectl: &Kubectl) -> Result<()> {
        self.apiserver.wait(PATIENCE, || kubectl.run(&["get", "--raw", "/readyz"]).map(drop))
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.etcd.check()?;
        self.apiserver.check()?;
        self.controller_manager.check()
    }
}

/// Without TLS: it is on loopback, and nothing here is about it.
fn etcd(folder: &Path, program: &Path) -> Result<(Process, SocketAddr)> {
    let (client, peer) = (free_port()?, free_port()?);
    let process = Process::start("etcd", program, folder, |etcd| {
        etcd.arg("--data-dir")
            .arg(folder.join("etcd"))
            .args(["--name", "management", "--unsafe-no-fsync", "--log-level", "warn"])
            .args(["--listen-client-urls", &format!("http://{client}")])
            .args(["--advertise-client-urls", &format!("http://{client}")])
            .args(["--listen-peer-urls", &format!("http://{peer}")])
            .args(["--initial-advertise-peer-urls", &format!("http://{peer}")])
            .args(["--initial-cluster", &format!("management=http://{peer}")]);
    })?;
    Ok((process, client))
}

fn apiserver(
    folder: &Path,
    program: &Path,
    authority: &Authority,
    store: SocketAddr,
    server: SocketAddr,
) -> Result<Process> {
    let serving = authority.server("kube-apiserver")?;
    let signing = authority.server("service-accounts")?;
    Process::start("kube-apiserver", program, folder, |apiserver| {
        apiserver
            .args(["--etcd-servers", &format!("http://{store}")])
            .args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"])
            .args(["--secure-port", &server.port().to_string()])
            // The address of its own Service would be one of loopback, which it refuses.
            .args(["--endpoint-reconciler-type", "none"])
            .args(["--service-cluster-ip-range", "10.0.0.0/24", "--authorization-mode", "RBAC"])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .args(["--profiling=false", "--v=1"])
            .arg("--tls-cert-file")
            .arg(serving.certificate)
            .arg("--tls-private-key-file")
            .arg(serving.key)
            .arg("--client-ca-file")
            .arg(authority.certificate())
            .arg("--service-account-key-file")
            .arg(signing.certificate)
            .arg("--service-account-signing-key-file")
            .arg(signing.key);
    })
}

fn controller_manager(
    folder: &Path,
    program: &Path,
    authority: &Authority,
    kubeconfig: &Path,
) -> Result<Process> {
    let port = free_port()?.port().to_string();
    Process::start("kube-controller-manager", program, folder, |manager| {
        manager
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--root-ca-file")
            .arg(authority.certificate())
            .args(["--controllers", CONTROLLERS, "--leader-elect=false", "--v=1"])
            .args(["--bind-address", "127.0.0.1", "--secure-port", &port])
            .arg("--cert-dir")
            .arg(folder.join("pki"));
    })
}
