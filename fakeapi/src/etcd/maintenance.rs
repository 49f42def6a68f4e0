//! Service `Maintenance`: how a member fares.

use std::pin::Pin;

use futures::Stream;
use tonic::{Request, Response, Status};

use super::call::{Etcd, member};
use super::generated::etcdserverpb::alarm_request::AlarmAction;
use super::generated::etcdserverpb::downgrade_request::DowngradeAction;
use super::generated::etcdserverpb::maintenance_server::Maintenance;
use super::generated::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse,
    DowngradeInfo, DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest,
    HashResponse, MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse,
    StatusRequest, StatusResponse,
};
use super::member::{Agreement, Moment, REQUEST_TIMEOUT, signed};
use super::{View, status};
use crate::cluster::members::{Alarm, MemberChange};

/// The quota of etcd's database unless one is set: 2 GiB.
const QUOTA: i64 = 2 << 30;

/// A page of etcd's database, in bytes.
const PAGE: u64 = 4096;

/// What a node takes in a database: itself, its lease and its pods, each in the versions that
/// five minutes bring until they are compacted.
const NODE_BYTES: u64 = 64 * 1024;

/// What the objects take that every cluster has.
const CLUSTER_BYTES: u64 = 2 * 1024 * 1024;

/// What a change takes until it is compacted, and how many are not at the most.
const CHANGE: (u64, u64) = (1024, 10_000);

/// Entries of the log before the first change: the members' own.
const FIRST_ENTRIES: u64 = 8;

type Answer<T> = Result<Response<T>, Status>;

/// The sizes of the database: what it takes, and what of it is in use.
fn sizes(view: &View) -> (i64, i64) {
    let nodes = u64::try_from(view.nodes).unwrap_or(u64::MAX);
    let (bytes, most) = CHANGE;
    let changes = view.revision.min(most) * bytes;
    let used = CLUSTER_BYTES.saturating_add(nodes.saturating_mul(NODE_BYTES)) + changes;
    let pages = |bytes: u64| signed(bytes.div_ceil(PAGE) * PAGE).min(QUOTA);
    // Free pages are kept until a defragmentation.
    (pages(used + used / 4), pages(used))
}

/// A number that all members agree on, unless their data differs.
fn hash(moment: &Moment, revision: u64) -> u32 {
    let mut text = moment.view.members.cluster_id.to_be_bytes().to_vec();
    text.extend(revision.to_be_bytes());
    if moment.view.members.alarms.contains(&(moment.own.id, Alarm::Corrupt)) {
        text.push(1);
    }
    crc32fast::hash(&text)
}

fn alarm_type(alarm: Alarm) -> AlarmType {
    match alarm {
        Alarm::NoSpace => AlarmType::Nospace,
        Alarm::Corrupt => AlarmType::Corrupt,
    }
}

fn listed((member_id, alarm): (u64, Alarm)) -> AlarmMember {
    AlarmMember { member_id, alarm: alarm_type(alarm).into() }
}

/// An alarm as etcd's own text form of the message has it.
fn told(alarm: (u64, Alarm)) -> String {
    let (id, kind) = (alarm.0, alarm_type(alarm.1).as_str_name());
    format!("memberID:{id} alarm:{kind} ")
}

/// The first two numbers of `3.5.1`; one of two numbers goes too.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split('.');
    let pair = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let patch = numbers.next().is_none_or(|patch| patch.parse::<u32>().is_ok());
    (patch && numbers.next().is_none()).then_some(pair)
}

#[tonic::async_trait]
impl Maintenance for Etcd {
    async fn status(&self, request: Request<StatusRequest>) -> Answer<StatusResponse> {
        let member = member(&request)?;
        let moment = member.admit(request.metadata(), true)?;
        let members = &moment.view.members;
        let version = member.backing.etcd_version(&member.node);
        let (db_size, db_size_in_use) = sizes(&moment.view);
        let index = FIRST_ENTRIES + moment.view.revision + members.term;
        let mut errors = Vec::new();
        if members.leader.is_none() {
            errors.push("etcdserver: no leader".to_owned());
        }
        errors.extend(members.alarms.iter().copied().map(told));
        let mut answer = StatusResponse {
            header: Some(moment.header()),
            db_size,
            leader: members.leader.unwrap_or_default(),
            raft_index: index,
            raft_term: members.term,
            raft_applied_index: index,
            errors,
            db_size_in_use,
            is_learner: moment.own.learner,
            ..StatusResponse::default()
        };
        // What came with 3.6.
        if let Some((major, number)) = minor(&version).filter(|minor| *minor >= (3, 6)) {
            answer.storage_version = format!("{major}.{number}.0");
            answer.db_size_quota = QUOTA;
            answer.downgrade_info = Some(DowngradeInfo::default());
        }
        answer.version = version;
        Ok(Response::new(answer))
    }

