//! The nodes of a cluster: a few words each, and what a kubelet and its pods look like made from
//! them when somebody reads.

mod health;
pub(super) mod heartbeat;
mod merge;
pub(super) mod names;
mod record;
mod table;
mod templates;

pub use health::Fare;
pub use heartbeat::{LEASE_PERIOD, STATUS_PERIOD};
pub use merge::merge_node;
pub use names::PodKind;
pub(super) use record::Renewed;
pub use record::{NodeRecord, NodeState, ROLE_LABEL, UUID_LABEL};
pub use table::NodeTable;
pub(super) use templates::NodeTemplates;
pub(crate) use templates::{LEADER_FROM, MEMBER_REMOVED};
