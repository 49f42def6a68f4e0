//! The reconciler: in the process whose clusters it keeps, or beside it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::RunOptions;
use super::signals::Signals;
use crate::client::Client;
use crate::manage::{Figures, Local, ManagementCluster, ReconcileCommand, Reconciler, Remote};
use crate::registry::Registry;

/// How long the reconciler may take to finish what it has in hand and to give its lease back.
const END: Duration = Duration::from_secs(8);

/// Reconciles a management cluster with the fakeapi behind the control port `server`, until a
/// signal says to stop.
///
/// # Errors
/// When the management cluster is not known, or `server` is no control port's URL.
pub async fn reconcile(server: &str, command: ReconcileCommand) -> Result<()> {
    let ReconcileCommand { kubeconfig, in_cluster, options } = command;
    let in_cluster = in_cluster || ManagementCluster::is_around();
    let Some(management) = management(kubeconfig.as_deref(), in_cluster).await? else {
        bail!("this is no pod: name the --kubeconfig of a management cluster");
    };
    let signals = Signals::take()?;
    let clusters = Arc::new(Remote::new(Client::new(server)?));
    info!(server, "the clusters behind this control port follow the management cluster");
    let running =
        Reconciling::start(Reconciler::new(management.client().clone(), clusters, options));
    signals.end().await;
    running.stop().await;
    Ok(())
}

/// The management cluster that the options name.
pub(super) async fn management(
    kubeconfig: Option<&Path>,
    in_cluster: bool,
) -> Result<Option<Arc<ManagementCluster>>> {
    let (management, whose) = match (kubeconfig, in_cluster) {
        (Some(path), _) => {
            (ManagementCluster::from_kubeconfig(path).await, path.display().to_string())
        }
        (None, true) => (ManagementCluster::in_cluster(), "this pod".to_owned()),
        (None, false) => {
            info!("no management cluster: authorities that a registration does not name are made");
            return Ok(None);
        }
    };
    let management = management
        .map_err(|error| anyhow::anyhow!(error))
        .with_context(|| format!("the management cluster of {whose} cannot be used"))?;
    Ok(Some(Arc::new(management)))
}

/// A reconciler that runs.
pub(super) struct Reconciling {
    stop: CancellationToken,
    task: JoinHandle<()>,
    figures: Arc<Figures>,
}

impl Reconciling {
    /// Starts the one for the clusters of this process, where one is wanted.
    ///
    /// # Errors
    /// When no management cluster is named.
    pub(super) fn of_this_process(
        options: &RunOptions,
        management: Option<&Arc<ManagementCluster>>,
        registry: &Arc<Registry>,
    ) -> Result<Option<Self>> {
        if !options.reconcile {
            return Ok(None);
        }
        let management = management.context("--reconcile needs --kubeconfig or --in-cluster")?;
        let clusters = Arc::new(Local::new(registry.clone()));
        let client = management.client().clone();
        let reconciler = Reconciler::new(client, clusters, options.reconciling.clone());
        Ok(Some(Self::start(reconciler)))
    }

    fn start(reconciler: Reconciler) -> Self {
        let stop = CancellationToken::new();
        let figures = reconciler.figures().clone();
        let token = stop.clone();
        let task = tokio::spawn(async move { reconciler.run(token).await });
        Self { stop, task, figures }
    }

    /// What it counts.
    pub(super) fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// Lets it finish what it has in hand.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        match timeout(END, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the reconciler failed"),
            Err(_) => {
                warn!("the reconciler did not end in time");
                self.task.abort();
            }
        }
    }
}
