//! Service `Watch`: the changes of the cluster's objects.
//!
//! A stream is one task, for as long as its client holds it. The task waits for the kinds that its
//! watches cover, and reads what changed from the store's history.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use apiserver::storage::{Compacted, Event as Change, EventKind, Storage};
use futures::future::{pending, select_all};
use futures::{FutureExt, Stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Response, Status, Streaming};

use super::Member;
use super::call::{Etcd, draining, member};
use super::generated::etcdserverpb as pb;
use super::generated::etcdserverpb::watch_create_request::FilterType;
use super::generated::etcdserverpb::watch_request::RequestUnion;
use super::generated::etcdserverpb::watch_server::Watch;
use super::generated::mvccpb::event::EventType;
use super::generated::mvccpb::{Event, KeyValue};
use super::keys::{Place, Range, places};
use super::kv::{pair, stored_bytes};
use super::member::signed;
use super::status;
use crate::serve::Draining;

/// Watches in one stream at the most.
const WATCHES: usize = 128;
/// How long a key of a watch may be, in bytes: kube-apiserver's have at most 600.
const KEY_MAX: usize = 4 * 1024;
/// Answers that wait for the client.
const QUEUE: usize = 16;
/// Changes of a kind that are read at once.
const BATCH: usize = 256;
/// How often a watch that asks for it is told that nothing happened: etcd's 10 minutes, which
/// kubeadm sets to this.
const PROGRESS: Duration = Duration::from_secs(5);
/// The id by which a client lets the server choose one, and the first that it chooses.
const CHOOSE: i64 = 0;

/// One watch.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of the client's request")]
struct Watcher {
    range: Range,
    places: Vec<Place>,
    /// Changes up to here were told.
    after: u64,
    progress: bool,
    previous: bool,
    puts: bool,
    deletes: bool,
}

/// A stream of watches.
struct Session {
    member: Arc<Member>,
    storage: Arc<dyn Storage>,
    watchers: BTreeMap<i64, Watcher>,
    next: i64,
    out: mpsc::Sender<Result<pb::WatchResponse, Status>>,
}

/// The client does not read any more.
struct Gone;

