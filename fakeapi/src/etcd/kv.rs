//! Service `KV`: the objects of the cluster as kube-apiserver keeps them in etcd, read only.
//!
//! What is known of an object is its last change. So `create_revision` is that of the last change
//! too, and `version` is 1: nobody counts how often an object was written.

use std::cell::Cell;
use std::sync::Arc;

use apiserver::protobuf;
use apiserver::storage::{Key, Object, PageRequest, Scope, Storage};
use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::Member;
use super::call::{Etcd, member};
use super::generated::etcdserverpb as pb;
use super::generated::etcdserverpb::kv_server::Kv;
use super::generated::etcdserverpb::range_request::{SortOrder, SortTarget};
use super::generated::mvccpb::KeyValue;
use super::keys::{Place, Range, places};
use super::member::{Agreement, signed};
use super::{status, txn};

/// A key and what is kept under it.
struct Found {
    key: Vec<u8>,
    object: Arc<Object>,
}

/// The bytes that kube-apiserver keeps of an object: protobuf for the kinds that have it, without
/// the revision, which etcd knows.
pub(super) fn stored_bytes(object: &Object) -> Vec<u8> {
    let mut value = object.value();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    // Kinds of CustomResourceDefinitions are kept as JSON.
    protobuf::encode(&value, &version, &kind).unwrap_or_else(|_| value.to_string().into_bytes())
}

/// A pair as requests get it.
pub(super) fn pair(key: Vec<u8>, object: &Object, with_value: bool) -> KeyValue {
    let revision = signed(object.meta.resource_version);
    KeyValue {
        key: key.into(),
        create_revision: revision,
        mod_revision: revision,
        version: 1,
        value: if with_value { stored_bytes(object).into() } else { Bytes::default() },
        lease: 0,
    }
}

/// An object's own key, from what it says of itself.
pub(super) fn key_of(place: &Place, object: &Object) -> Key {
    let value: serde_json::Value = serde_json::from_slice(object.metadata()).unwrap_or_default();
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    Key::new(place.resource.id, text("namespace"), text("name"))
}

/// Puts what was found in the order that is asked for.
fn sort(found: &mut [Found], asked: &pb::RangeRequest) {
    let target = asked.sort_target();
    let order = match asked.sort_order() {
        SortOrder::None if target != SortTarget::Key => SortOrder::Ascend,
        order => order,
    };
    if order == SortOrder::None {
        return;
    }
    match target {
        SortTarget::Key => found.sort_by(|a, b| a.key.cmp(&b.key)),
        // All have one.
        SortTarget::Version => {}
        SortTarget::Create | SortTarget::Mod => {
            found.sort_by_key(|found| found.object.meta.resource_version);
        }
        SortTarget::Value => found.sort_by_cached_key(|found| stored_bytes(&found.object)),
    }
    if order == SortOrder::Descend {
        found.reverse();
    }
}

/// Leaves what was changed in the revisions that are asked for.
fn prune(found: &mut Vec<Found>, asked: &pb::RangeRequest) {
    let least = asked.min_mod_revision.max(asked.min_create_revision);
    let most = [asked.max_mod_revision, asked.max_create_revision];
    let most = most.into_iter().filter(|most| *most != 0).min().unwrap_or(i64::MAX);
    found.retain(|found| {
        let revision = signed(found.object.meta.resource_version);
        (least..=most).contains(&revision)
    });
}

/// Refuses a range that etcd would not look for.
pub(super) fn check(asked: &pb::RangeRequest) -> Result<(), Status> {
    if asked.key.is_empty() {
        return Err(status::empty_key());
    }
    let known = SortOrder::try_from(asked.sort_order).is_ok()
        && SortTarget::try_from(asked.sort_target).is_ok();
    if known { Ok(()) } else { Err(status::bad_sort()) }
}

/// Refuses a write that etcd would not make.
pub(super) fn check_put(asked: &pb::PutRequest) -> Result<(), Status> {
    if asked.key.is_empty() {
        return Err(status::empty_key());
    }
    if asked.ignore_value && !asked.value.is_empty() {
        return Err(status::value_provided());
    }
    if asked.ignore_lease && asked.lease != 0 {
        return Err(status::lease_provided());
    }
    Ok(())
}

/// Bytes of objects that one call may look at. A cluster of 10,000 nodes has about 100 MiB; a
/// transaction could ask for them a hundred thousand times.
const LOOKED_AT: usize = 512 * 1024 * 1024;

/// What looking at nothing costs, in the same bytes.
const LOOK: usize = 4 * 1024;

