//! Transactions that only read: compare, then read what the outcome asks for.
//!
//! One that may write is answered too, as long as its comparisons lead to reads: so does
//! kube-apiserver create an object that is there already. Where they lead to a write it is refused.
//! The rules are those of `etcdserver/txn/txn.go` and `etcdserver/api/v3rpc/key.go`; whether writes
//! of one transaction overlap is not looked at, since none is made.

use std::cmp::Ordering;

use tonic::Status;

use super::generated::etcdserverpb as pb;
use super::generated::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use super::generated::etcdserverpb::request_op::Request;
use super::generated::etcdserverpb::response_op::Response;
use super::generated::mvccpb::KeyValue;
use super::kv::{Reading, check as check_range, check_put};
use super::member::{Agreement, signed};
use super::status;

/// How many comparisons and operations a transaction may have, those inside of it too: etcd's
/// `--max-txn-ops`.
const MAX_OPERATIONS: usize = 128;

/// Refuses a transaction that etcd would not look at.
pub(super) fn check(asked: &pb::TxnRequest) -> Result<(), Status> {
    check_below(asked, MAX_OPERATIONS)
}

fn check_below(asked: &pb::TxnRequest, most: usize) -> Result<(), Status> {
    let operations = asked.compare.len().max(asked.success.len()).max(asked.failure.len());
    let left = most.checked_sub(operations).ok_or_else(status::too_many_operations)?;
    if asked.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(status::empty_key());
    }
    for operation in asked.success.iter().chain(&asked.failure) {
        match &operation.request {
            Some(Request::RequestRange(range)) => check_range(range)?,
            Some(Request::RequestPut(put)) => check_put(put)?,
            Some(Request::RequestDeleteRange(range)) if range.key.is_empty() => {
                return Err(status::empty_key());
            }
            Some(Request::RequestDeleteRange(_)) => {}
            Some(Request::RequestTxn(inner)) => check_below(inner, left)?,
            None => return Err(status::empty_operation()),
        }
    }
    Ok(())
}

/// What a transaction needs a leader for; nothing when all it does is to read without agreement.
pub(super) fn agreement(asked: &pb::TxnRequest) -> Option<Agreement> {
    let mut agreement = None;
    for operation in asked.success.iter().chain(&asked.failure) {
        match &operation.request {
            Some(Request::RequestRange(range)) if range.serializable => {}
            Some(Request::RequestRange(_)) => agreement = Some(Agreement::Read),
            _ => return Some(Agreement::Proposal),
        }
    }
    agreement
}

/// Answers a transaction from the keys at one revision. The header is its caller's.
pub(super) fn answer(reading: &Reading, asked: &pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
    let mut succeeded = true;
    for compare in &asked.compare {
        if !holds(reading, compare)? {
            succeeded = false;
            break;
        }
    }
    let operations = if succeeded { &asked.success } else { &asked.failure };
    let responses = operations.iter().map(|operation| {
        let response = match &operation.request {
            Some(Request::RequestRange(range)) => {
                let mut found = reading.range(range)?;
                found.header = Some(revision(reading));
                Response::ResponseRange(found)
            }
            Some(Request::RequestTxn(inner)) => {
                let mut inner = answer(reading, inner)?;
                inner.header = Some(pb::ResponseHeader::default());
                Response::ResponseTxn(inner)
            }
            _ => return Err(status::read_only()),
        };
        Ok(pb::ResponseOp { response: Some(response) })
    });
    let responses = responses.collect::<Result<_, Status>>()?;
    Ok(pb::TxnResponse { header: None, succeeded, responses })
}

/// All that the header of a part of an answer says.
fn revision(reading: &Reading) -> pb::ResponseHeader {
    pb::ResponseHeader { revision: signed(reading.revision), ..pb::ResponseHeader::default() }
}

/// Whether a comparison holds for every key in its range; a key that is not there has zeros and no
/// value at all.
fn holds(reading: &Reading, compare: &pb::Compare) -> Result<bool, Status> {
    let of_value = CompareTarget::try_from(compare.target) == Ok(CompareTarget::Value);
    let found = reading.all(&compare.key, &compare.range_end, of_value)?;
    if found.is_empty() {
        return Ok(!of_value && holds_for(compare, &KeyValue::default()));
    }
    Ok(found.iter().all(|pair| holds_for(compare, pair)))
}

fn holds_for(compare: &pb::Compare, pair: &KeyValue) -> bool {
    // A number that is not given, or of another kind than what is compared, is zero.
    let union = compare.target_union.as_ref();
    let order = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Value) => {
            let value = match union {
                Some(TargetUnion::Value(value)) => &value[..],
                _ => &[],
            };
            pair.value[..].cmp(value)
        }
        Ok(CompareTarget::Create) => pair.create_revision.cmp(&match union {
            Some(TargetUnion::CreateRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Mod) => pair.mod_revision.cmp(&match union {
            Some(TargetUnion::ModRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Version) => pair.version.cmp(&match union {
            Some(TargetUnion::Version(version)) => *version,
            _ => 0,
        }),
        Ok(CompareTarget::Lease) => pair.lease.cmp(&match union {
            Some(TargetUnion::Lease(lease)) => *lease,
            _ => 0,
        }),
        // etcd compares nothing then, and says that it is equal.
        Err(_) => Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => order.is_eq(),
        Ok(CompareResult::NotEqual) => order.is_ne(),
        Ok(CompareResult::Greater) => order.is_gt(),
        Ok(CompareResult::Less) => order.is_lt(),
        Err(_) => true,
    }
}
