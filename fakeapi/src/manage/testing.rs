//! A management API for tests: objects in memory with resource versions, lists, watches that
//! resume or are told that they are too late, conflicts, and a switch that takes it all away.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

type Body = BoxBody<Bytes, Infallible>;

/// A management API.
pub(super) struct ManagementApi {
    state: Mutex<State>,
    /// The revision, and how often all connections were cut.
    changed: watch::Sender<(u64, u64)>,
    address: SocketAddr,
}

#[derive(Default)]
struct State {
    revision: u64,
    cuts: u64,
    /// Watches from before this revision are too late.
    oldest: u64,
    /// By resource and `namespace/name`.
    objects: BTreeMap<(String, String), Value>,
    log: Vec<(u64, String, &'static str, Value)>,
    served: BTreeSet<&'static str>,
    /// Listed by discovery, and not there.
    hollow: BTreeSet<&'static str>,
    down: bool,
    requests: Vec<String>,
}

impl ManagementApi {
    pub(super) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Arc::new(Self {
            state: Mutex::new(State { revision: 10, ..State::default() }),
            changed: watch::Sender::new((10, 0)),
            address: listener.local_addr().unwrap(),
        });
        let server = this.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(server.clone().connection(socket));
            }
        });
        this
    }

    pub(super) fn client(&self) -> kube::Client {
        let config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        kube::Client::try_from(config).unwrap()
    }

    async fn connection(self: Arc<Self>, socket: tokio::net::TcpStream) {
        let mut changed = self.changed.subscribe();
        let cuts = self.state.lock().cuts;
        let server = self.clone();
        let service = service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.serve(request).await) }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service);
        tokio::select! {
            _ = serving => {}
            _ = changed.wait_for(|(_, now)| *now != cuts) => {}
        }
    }

    /// Serves a kind, as `group/version/resource`.
    pub(super) fn serve_kind(&self, resource: &'static str) {
        self.state.lock().served.insert(resource);
    }

    /// Lets discovery list a kind that is not there.
    pub(super) fn list_kind(&self, resource: &'static str) {
        let mut state = self.state.lock();
        state.served.insert(resource);
        state.hollow.insert(resource);
    }

    /// Lets every request fail, or no more.
    pub(super) fn set_down(&self, down: bool) {
        self.state.lock().down = down;
        self.cut();
    }

    /// Cuts all connections.
    pub(super) fn cut(&self) {
        let mut state = self.state.lock();
        state.cuts += 1;
        let (revision, cuts) = (state.revision, state.cuts);
        drop(state);
        self.changed.send_replace((revision, cuts));
    }

    /// Forgets the history: watches must begin anew.
    pub(super) fn compact(&self) {
        let mut state = self.state.lock();
        state.oldest = state.revision + 1;
        state.revision += 1;
        state.log.clear();
    }

    pub(super) fn put(&self, resource: &str, mut object: Value) {
        let mut state = self.state.lock();
        let meta = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = format!("{}/{}", text(&meta["namespace"]), text(&meta["name"]));
        state.revision += 1;
        object["metadata"]["resourceVersion"] = state.revision.to_string().into();
        let key = (resource.to_owned(), name);
        let old = state.objects.insert(key, object.clone());
        let event = if old.is_some() { "MODIFIED" } else { "ADDED" };
        let revision = state.revision;
        state.log.push((revision, resource.to_owned(), event, object));
        let cuts = state.cuts;
        drop(state);
        self.changed.send_replace((revision, cuts));
    }

    pub(super) fn delete(&self, resource: &str, name: &str) {
        let mut state = self.state.lock();
        let Some(mut object) = state.objects.remove(&(resource.to_owned(), name.to_owned())) else {
            panic!("there is no {resource} {name}");
        };
        state.revision += 1;
        let revision = state.revision;
        object["metadata"]["resourceVersion"] = revision.to_string().into();
        state.log.push((revision, resource.to_owned(), "DELETED", object));
        let cuts = state.cuts;
        drop(state);
        self.changed.send_replace((revision, cuts));
    }

    pub(super) fn get(&self, resource: &str, name: &str) -> Option<Value> {
        self.state.lock().objects.get(&(resource.to_owned(), name.to_owned())).cloned()
    }

    /// How many requests so far had this text in method and target.
    pub(super) fn requests(&self, text: &str) -> usize {
        self.state.lock().requests.iter().filter(|request| request.contains(text)).count()
    }

    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let target = head.uri.to_string();
        {
            let mut state = self.state.lock();
            state.requests.push(format!("{} {target}", head.method));
            if state.down {
                return refused(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable");
            }
        }
        let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
        let query = head.uri.query().unwrap_or_default();
        let (group_version, rest) = match path.as_slice() {
            ["api", "v1", rest @ ..] => ("v1".to_owned(), rest),
            ["apis"] => return self.groups(),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return refused(StatusCode::NOT_FOUND, "NotFound"),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name) = match rest {
            [] => return self.resources(&group_version),
            [plural] => (*plural, None),
            [plural, name, ..] => (*plural, Some(format!("{namespace}/{name}"))),
        };
        let resource = format!("{group_version}/{plural}");
        let there = {
            let state = self.state.lock();
            let resource = resource.as_str();
            state.served.contains(resource) && !state.hollow.contains(resource)
        };
        if !there {
            return refused(StatusCode::NOT_FOUND, "NotFound");
        }
        match (&head.method, name) {
            (&Method::GET, None) if query.contains("watch=true") => self.watch(resource, query),
            (&Method::GET, None) => self.list(&resource),
            (&Method::GET, Some(name)) => match self.get(&resource, &name) {
                Some(object) => answer(&object),
                None => refused(StatusCode::NOT_FOUND, "NotFound"),
            },
            (method, name) => self.change(method, &resource, namespace, name, &body),
        }
    }

    fn change(
        &self,
        method: &Method,
        resource: &str,
        namespace: &str,
        name: Option<String>,
        body: &[u8],
    ) -> Response<Body> {
        let mut body: Value = serde_json::from_slice(body).unwrap();
        body["metadata"]["namespace"] = namespace.into();
        let named =
            format!("{namespace}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
        let name = name.unwrap_or(named);
        let there = self.get(resource, &name);
        let given = body["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let stale = |there: &Value| {
            given.is_some_and(|given| there["metadata"]["resourceVersion"] != given.as_str())
        };
        let object = match (method.as_str(), there) {
            ("POST", Some(_)) => return refused(StatusCode::CONFLICT, "AlreadyExists"),
            ("POST", None) => body,
            (_, None) => return refused(StatusCode::NOT_FOUND, "NotFound"),
            (_, Some(there)) if stale(&there) => return refused(StatusCode::CONFLICT, "Conflict"),
            ("PUT", Some(_)) => body,
            (_, Some(mut there)) => {
                merge(&mut there, body);
                there
            }
        };
        self.put(resource, object);
        answer(&self.get(resource, &name).unwrap())
    }

    fn groups(&self) -> Response<Body> {
        let state = self.state.lock();
        let mut groups = BTreeMap::<&str, BTreeSet<&str>>::new();
        for served in &state.served {
            if let [group, version, _] = served.split('/').collect::<Vec<_>>()[..] {
                groups.entry(group).or_default().insert(version);
            }
        }
        let version = |group: &str, version: &str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
        let groups: Vec<_> = groups
            .iter()
            .map(|(group, versions)| {
                let versions: Vec<_> = versions.iter().rev().map(|v| version(group, v)).collect();
                json!({"name": group, "preferredVersion": versions[0], "versions": versions})
            })
            .collect();
        answer(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
    }

    fn resources(&self, group_version: &str) -> Response<Body> {
        let kinds = BTreeMap::from([
            ("clusters", "Cluster"),
            ("machines", "Machine"),
            ("metal3clusters", "Metal3Cluster"),
            ("metal3machines", "Metal3Machine"),
            ("baremetalhosts", "BareMetalHost"),
        ]);
        let state = self.state.lock();
        let served = state.served.iter().filter_map(|served| served.rsplit_once('/'));
        let resources: Vec<_> = served
            .filter(|(of, _)| *of == group_version)
            .map(|(_, plural)| {
                json!({"name": plural, "singularName": "", "namespaced": true,
                    "kind": kinds.get(plural).unwrap_or(&plural), "verbs": ["get"]})
            })
            .collect();
        if resources.is_empty() {
            return refused(StatusCode::NOT_FOUND, "NotFound");
        }
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": group_version, "resources": resources});
        answer(&list)
    }

    fn list(&self, resource: &str) -> Response<Body> {
        let state = self.state.lock();
        let items: Vec<_> =
            state.objects.iter().filter(|((of, _), _)| of == resource).map(|(_, o)| o).collect();
        let revision = state.revision.to_string();
        answer(&json!({"kind": "List", "apiVersion": "v1",
            "metadata": {"resourceVersion": revision}, "items": items}))
    }

    fn watch(self: Arc<Self>, resource: String, query: &str) -> Response<Body> {
        let from = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let from: u64 = from.unwrap().parse().unwrap();
        if from < self.state.lock().oldest {
            let status = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1",
                "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"}});
            return lines(stream::iter([status]).boxed());
        }
        let changed = self.changed.subscribe();
        let events = stream::unfold((self, changed, from), move |(api, mut changed, seen)| {
            let resource = resource.clone();
            async move {
                loop {
                    changed.borrow_and_update();
                    let next = {
                        let state = api.state.lock();
                        let mut log = state.log.iter();
                        log.find(|(revision, of, ..)| *revision > seen && *of == resource).cloned()
                    };
                    if let Some((revision, _, event, object)) = next {
                        let event = json!({"type": event, "object": object});
                        return Some((event, (api, changed, revision)));
                    }
                    changed.changed().await.ok()?;
                }
            }
        });
        lines(events.boxed())
    }
}

