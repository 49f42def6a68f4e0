//! One member, as a connection meets it.

use std::sync::Arc;
use std::time::Duration;

use apiserver::catalog::Catalog;
use apiserver::storage::Storage;
use futures::future::BoxFuture;
use http::{Request, Response};
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;

use super::generated::etcdserverpb::ResponseHeader;
use super::{ChangeError, View, call, status};
use crate::behaviour::EtcdVerdict;
use crate::cluster::members::{Member as Entry, MemberChange, Members};
use crate::serve::{BoxError, ConnectionCount, Peer, RequestBody, Tenant};

/// How long a request waits for a leader: etcd's `ReqTimeout` with its default election timeout.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(7);

/// How long a change of the members waits whose client says no deadline; etcd waits for ever.
const RECONFIGURATION_TIMEOUT: Duration = Duration::from_mins(10);

/// How often one that waits looks for a leader.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The cluster behind a member.
pub trait Backing: Send + Sync + 'static {
    /// The members and the clock, as they are now.
    fn view(&self) -> View;

    /// Makes a change if etcd would; answers the members after it, once it is durable.
    fn change(&self, change: MemberChange) -> BoxFuture<'_, Result<Members, ChangeError>>;

    /// The objects of the cluster.
    fn storage(&self) -> Arc<dyn Storage>;

    /// The kinds of objects.
    fn catalog(&self) -> &Catalog;

    /// The version of etcd that runs on a node, `3.6.8`.
    fn etcd_version(&self, node: &str) -> String;

    /// What a node's member shows its clients.
    ///
    /// # Errors
    /// When there is no such member, or the etcd CA does not sign.
    fn member_certificate(&self, node: &str) -> Result<Arc<CertifiedKey>, BoxError>;

    /// Whose certificates clients must show.
    fn etcd_roots(&self) -> Arc<RootCertStore>;

    /// Which identity the cluster has: see [`Tenant::generation`].
    fn identity_generation(&self) -> u64;

    /// The cluster's open connections.
    fn open_connections(&self) -> &ConnectionCount;

    /// What rules of behaviour make of a call that begins now.
    fn verdict(&self) -> EtcdVerdict;

    /// Cancelled when the cluster is taken away.
    fn end(&self) -> &CancellationToken;
}

/// Which of a member's ports a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// That of clients, 2379.
    Client,
    /// That of metrics and probes, 2381.
    Metrics,
}

/// One member of one cluster.
#[derive(Clone)]
pub struct Member {
    pub(super) backing: Arc<dyn Backing>,
    pub(super) node: Arc<str>,
    pub(super) door: Door,
    /// Whether a rule of behaviour has it that nobody leads.
    pub(super) leaderless: bool,
}

/// A member at one moment.
pub(super) struct Moment {
    pub(super) view: View,
    pub(super) own: Entry,
}

/// What a call needs a leader for, which decides how it fails without one
/// (`etcdserver/v3_server.go` and `configure` in `etcdserver/server.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// To know that what it reads is the newest.
    Read,
    /// To have a request applied by all.
    Proposal,
    /// To have the members changed: the only one that waits as long as its client does.
    Reconfiguration,
    /// To be answered by the leader in the member's place.
    Forward,
}

impl Agreement {
    fn patience(self, metadata: &MetadataMap) -> Duration {
        match self {
            Self::Reconfiguration => {
                let asked = metadata.get("grpc-timeout").and_then(|text| text.to_str().ok());
                asked.and_then(grpc_timeout).unwrap_or(Duration::MAX).min(RECONFIGURATION_TIMEOUT)
            }
            Self::Read | Self::Proposal | Self::Forward => REQUEST_TIMEOUT,
        }
    }

    fn refusal(self) -> Status {
        match self {
            Self::Read => status::timed_out(),
            Self::Proposal | Self::Reconfiguration => status::deadline_exceeded(),
            Self::Forward => status::no_leader(),
        }
    }
}

