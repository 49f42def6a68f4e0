//! Watch: what is there, if that is wanted, and then what changes.
//!
//! A watch has no queue. It reads the store's history from where it stands, whenever it is
//! woken and its client takes what it got before. Whoever falls behind the history's bound is
//! told 410 and ends; nobody waits for anybody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream;
use http::{Response, StatusCode};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::options::ListOptions;
use crate::body::Body;
use crate::catalog::Resource;
use crate::conversion;
use crate::negotiate::{Encoding, Form, Shape};
use crate::protobuf;
use crate::render;
use crate::server::Asked;
use crate::status::Status;
use crate::storage::{Compacted, Event, EventKind, Object, Page, PageRequest, Scope, Storage};
use crate::table;

/// How many changes one wake-up sends at the most before the client must take them.
const BATCH: usize = 256;
/// How often a quiet watch is told where it stands.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
/// How long a watch lasts whose client does not say: the real server's least.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(30);
/// The longest a client may ask for.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);

/// The annotation of the bookmark that ends the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub(super) fn watch(asked: &Asked<'_>) -> Result<Response<Body>, Status> {
    let mut options = ListOptions::read(asked, true)?;
    if !asked.request.name.is_empty() {
        options = only(asked, options)?;
    }
    let storage = asked.call.storage.clone();
    let current = storage.revision();
    let wanted = options.revision.unwrap_or_default();
    let (objects, after) = beginning(asked, &options, wanted)?;
    let timeout = options
        .timeout_seconds
        .filter(|seconds| *seconds > 0)
        .map_or(DEFAULT_TIMEOUT, Duration::from_secs)
        .min(MAX_TIMEOUT);
    let now = Instant::now();
    let mut watcher = Watcher {
        changed: storage.watch(asked.resource.id),
        storage,
        resource: asked.resource.clone(),
        namespace: (asked.resource.namespaced && !asked.request.namespace.is_empty())
            .then(|| asked.request.namespace.as_str().into()),
        form: asked.form,
        after,
        ready: VecDeque::new(),
        sent_columns: false,
        ends: now + timeout,
        bookmark_at: now + BOOKMARK_EVERY,
        closing: (asked.call.closing)(),
        options,
        done: false,
    };
    if wanted > current {
        // The real server lets such a watch wait for a future that may never come, unless the
        // beginning was asked for too. Told at once, a client lists anew.
        watcher.fail(&Status::revision_too_large(wanted, current));
    } else {
        watcher.begin(&objects)?;
    }
    let body = Body::stream(stream::unfold(watcher, |mut watcher| async move {
        watcher.next().await.map(|bytes| (bytes, watcher))
    }));
    Ok(respond(asked.form, body))
}

/// `/watch/` paths with a name follow that one object.
fn only(asked: &Asked<'_>, mut options: ListOptions) -> Result<ListOptions, Status> {
    let name = format!("metadata.name={}", asked.request.name);
    options.fields = crate::selector::FieldSelector::parse(&name)
        .map_err(|error| Status::bad_request(error.to_string()))?;
    Ok(options)
}

/// The objects to begin with, and the revision after which changes are followed.
fn beginning(
    asked: &Asked<'_>,
    options: &ListOptions,
    wanted: u64,
) -> Result<(Vec<Arc<Object>>, u64), Status> {
    let from_state = options.initial_events.unwrap_or(wanted == 0);
    if !from_state {
        let after = if wanted == 0 { asked.call.storage.revision() } else { wanted };
        return Ok((Vec::new(), after));
    }
    let namespace = (asked.resource.namespaced && !asked.request.namespace.is_empty())
        .then_some(&*asked.request.namespace);
    let scope = Scope { resource: asked.resource.id, namespace };
    let page = PageRequest { scope, after: None, limit: usize::MAX, at: None };
    let Page { objects, revision, .. } =
        asked.call.storage.list(&page).map_err(Status::internal)?;
    let objects = objects.into_iter().filter(|object| options.wants(object)).collect();
    Ok((objects, revision))
}

fn respond(form: Form, body: Body) -> Response<Body> {
    let mut response = render::respond(form, StatusCode::OK, body);
    if form.encoding == Encoding::Protobuf {
        let stream = "application/vnd.kubernetes.protobuf;stream=watch";
        let value = http::HeaderValue::from_static(stream);
        response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    }
    response
}

/// One watch, between two reads of its client.
struct Watcher {
    storage: Arc<dyn Storage>,
    changed: Arc<Notify>,
    resource: Arc<Resource>,
    namespace: Option<Box<str>>,
    options: ListOptions,
    form: Form,
    /// All changes up to this revision are sent or waiting in `ready`.
    after: u64,
    ready: VecDeque<Bytes>,
    sent_columns: bool,
    ends: Instant,
    bookmark_at: Instant,
    closing: BoxFuture<'static, ()>,
    done: bool,
}

impl Watcher {
    fn begin(&mut self, objects: &[Arc<Object>]) -> Result<(), Status> {
        for object in objects {
            let frame = self.frame("ADDED", object)?;
            self.ready.push_back(frame);
        }
        if self.options.initial_events == Some(true) && self.options.bookmarks {
            let frame = self.bookmark(true)?;
            self.ready.push_back(frame);
        }
        Ok(())
    }