    async fn alarm(&self, request: Request<AlarmRequest>) -> Answer<AlarmResponse> {
        let member = member(&request)?;
        let moment = member.agree(request.metadata(), Agreement::Proposal).await?;
        let asked = request.get_ref();
        let wanted = match asked.alarm() {
            AlarmType::None => None,
            AlarmType::Nospace => Some(Alarm::NoSpace),
            AlarmType::Corrupt => Some(Alarm::Corrupt),
        };
        let raised = &moment.view.members.alarms;
        let id = asked.member_id;
        let alarms = match (asked.action(), wanted) {
            (AlarmAction::Get, wanted) => {
                let wanted = |(_, alarm): &&(u64, Alarm)| wanted.is_none_or(|w| w == *alarm);
                raised.iter().filter(wanted).copied().map(listed).collect()
            }
            (AlarmAction::Activate, Some(alarm)) => {
                member.backing.change(MemberChange::Raise { id, alarm }).await?;
                vec![listed((id, alarm))]
            }
            (AlarmAction::Deactivate, Some(alarm)) if raised.contains(&(id, alarm)) => {
                member.backing.change(MemberChange::Silence { id, alarm }).await?;
                vec![listed((id, alarm))]
            }
            (AlarmAction::Activate | AlarmAction::Deactivate, _) => Vec::new(),
        };
        Ok(Response::new(AlarmResponse { header: Some(moment.header()), alarms }))
    }

    async fn defragment(&self, request: Request<DefragmentRequest>) -> Answer<DefragmentResponse> {
        member(&request)?.admit(request.metadata(), false)?;
        Ok(Response::new(DefragmentResponse { header: None }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Answer<HashResponse> {
        let moment = member(&request)?.admit(request.metadata(), false)?;
        let hash = hash(&moment, moment.view.revision);
        Ok(Response::new(HashResponse { header: Some(moment.header()), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Answer<HashKvResponse> {
        let moment = member(&request)?.admit(request.metadata(), false)?;
        let now = moment.view.revision;
        let asked = u64::try_from(request.get_ref().revision).unwrap_or_default();
        if asked > now {
            return Err(status::future_revision());
        }
        let revision = if asked == 0 { now } else { asked };
        Ok(Response::new(HashKvResponse {
            header: Some(moment.header()),
            hash: hash(&moment, revision),
            // Nothing was ever compacted.
            compact_revision: -1,
            hash_revision: signed(revision),
        }))
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<SnapshotResponse, Status>> + Send>>;

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Answer<Self::SnapshotStream> {
        member(&request)?.admit(request.metadata(), false)?;
        Err(status::no_database("a snapshot"))
    }

    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Answer<MoveLeaderResponse> {
        let member = member(&request)?;
        let moment = member.admit(request.metadata(), false)?;
        if moment.view.members.leader != Some(moment.own.id) {
            return Err(status::not_leader());
        }
        let id = request.get_ref().target_id;
        let target = moment.view.members.get(id);
        if target.is_some_and(|target| !target.running && !target.learner) {
            // Raft waits for one that is down until the request is too old.
            member.wait(REQUEST_TIMEOUT).await;
            return Err(status::transfer_timed_out());
        }
        member.backing.change(MemberChange::Lead { id }).await?;
        Ok(Response::new(MoveLeaderResponse { header: None }))
    }

    async fn downgrade(&self, request: Request<DowngradeRequest>) -> Answer<DowngradeResponse> {
        let member = member(&request)?;
        member.admit(request.metadata(), false)?;
        let asked = request.get_ref();
        let target = match asked.action() {
            DowngradeAction::Validate | DowngradeAction::Enable => {
                Some(minor(&asked.version).ok_or_else(status::bad_version_format)?)
            }
            DowngradeAction::Cancel => None,
        };
        let moment = match member.agree(request.metadata(), Agreement::Read).await {
            // etcd only logs that it could not cancel.
            Err(_) if target.is_none() => member.now()?,
            agreed => agreed?,
        };
        let version = member.backing.etcd_version(&member.node);
        let is = minor(&version).ok_or_else(status::bad_version_format)?;
        if target.is_some_and(|target| target.0 != is.0 || target.1 + 1 != is.1) {
            return Err(status::bad_target_version());
        }
        if asked.action() == DowngradeAction::Enable {
            return Err(status::no_database("a downgrade"));
        }
        // There is none to cancel, which is no error.
        let version = format!("{}.{}", is.0, is.1);
        Ok(Response::new(DowngradeResponse { header: Some(moment.header()), version }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_two_numbers_or_three() {
        assert_eq!(minor("3.5"), Some((3, 5)));
        assert_eq!(minor("3.6.8"), Some((3, 6)));
        for wrong in ["", "3", "3.x", "3.5.1.1", "3.5.x"] {
            assert_eq!(minor(wrong), None, "{wrong}");
        }
    }
}
