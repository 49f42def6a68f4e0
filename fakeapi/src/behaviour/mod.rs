//! How clusters behave otherwise than well: rules that say which clusters are slow, err, are out
//! of service, let their certificates expire, lose their etcd leader or their nodes.
//!
//! A rule ([`Rule`]) is a document with a name and a [`Selector`]. The rules there are ([`Book`])
//! are kept in a file beside the journal. What holds for a cluster ([`Effects`]) is worked out
//! when rules or clusters change, not when requests come: a cluster without rules pays for one
//! atomic load a request. What is to be done later waits in one queue ([`Schedule`]).
//!
//! Chance is a hash of the rule's seed and what is decided about ([`Seed`]), so that a run can be
//! repeated: the same rule, clusters and order of requests have the same effects.
//!
//! `registry::behaviour` is where the effects act.

pub mod amount;
pub mod book;
pub mod chance;
pub mod counts;
pub mod effects;
pub mod entry;
pub mod latency;
pub mod limits;
mod reason;
pub mod report;
pub mod requests;
pub mod rule;
pub mod schedule;
pub mod selector;
#[cfg(test)]
mod tests;
pub mod validate;

pub use amount::{Number, Span};
pub use book::{BehaviourError, Book, Entries};
pub use chance::Seed;
pub use counts::{Counts, Effect};
pub use effects::{Active, Effects, EtcdVerdict, Verdict};
pub use entry::Entry;
pub use latency::{Latency, Shape};
pub use report::{Behaviours, Report, ReportStatus};
pub use requests::Requests;
pub use rule::{Flapping, Provisioning, Rule, Unwell};
pub use schedule::Schedule;
pub use selector::Selector;
pub use validate::{Fault, Faults};