/// The time that a client of gRPC gives, as its protocol writes it: `20S`, `1500m`.
fn grpc_timeout(text: &str) -> Option<Duration> {
    /// The protocol allows no more.
    const MAX_DIGITS: usize = 8;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(number)),
        "M" => Some(Duration::from_mins(number)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

impl Member {
    /// The member on a node.
    pub fn new(backing: Arc<dyn Backing>, node: &str, door: Door) -> Self {
        Self { backing, node: node.into(), door, leaderless: false }
    }

    /// The member as it is now.
    ///
    /// # Errors
    /// When its process is gone, or it was removed, which ends its process.
    pub(super) fn now(&self) -> Result<Moment, Status> {
        let mut view = self.backing.view();
        if self.leaderless {
            view.members.leader = None;
        }
        let own = view.members.on(&self.node).filter(|own| own.running).cloned();
        Ok(Moment { own: own.ok_or_else(status::stopped)?, view })
    }

    /// The member as it is now, for a call that etcd's interceptor lets pass: learners answer
    /// only some, and clients can ask for a leader.
    pub(super) fn admit(
        &self,
        metadata: &MetadataMap,
        for_learners: bool,
    ) -> Result<Moment, Status> {
        let moment = self.now()?;
        if moment.own.learner && !for_learners {
            return Err(status::not_for_learners());
        }
        let wants_leader = metadata.get("hasleader").is_some_and(|value| value == "true");
        if wants_leader && moment.view.members.leader.is_none() {
            return Err(status::no_leader());
        }
        Ok(moment)
    }

    /// The same for a call that needs a leader: without one it waits for as long as etcd does, and
    /// then fails.
    pub(super) async fn agree(
        &self,
        metadata: &MetadataMap,
        agreement: Agreement,
    ) -> Result<Moment, Status> {
        let mut moment = self.admit(metadata, false)?;
        let until = Instant::now() + agreement.patience(metadata);
        while moment.view.members.leader.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.backing.end().is_cancelled() {
                return Err(agreement.refusal());
            }
            self.wait(left.min(LOOK_AGAIN)).await;
            moment = self.now()?;
        }
        Ok(moment)
    }

    /// Lets time pass, unless the cluster ends.
    pub(super) async fn wait(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.backing.end().cancelled() => {}
        }
    }
}

impl Moment {
    /// What every answer begins with.
    pub(super) fn header(&self) -> ResponseHeader {
        self.header_at(self.view.revision)
    }

    /// The same at another revision; 0 where etcd tells none.
    pub(super) fn header_at(&self, revision: u64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.view.members.cluster_id,
            member_id: self.own.id,
            revision: signed(revision),
            raft_term: self.view.members.term,
        }
    }
}

/// A revision as gRPC has it.
pub(super) fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

impl Tenant for Member {
    type Body = Body;

    fn generation(&self) -> u64 {
        self.backing.identity_generation()
    }

    fn certificate(&self) -> Result<Arc<CertifiedKey>, BoxError> {
        self.backing.member_certificate(&self.node)
    }

    fn client_roots(&self) -> Arc<RootCertStore> {
        self.backing.etcd_roots()
    }

    fn connections(&self) -> &ConnectionCount {
        self.backing.open_connections()
    }

    fn removed(&self) -> &CancellationToken {
        self.backing.end()
    }

    async fn serve(
        self: Arc<Self>,
        _peer: Arc<Peer>,
        request: Request<RequestBody>,
    ) -> Response<Body> {
        call::answer(self, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(grpc_timeout("20S"), Some(Duration::from_secs(20)));
        assert_eq!(grpc_timeout("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(grpc_timeout("99999999H"), Some(Duration::from_hours(99_999_999)));
        for wrong in ["", "S", "1", "-1S", "+1S", "1s", "123456789S", "1é"] {
            assert_eq!(grpc_timeout(wrong), None, "{wrong}");
        }
    }
}