#[tonic::async_trait]
impl Watch for Etcd {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (member, draining) = (member(&request)?, draining(&request));
        member.admit(request.metadata(), false)?;
        let (out, mut answers) = mpsc::channel(QUEUE);
        let storage = member.backing.storage();
        let session = Session { member, storage, watchers: BTreeMap::new(), next: CHOOSE, out };
        let mut run = session.run(request.into_inner(), draining).boxed().fuse();
        // Polled with the answers: it ends when the client drops them.
        let stream = futures::stream::poll_fn(move |context| {
            let _ = run.poll_unpin(context);
            answers.poll_recv(context)
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

impl Session {
    async fn run(mut self, mut requests: Streaming<pb::WatchRequest>, draining: Option<Draining>) {
        let mut progress = Instant::now() + PROGRESS;
        let mut finished = false;
        loop {
            // Registered before the changes are read, so that none is missed between.
            let changed = self.changed();
            if self.tell().await.is_err() {
                return;
            }
            let done = tokio::select! {
                asked = requests.message(), if !finished => match asked {
                    Ok(Some(asked)) => self.obey(asked).await,
                    // It asks nothing more, and goes on listening.
                    Ok(None) => {
                        finished = true;
                        Ok(())
                    }
                    Err(_) => Err(Gone),
                },
                () = changed => Ok(()),
                () = sleep_until(progress), if self.watchers.values().any(|w| w.progress) => {
                    progress = Instant::now() + PROGRESS;
                    self.report().await
                }
                () = begun(draining.as_ref()) => Err(Gone),
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Resolves when an object of a kind that is watched has changed.
    fn changed(&self) -> impl Future<Output = ()> + use<> {
        let mut kinds: Vec<_> = self
            .watchers
            .values()
            .flat_map(|watcher| &watcher.places)
            .map(|place| place.resource.id)
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let waiting: Vec<_> = kinds
            .into_iter()
            .map(|kind| Box::pin(self.storage.watch(kind).notified_owned()))
            .collect();
        async move {
            if waiting.is_empty() {
                return pending().await;
            }
            select_all(waiting).await;
        }
    }

    async fn send(&self, answer: pb::WatchResponse) -> Result<(), Gone> {
        self.send_at(answer, None).await
    }

    /// Sends an answer that speaks of a revision; without one, of that of now.
    async fn send_at(&self, mut answer: pb::WatchResponse, at: Option<u64>) -> Result<(), Gone> {
        let moment = match self.member.now() {
            Ok(moment) => moment,
            Err(status) => {
                let _ = self.out.send(Err(status)).await;
                return Err(Gone);
            }
        };
        answer.header = Some(at.map_or_else(|| moment.header(), |at| moment.header_at(at)));
        self.out.send(Ok(answer)).await.map_err(|_| Gone)
    }

    async fn obey(&mut self, asked: pb::WatchRequest) -> Result<(), Gone> {
        match asked.request_union {
            Some(RequestUnion::CreateRequest(asked)) => self.create(asked).await,
            Some(RequestUnion::CancelRequest(asked)) => {
                if self.watchers.remove(&asked.watch_id).is_none() {
                    return Ok(());
                }
                let watch_id = asked.watch_id;
                self.send(pb::WatchResponse { watch_id, canceled: true, ..Default::default() })
                    .await
            }
            // To all watches of the stream.
            Some(RequestUnion::ProgressRequest(_)) => {
                let told = self.told().await?;
                let answer = pb::WatchResponse { watch_id: -1, ..Default::default() };
                self.send_at(answer, told).await
            }
            None => Ok(()),
        }
    }

    async fn create(&mut self, asked: pb::WatchCreateRequest) -> Result<(), Gone> {
        let refuse = |watch_id, reason: &str| pb::WatchResponse {
            watch_id,
            created: true,
            canceled: true,
            cancel_reason: reason.to_owned(),
            ..Default::default()
        };
        if self.watchers.contains_key(&asked.watch_id) && asked.watch_id != CHOOSE {
            let answer = refuse(-1, "mvcc: duplicate watch ID provided on the WatchStream");
            return self.send(answer).await;
        }
        if asked.key.len().max(asked.range_end.len()) > KEY_MAX {
            return self.send(refuse(-1, "fakeapi: a key cannot be so long")).await;
        }
        if self.watchers.len() >= WATCHES {
            return self.send(refuse(-1, "fakeapi: a stream cannot have more watches")).await;
        }
        let watch_id = if asked.watch_id == CHOOSE { self.choose() } else { asked.watch_id };
        // An empty key stands for the first one.
        let key: &[u8] = if asked.key.is_empty() { &[0] } else { &asked.key };
        let range = Range::new(key, &asked.range_end);
        let mut places = places(self.member.backing.catalog());
        places.retain(|place| range.meets(place));
        let after = match u64::try_from(asked.start_revision) {
            Ok(start) if start > 0 => start - 1,
            _ => self.storage.revision(),
        };
        let watcher = Watcher {
            range,
            places,
            after,
            progress: asked.progress_notify,
            previous: asked.prev_kv,
            puts: !asked.filters.contains(&i32::from(FilterType::Noput)),
            deletes: !asked.filters.contains(&i32::from(FilterType::Nodelete)),
        };
        self.watchers.insert(watch_id, watcher);
        self.send(pb::WatchResponse { watch_id, created: true, ..Default::default() }).await
    }

    fn choose(&mut self) -> i64 {
        while self.watchers.contains_key(&self.next) {
            self.next += 1;
        }
        self.next += 1;
        self.next - 1
    }

    /// Tells what changed since the last time.
    async fn tell(&mut self) -> Result<(), Gone> {
        let ids: Vec<i64> = self.watchers.keys().copied().collect();
        for watch_id in ids {
            while let Some(watcher) = self.watchers.get_mut(&watch_id) {
                let before = watcher.after;
                let answer = match watcher.read(&*self.storage) {
                    Ok(events) if events.is_empty() && watcher.after == before => break,
                    Ok(events) if events.is_empty() => continue,
                    Ok(events) => pb::WatchResponse { watch_id, events, ..Default::default() },
                    Err(compacted) => {
                        self.watchers.remove(&watch_id);
                        pb::WatchResponse {
                            watch_id,
                            canceled: true,
                            compact_revision: signed(compacted.oldest),
                            cancel_reason: status::COMPACTED.to_owned(),
                            ..Default::default()
                        }
                    }
                };
                self.send(answer).await?;
            }
        }
        Ok(())
    }

    /// Tells all changes there are; the revision up to which every watch has them. A client takes
    /// the revision of a progress answer for the one to go on from.
    async fn told(&mut self) -> Result<Option<u64>, Gone> {
        self.tell().await?;
        Ok(self.watchers.values().map(|watcher| watcher.after).min())
    }

    /// Tells the watches that asked for it how far they are.
    async fn report(&mut self) -> Result<(), Gone> {
        let told = self.told().await?;
        let asked = self.watchers.iter().filter(|(_, watcher)| watcher.progress);
        for watch_id in asked.map(|(id, _)| *id) {
            let answer = pb::WatchResponse { watch_id, ..Default::default() };
            self.send_at(answer, told).await?;
        }
        Ok(())
    }
}

async fn begun(draining: Option<&Draining>) {
    match draining {
        Some(draining) => draining.begun().await,
        None => pending().await,
    }
}

impl Watcher {
    /// The next changes, in their order; none when there are no more for now.
    fn read(&mut self, storage: &dyn Storage) -> Result<Vec<Event>, Compacted> {
        let (mut read, mut changes) = (u64::MAX, Vec::new());
        for place in &self.places {
            let (events, up_to) = storage.changes(place.resource.id, self.after, BATCH)?;
            read = read.min(up_to);
            changes.extend(events.into_iter().map(|change| (place.key(&change.key), change)));
        }
        if self.places.is_empty() || read <= self.after {
            return Ok(Vec::new());
        }
        // Kinds that were read further are read again from here.
        changes.retain(|(key, change)| change.revision <= read && self.range.contains(key));
        changes.sort_by_key(|(_, change)| change.revision);
        self.after = read;
        let events = changes.into_iter().map(|(key, change)| self.event(key, &change));
        Ok(events.filter(|event| self.wants(event)).collect())
    }

    fn wants(&self, event: &Event) -> bool {
        match event.r#type() {
            EventType::Put => self.puts,
            EventType::Delete => self.deletes,
        }
    }

    fn event(&self, key: Vec<u8>, change: &Change) -> Event {
        let previous = change.previous.as_ref().filter(|_| self.previous);
        let prev_kv = previous.map(|object| pair(key.clone(), object, true));
        let revision = signed(change.revision);
        let kv = if change.kind == EventKind::Deleted {
            KeyValue { key: key.into(), mod_revision: revision, ..KeyValue::default() }
        } else {
            // A client tells a new key by its two revisions being one.
            let before = change.previous.as_ref().map(|before| before.meta.resource_version);
            KeyValue {
                key: key.into(),
                create_revision: before.map_or(revision, signed),
                mod_revision: revision,
                version: 1 + i64::from(before.is_some()),
                value: stored_bytes(&change.object).into(),
                lease: 0,
            }
        };
        let kind = match change.kind {
            EventKind::Deleted => EventType::Delete,
            EventKind::Added | EventKind::Modified => EventType::Put,
        };
        Event { r#type: kind.into(), kv: Some(kv), prev_kv }
    }
}
