//! All that runs: the management cluster, its managers, and the program beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::managers;
use super::traffic::Traffic;
use crate::e2e::http::Connection;
use crate::e2e::management::{Api, GoModule, Kubectl, Management, Manager};
use crate::e2e::program::Program;
use crate::workspace::root;

/// What gives the program its rights in the management cluster.
const MANIFESTS: &str = "deploy/overlays/fkas";

/// All of it. Dropped, every process is killed; logs stay in `folder`.
#[derive(Debug)]
pub(super) struct World {
    program: Program,
    management: Management,
    folder: PathBuf,
}

impl World {
    /// Starts it all.
    ///
    /// # Errors
    /// When a part does not start; the error has the end of its log.
    pub(super) fn start(folder: &Path, program: &Path, managers: &[Manager]) -> Result<Self> {
        let binaries = GoModule::binaries();
        let mut management = Management::start(folder, &binaries)?;
        management.add(managers, &binaries)?;
        let kubeconfig = management.account(&root().join(MANIFESTS))?;
        let flags = ["--reconcile".as_ref(), "--kubeconfig".as_ref(), kubeconfig.as_os_str()];
        let program = Program::start_with(program, folder, &flags)?;
        Ok(Self { program, management, folder: folder.to_owned() })
    }

    /// A client of the management cluster.
    pub(super) fn api(&self) -> Api {
        self.management.api()
    }

    /// kubectl with the management cluster.
    pub(super) fn kubectl(&self) -> Kubectl {
        self.management.kubectl()
    }

    /// Where logs and kubeconfigs go.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where clusters are registered.
    pub(super) fn control(&self) -> SocketAddr {
        self.program.control()
    }

    /// Says which process has ended though nobody asked it to.
    ///
    /// # Errors
    /// When one has.
    pub(super) fn check(&mut self) -> Result<()> {
        self.management.check()
    }

    /// The program, to be killed and started again.
    pub(super) fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// The names of the clusters that the program has.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn registered(&self) -> Result<Vec<String>> {
        let answer = Connection::open(self.control())?.request("GET", "/register", "")?;
        let list: Value = serde_json::from_str(&answer)?;
        let clusters = list["clusters"].as_array();
        let clusters = clusters.with_context(|| format!("/register is answered with {answer}"))?;
        let name = |cluster: &Value| cluster["name"].as_str().unwrap_or_default().to_owned();
        Ok(clusters.iter().map(name).collect())
    }

    /// One of the program's figures, its labels summed.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn figure(&self, name: &str) -> Result<f64> {
        let text = Connection::open(self.control())?.request("GET", "/metrics", "")?;
        Ok(text
            .lines()
            .filter(|line| line.split([' ', '{']).next() == Some(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// What the managers sent to the clusters.
    ///
    /// # Errors
    /// When one of them does not tell.
    pub(super) fn traffic(&self) -> Result<Traffic> {
        Traffic::of(&self.management, &managers::WITH_FIGURES)
    }

    /// Ends the program in order.
    ///
    /// # Errors
    /// When it does not end well.
    pub(super) fn stop(self) -> Result<()> {
        self.program.stop()
    }
}
