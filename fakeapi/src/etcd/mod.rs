//! The etcd members of fake clusters, as clients of etcd meet them.
//!
//! A member is no process and no task: it is what a cluster's base says about it, and the services
//! here answer for whichever member a connection went to.
//!
//! Follow a call in this order: `call` finds the member and the service, `cluster`,
//! `maintenance`, `kv` and `txn`, `watch`, `lease` and `auth` answer, `status` is how they refuse. What
//! stands behind a member is a [`Backing`].

mod auth;
mod call;
mod cluster;
pub mod generated;
mod keys;
mod kv;
mod lease;
mod maintenance;
mod member;
mod probe;
mod status;
mod txn;
mod watch;

pub use member::{Backing, Door, Member};

use crate::cluster::members::{Members, Refused};

/// What a cluster says about its etcd at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Who is in and who leads.
    pub members: Members,
    /// The revision of the newest change.
    pub revision: u64,
    /// How many nodes the cluster has.
    pub nodes: usize,
}

/// Why a change of the members was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// etcd would not make it.
    #[error("etcd refuses")]
    Refused(#[source] Refused),
    /// It could not be written down.
    #[error("the journal did not take the change")]
    Journal(#[source] std::io::Error),
}