fn merge(there: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !there.is_object() {
                *there = json!({});
            }
            for (key, value) in patch {
                if value.is_null() {
                    there.as_object_mut().unwrap().remove(&key);
                } else {
                    merge(&mut there[key], value);
                }
            }
        }
        other => *there = other,
    }
}

fn lines(events: stream::BoxStream<'static, Value>) -> Response<Body> {
    let frames = events.map(|event| {
        let line = Bytes::from(format!("{event}\n"));
        Ok::<_, Infallible>(Frame::data(line))
    });
    // Shared between threads as a body must be, though only one ever reads it.
    let frames = futures::stream::StreamExt::boxed(frames);
    Response::new(BodyExt::boxed(StreamBody::new(SyncStream(Mutex::new(frames)))))
}

/// A stream that may be shared, because it is locked.
struct SyncStream<S>(Mutex<S>);

impl<S: futures::Stream + Unpin> futures::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        self.0.lock().poll_next_unpin(cx)
    }
}

fn answer(object: &Value) -> Response<Body> {
    let body = Full::from(object.to_string()).boxed();
    Response::builder().header("content-type", "application/json").body(body).unwrap()
}

fn refused(code: StatusCode, reason: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": reason, "code": code.as_u16(), "message": reason});
    let mut response = answer(&status);
    *response.status_mut() = code;
    response
}