/// The keys as they are at one revision, for one call.
pub(super) struct Reading {
    storage: Arc<dyn Storage>,
    places: Vec<Place>,
    pub(super) revision: u64,
    /// Bytes that may still be looked at.
    left: Cell<usize>,
}

impl Reading {
    /// The keys as they are now.
    pub(super) fn now(member: &Member) -> Self {
        let storage = member.backing.storage();
        let revision = storage.revision();
        let (places, left) = (places(member.backing.catalog()), Cell::new(LOOKED_AT));
        Self { storage, places, revision, left }
    }

    /// What lies in a range, in the order of the keys, at a revision.
    fn find(&self, range: &Range, at: u64) -> Result<Vec<Found>, Status> {
        self.spend(LOOK)?;
        let mut found = Vec::new();
        for place in self.places.iter().filter(|place| range.meets(place)) {
            if let Some(key) = range.object(place) {
                let object = self.storage.get(&key);
                // What was changed since is looked for in the history, below.
                if self.storage.revision() == at {
                    let key = place.key(&key);
                    found.extend(object.map(|object| Found { key, object }));
                    continue;
                }
            }
            let scope = Scope { resource: place.resource.id, namespace: range.namespace(place) };
            let page = PageRequest { scope, after: None, limit: usize::MAX, at: Some(at) };
            let page = self.storage.list(&page).map_err(|_| status::compacted())?;
            self.spend(page.objects.iter().map(|object| object.json().len()).sum())?;
            let here = page.objects.into_iter().map(|object| {
                let key = place.key(&key_of(place, &object));
                Found { key, object }
            });
            found.extend(here.filter(|found| range.contains(&found.key)));
        }
        // Lists order by namespace and name; keys order by their bytes, "/" among them.
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn spend(&self, bytes: usize) -> Result<(), Status> {
        let left = self.left.get().checked_sub(bytes).ok_or_else(status::too_much)?;
        self.left.set(left);
        Ok(())
    }

    /// What lies in a range, in the order of the keys.
    pub(super) fn all(
        &self,
        key: &[u8],
        end: &[u8],
        with_values: bool,
    ) -> Result<Vec<KeyValue>, Status> {
        let found = self.find(&Range::new(key, end), self.revision)?;
        Ok(found.into_iter().map(|found| pair(found.key, &found.object, with_values)).collect())
    }

    /// What a client wants to know of a range.
    pub(super) fn range(&self, asked: &pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        let wanted = u64::try_from(asked.revision).unwrap_or_default();
        if wanted > self.revision {
            return Err(status::future_revision());
        }
        let at = if wanted == 0 { self.revision } else { wanted };
        let range = Range::new(&asked.key, &asked.range_end);
        let mut found = self.find(&range, at)?;
        let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
        if asked.count_only {
            return Ok(pb::RangeResponse { count, ..pb::RangeResponse::default() });
        }
        prune(&mut found, asked);
        sort(&mut found, asked);
        let limit = usize::try_from(asked.limit).ok().filter(|limit| *limit > 0);
        let more = limit.is_some_and(|limit| found.len() > limit);
        found.truncate(limit.unwrap_or(usize::MAX));
        let with_values = !asked.keys_only;
        let pairs = found.into_iter().map(|found| pair(found.key, &found.object, with_values));
        Ok(pb::RangeResponse { header: None, kvs: pairs.collect(), more, count })
    }
}

#[tonic::async_trait]
impl Kv for Etcd {
    async fn range(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<pb::RangeResponse>, Status> {
        let member = member(&request)?;
        check(request.get_ref())?;
        let moment = if request.get_ref().serializable {
            member.admit(request.metadata(), true)?
        } else {
            member.agree(request.metadata(), Agreement::Read).await?
        };
        let reading = Reading::now(&member);
        let mut answer = reading.range(request.get_ref())?;
        answer.header = Some(moment.header_at(reading.revision));
        Ok(Response::new(answer))
    }

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        check_put(request.get_ref())?;
        member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        Err(status::read_only())
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        if request.get_ref().key.is_empty() {
            return Err(status::empty_key());
        }
        member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        Err(status::read_only())
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        let (member, asked) = (member(&request)?, request.get_ref());
        txn::check(asked)?;
        let moment = match txn::agreement(asked) {
            None => member.admit(request.metadata(), false)?,
            Some(agreement) => member.agree(request.metadata(), agreement).await?,
        };
        let reading = Reading::now(&member);
        let mut answer = txn::answer(&reading, asked)?;
        answer.header = Some(moment.header_at(reading.revision));
        Ok(Response::new(answer))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        Err(status::read_only())
    }
}
