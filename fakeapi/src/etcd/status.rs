//! What etcd says when it refuses: codes and texts as in its `rpctypes`.

use tonic::{Code, Status};

use super::ChangeError;
use crate::cluster::members::Refused;

/// An error of etcd's by its code and what follows `etcdserver: `.
fn etcd(code: Code, text: &str) -> Status {
    Status::new(code, format!("etcdserver: {text}"))
}

/// A request for something that has no leader to do it, from a client that asks for one.
pub(super) fn no_leader() -> Status {
    etcd(Code::Unavailable, "no leader")
}

/// A request that waited for a leader in vain.
pub(super) fn timed_out() -> Status {
    etcd(Code::Unavailable, "request timed out")
}

/// A proposal that no leader took in time: it ends as its context in etcd does.
pub(super) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

/// A request to a member whose process is gone.
pub(super) fn stopped() -> Status {
    etcd(Code::Unavailable, "server stopped")
}

/// Leadership that did not arrive in time.
pub(super) fn transfer_timed_out() -> Status {
    etcd(Code::Unknown, "request timed out, leader transfer took too long")
}

pub(super) fn not_leader() -> Status {
    etcd(Code::FailedPrecondition, "not leader")
}

pub(super) fn bad_transferee() -> Status {
    etcd(Code::FailedPrecondition, "bad leader transferee")
}

pub(super) fn bad_urls() -> Status {
    etcd(Code::InvalidArgument, "given member URLs are invalid")
}

pub(super) fn not_for_learners() -> Status {
    etcd(Code::FailedPrecondition, "rpc not supported for learner")
}

/// One call that would look at more than a process for many clusters can give it.
pub(super) fn too_much() -> Status {
    Status::resource_exhausted("fakeapi: one call cannot ask for so much")
}

pub(super) fn empty_key() -> Status {
    etcd(Code::InvalidArgument, "key is not provided")
}

pub(super) fn bad_sort() -> Status {
    etcd(Code::InvalidArgument, "invalid sort option")
}

pub(super) fn value_provided() -> Status {
    etcd(Code::InvalidArgument, "value is provided")
}

pub(super) fn lease_provided() -> Status {
    etcd(Code::InvalidArgument, "lease is provided")
}

/// A transaction with an operation that says nothing.
pub(super) fn empty_operation() -> Status {
    etcd(Code::InvalidArgument, "key not found")
}

pub(super) fn too_many_operations() -> Status {
    etcd(Code::InvalidArgument, "too many operations in txn request")
}

/// What a client also reads as the reason of a watch that ends so.
pub(super) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

pub(super) fn compacted() -> Status {
    Status::new(Code::OutOfRange, COMPACTED)
}

pub(super) fn future_revision() -> Status {
    etcd(Code::OutOfRange, "mvcc: required revision is a future revision")
}

pub(super) fn lease_not_found() -> Status {
    etcd(Code::NotFound, "requested lease not found")
}

pub(super) fn auth_not_enabled() -> Status {
    etcd(Code::FailedPrecondition, "authentication is not enabled")
}

pub(super) fn root_user_missing() -> Status {
    etcd(Code::FailedPrecondition, "root user does not exist")
}

pub(super) fn user_not_found() -> Status {
    etcd(Code::FailedPrecondition, "user name not found")
}

pub(super) fn role_not_found() -> Status {
    etcd(Code::FailedPrecondition, "role name not found")
}

pub(super) fn bad_version_format() -> Status {
    etcd(Code::InvalidArgument, "wrong downgrade target version format")
}

pub(super) fn bad_target_version() -> Status {
    etcd(Code::InvalidArgument, "invalid downgrade target version")
}

/// A write: what etcd holds is what the API server was told, and nothing else can be.
pub(super) fn read_only() -> Status {
    Status::permission_denied("fakeapi: etcd's keys can only be read; write to the API server")
}

/// Something that needs a database, which there is none of.
pub(super) fn no_database(what: &str) -> Status {
    Status::unimplemented(format!("fakeapi: {what} needs a database, and this member has none"))
}

impl From<ChangeError> for Status {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refused) => refused.into(),
            ChangeError::Journal(source) => {
                tracing::error!(error = %source, "a change of etcd members was not written down");
                Self::internal("fakeapi: the change could not be written down")
            }
        }
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let failed = |text| etcd(Code::FailedPrecondition, text);
        match refused {
            Refused::NotFound => etcd(Code::NotFound, "member not found"),
            Refused::PeerUrlExists => failed("Peer URLs already exists"),
            Refused::TooManyLearners => failed("too many learner members in cluster"),
            Refused::NotLearner => failed("can only promote a learner member"),
            Refused::LearnerNotReady => {
                failed("can only promote a learner member which is in sync with leader")
            }
            // etcd hands its client's error to gRPC here, which knows no code of it.
            Refused::NotEnoughStarted => {
                etcd(Code::Unknown, "re-configuration failed due to not enough started members")
            }
            Refused::Unhealthy => etcd(Code::Unavailable, "unhealthy cluster"),
            Refused::BadTransferee => bad_transferee(),
            Refused::TooMany => {
                Self::resource_exhausted("fakeapi: a cluster cannot have more of them")
            }
        }
    }
}
