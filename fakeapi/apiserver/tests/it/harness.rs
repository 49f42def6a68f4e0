//! A server of its own for each test, and the few calls that tests make.

use std::sync::{Arc, LazyLock};

use apiserver::auth::{SYSTEM_MASTERS, User};
use apiserver::body::Body;
use apiserver::kubelet::{Kubelet, PodConnection, PortRefused};
use apiserver::storage::{Entry, Expect, Key, MemoryStore, Object, ResourceId, Storage};
use apiserver::{ApiServer, Call};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::sync::watch;

static API: LazyLock<ApiServer> = LazyLock::new(|| ApiServer::new().expect("generated documents"));

pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// One API server with the namespaces `default` and `kube-system`.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) store: Arc<MemoryStore>,
    call: Call,
    stop: Arc<watch::Sender<bool>>,
}

/// Nothing stands behind the pods of most tests.
struct NoPods;

impl Kubelet for NoPods {
    fn connect(&self, _: &str, _: &str, _: u16) -> Result<PodConnection, PortRefused> {
        Err(PortRefused)
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The value at a JSON pointer, null for nothing.
    #[track_caller]
    pub(crate) fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn message(&self) -> String {
        self.at("/message").as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.headers.get_all("warning").iter().map(|w| w.to_str().unwrap().to_owned()).collect()
    }

    /// Fails with the body unless the code is this.
    #[track_caller]
    pub(crate) fn is(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Fails unless it is a `Status` with this code, reason and message.
    #[track_caller]
    pub(crate) fn refuses(self, code: u16, reason: &str, message: &str) -> Self {
        let status = self.json();
        let found = (
            self.code,
            status["reason"].as_str().unwrap_or_default(),
            status["message"].as_str().unwrap_or_default(),
        );
        assert_eq!(found, (code, reason, message));
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["status"], "Failure");
        assert_eq!(status["code"], code);
        self
    }

    /// The names of a list's items.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        let list = self.json();
        let items = list["items"].as_array().expect("a list").iter();
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Server {
    pub(crate) fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        for name in ["default", "kube-system"] {
            put(&*store, &Key::new(ResourceId::of("", "namespaces"), "", name), |revision| {
                json!({
                    "kind": "Namespace", "apiVersion": "v1",
                    "metadata": {
                        "name": name, "uid": format!("uid-of-{name}"),
                        "resourceVersion": revision.to_string(),
                        "labels": {"kubernetes.io/metadata.name": name},
                    },
                    "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
                })
            });
        }
        let (stop, stopped) = watch::channel(false);
        let closing = move || {
            let mut stopped = stopped.clone();
            async move { drop(stopped.wait_for(|stop| *stop).await) }.boxed()
        };
        let call = Call {
            storage: store.clone(),
            user: Some(User::authenticated("admin", [SYSTEM_MASTERS.to_owned()])),
            address: "10.0.0.1:6443".into(),
            version: "v1.36.3".into(),
            closing: Arc::new(closing),
            kubelet: Arc::new(NoPods),
        };
        Self { store, call, stop: Arc::new(stop) }
    }

    /// The same server, asked by someone else.
    pub(crate) fn as_user(&self, user: Option<User>) -> Self {
        let mut other = self.clone();
        other.call.user = user;
        other
    }

    /// The same server, with something behind its pods.
    pub(crate) fn with_kubelet(&self, kubelet: impl Kubelet + 'static) -> Self {
        let mut other = self.clone();
        other.call.kubelet = Arc::new(kubelet);
        other
    }

    /// Answers a request as a transport hands it over.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Display>,
    {
        API.handle(&self.call, request).await
    }

    /// The server is going down.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Body> {
        API.handle(&self.call, request).await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let response = self.send(request(method, path, headers, body)).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("bodies do not fail").to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn get_as(&self, accept: &str, path: &str) -> Answer {
        self.ask("GET", path, &[("accept", accept)], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.ask("POST", path, &headers, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.ask("PUT", path, &headers, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        self.ask("PATCH", path, &[("content-type", kind)], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], "").await
    }

    pub(crate) async fn delete_with(&self, path: &str, options: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.ask("DELETE", path, &headers, options.to_string()).await
    }

    /// Creates a ConfigMap in `default` and answers with it.
    pub(crate) async fn config_map(&self, name: &str) -> Value {
        self.post(CONFIG_MAPS, &config_map(name)).await.is(201).json()
    }

    pub(crate) async fn watch(&self, path: &str) -> Watch {
        self.watch_as("application/json", path).await
    }

    pub(crate) async fn watch_as(&self, accept: &str, path: &str) -> Watch {
        let response = self.send(request("GET", path, &[("accept", accept)], "")).await;
        assert_eq!(response.status(), 200, "{path}");
        Watch { body: response.into_body(), rest: Vec::new() }
    }
}

pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub(crate) const SECRETS: &str = "/api/v1/namespaces/default/secrets";

fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).expect("a request")
}

/// Puts an object into a store without the server.
pub(crate) fn put(store: &impl Storage, key: &Key, object: impl Fn(u64) -> Value) {
    let mut encode = |revision: u64| Object::encode(&object(revision));
    store.commit(key, Expect::Absent, Entry::Put(&mut encode)).expect("the key is free");
}

pub(crate) fn config_map(name: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"a": "1"}})
}

pub(crate) fn pod(name: &str) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]},
    })
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
        },
    })
}

/// An open watch.
pub(crate) struct Watch {
    body: Body,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event; `None` when the watch has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("an event is a line of JSON"));
            }
            let frame = self.body.frame().await?.expect("bodies do not fail");
            self.rest.extend_from_slice(&frame.into_data().expect("data"));
        }
    }

    /// The type, name and resourceVersion of the next event.
    pub(crate) async fn seen(&mut self) -> (String, String, u64) {
        let event = self.next().await.expect("the watch goes on");
        let text = |pointer: &str| {
            event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let revision = text("/object/metadata/resourceVersion").parse().unwrap_or(0);
        (text("/type"), text("/object/metadata/name"), revision)
    }

    /// Whether nothing is there to be read now.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.rest.is_empty() && self.body.frame().now_or_never().is_none()
    }
}

/// The resourceVersion of an object or list.
#[track_caller]
pub(crate) fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().expect("a revision").parse().expect("a number")
}
