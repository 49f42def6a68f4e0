//! What every request handler shares.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::error::ControlError;
use super::limits::Limits;
use crate::register::Registrar;

/// Gives the text of `/metrics` when asked.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// The door to the clusters, the bounds, and the changes under way.
pub(super) struct Control {
    /// The one door to the clusters.
    pub(super) registrar: Arc<dyn Registrar>,
    /// The text of `/metrics`.
    pub(super) metrics: MetricsText,
    /// The bounds.
    pub(super) limits: Limits,
    /// Changes under way; they outlive their connections.
    pub(super) writes: TaskTracker,
    free_writes: Arc<Semaphore>,
}

impl Control {
    pub(super) fn new(registrar: Arc<dyn Registrar>, metrics: MetricsText, limits: Limits) -> Self {
        Self {
            registrar,
            metrics,
            limits,
            writes: TaskTracker::new(),
            free_writes: Arc::new(Semaphore::new(limits.writes)),
        }
    }

    /// Runs a change to its end, also when whoever waits for it is dropped.
    pub(super) async fn finish<T, W>(&self, write: W) -> Result<T, ControlError>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let permit = Arc::clone(&self.free_writes)
            .acquire_owned()
            .await
            .expect("nobody closes this semaphore");
        let task = self.writes.spawn(async move {
            let outcome = write.await;
            drop(permit);
            outcome
        });
        Ok(task.await?)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("limits", &self.limits)
            .field("writes", &self.writes.len())
            .finish_non_exhaustive()
    }
}