    /// The next bytes for the client; `None` ends the watch.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.take_ready() {
                return Some(bytes);
            }
            if self.done {
                return None;
            }
            let changed = self.changed.clone();
            let changed = changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let read = self.storage.changes(self.resource.id, self.after, BATCH);
            match read {
                Ok((events, upto)) if !events.is_empty() => {
                    self.after = upto;
                    self.take(events);
                    continue;
                }
                Ok((_, upto)) => self.after = upto,
                Err(compacted) => self.fail(&too_old(compacted)),
            }
            if self.done {
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(self.ends) => self.done = true,
                () = &mut self.closing => self.done = true,
                () = sleep_until(self.bookmark_at), if self.options.bookmarks => self.mark(),
            }
        }
    }

    /// Joins what is ready into one piece: small frames are not worth a packet each.
    fn take_ready(&mut self) -> Option<Bytes> {
        const PIECE: usize = 64 * 1024;
        let first = self.ready.pop_front()?;
        if self.ready.is_empty() {
            return Some(first);
        }
        let mut piece = Vec::with_capacity(PIECE.max(first.len()));
        piece.extend_from_slice(&first);
        while let Some(next) = self.ready.front() {
            if piece.len() + next.len() > PIECE {
                break;
            }
            piece.extend_from_slice(next);
            self.ready.pop_front();
        }
        Some(piece.into())
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            let Some(kind) = self.seen_as(&event) else {
                continue;
            };
            let object = match (&event.previous, kind, event.kind) {
                (Some(previous), "DELETED", EventKind::Modified) => left(previous, event.revision),
                _ => event.object.clone(),
            };
            let frame = self.frame(kind, &object);
            match frame {
                Ok(frame) => self.ready.push_back(frame),
                Err(status) => return self.fail(&status),
            }
        }
        self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
    }

    /// What a change is to this watch's selection.
    fn seen_as(&self, event: &Event) -> Option<&'static str> {
        if self.namespace.as_deref().is_some_and(|namespace| *namespace != *event.key.namespace) {
            return None;
        }
        let now = event.kind != EventKind::Deleted && self.options.wants(&event.object);
        let before = match (&event.previous, event.kind) {
            (_, EventKind::Added) => false,
            (Some(previous), _) => self.options.wants(previous),
            (None, _) => self.options.wants(&event.object),
        };
        match (before, now) {
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
            (false, false) => None,
        }
    }

    fn mark(&mut self) {
        self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
        match self.bookmark(false) {
            Ok(frame) => self.ready.push_back(frame),
            Err(status) => self.fail(&status),
        }
    }

    fn bookmark(&mut self, initial: bool) -> Result<Bytes, Status> {
        let resource = &self.resource;
        let mut object = json!({
            "kind": resource.kind,
            "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": self.after.to_string()},
        });
        if initial {
            object["metadata"]["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        if let Some(root) =
            crate::types::table().root(&resource.group, &resource.version, &resource.kind)
        {
            crate::types::normalize(&mut object, root);
        }
        let object = Object::encode(&object);
        self.frame("BOOKMARK", &Arc::new(object))
    }

    fn fail(&mut self, status: &Status) {
        self.done = true;
        let status = Arc::new(Object::encode(&status.json()));
        let form = self.form.whole();
        match frame(form, "ERROR", status.json()) {
            Ok(frame) => self.ready.push_back(frame),
            Err(status) => tracing::error!(%status, "a watch ended without a word"),
        }
    }

    /// One event in the watch's form.
    fn frame(&mut self, kind: &'static str, object: &Arc<Object>) -> Result<Bytes, Status> {
        let object = if kind == "BOOKMARK" {
            object.clone()
        } else {
            conversion::served(object, &self.resource)
        };
        let shaped = match self.form.shape {
            Shape::Whole => object.json().clone(),
            Shape::PartialMetadata(version) => render::partial(version, &object),
            Shape::Table(version, include) => {
                let include =
                    if kind == "BOOKMARK" { include.for_initial_events_end() } else { include };
                let printer = table::printer(&self.resource.group, &self.resource.plural);
                let columns = printer.event_columns(!self.sent_columns);
                self.sent_columns = true;
                let mut out = Vec::new();
                render::event_table(&mut out, (version, include), columns, &self.resource, &object);
                out.into()
            }
        };
        frame(self.form, kind, &shaped)
    }
}

/// An object that left a selection is told as it was while it was in it, at the revision at
/// which it left.
fn left(previous: &Object, revision: u64) -> Arc<Object> {
    let mut value = previous.value();
    value["metadata"]["resourceVersion"] = revision.to_string().into();
    Arc::new(Object::encode(&value))
}

fn too_old(compacted: Compacted) -> Status {
    Status::expired(format!(
        "too old resource version: {} ({})",
        compacted.wanted, compacted.oldest
    ))
}

/// The bytes of one event: a line of JSON, or a length and an envelope.
fn frame(form: Form, kind: &str, object: &[u8]) -> Result<Bytes, Status> {
    match form.encoding {
        Encoding::Json | Encoding::Yaml => {
            let mut out = Vec::with_capacity(object.len() + 40);
            out.extend_from_slice(b"{\"type\":\"");
            out.extend_from_slice(kind.as_bytes());
            out.extend_from_slice(b"\",\"object\":");
            out.extend_from_slice(object.trim_ascii_end());
            out.extend_from_slice(b"}\n");
            Ok(out.into())
        }
        Encoding::Protobuf => {
            let value: serde_json::Value =
                serde_json::from_slice(object).map_err(Status::internal)?;
            let text = |key: &str| value[key].as_str().unwrap_or_default();
            protobuf::encode(&value, text("apiVersion"), text("kind"))
                .and_then(|document| protobuf::watch_frame(kind, &document))
                .map(Bytes::from)
                .map_err(Status::internal)
        }
    }
}
