//! The management cluster: the real one that says which clusters there should be.
//!
//! `watch` follows the objects that count into the `view`; each change becomes `Work` in the
//! `queue`; a `term` takes it, decides by `plan` (pure), and carries it out on the `clusters` that
//! fakeapi serves and in the management cluster (`secrets`, `write`). Nothing depends on which
//! event came: every decision is made from what is there. One process at a time does so, by a
//! `lease`.

mod authorities;
mod clusters;
mod endpoint;
mod error;
mod figures;
mod kinds;
mod lease;
pub mod marks;
mod options;
mod plan;
mod queue;
mod reconciler;
mod secrets;
mod seen;
mod term;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod view;
mod watch;
mod write;

pub use authorities::ManagementCluster;
pub use clusters::{Clusters, ClustersError, Local, Remote};
pub use figures::Figures;
pub use options::{ReconcileCommand, ReconcileOptions, Secrets, Selector};
pub use plan::Register;
pub use reconciler::Reconciler;
