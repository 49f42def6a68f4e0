//! The pods that are being stopped, and when each of them is.
//!
//! One queue for the process, and one thread that exists while the queue holds anything: a cluster
//! without terminating pods costs nothing. The end of a pod is what a kubelet sends when the last
//! container has stopped, a deletion without grace through the API; so whatever follows from it
//! happens as for any other client.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use apiserver::auth::{SYSTEM_MASTERS, User};
use apiserver::storage::Key;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use parking_lot::{Condvar, Mutex};
use serde_json::json;

use super::super::cluster::Cluster;
use super::super::kubelet::Pods;

/// The most pods that may be stopping in one process; others are stopped when their cluster is
/// next started, or when a client deletes them again.
const MAX_ENDINGS: usize = 1 << 20;

/// A pod to be stopped.
pub(super) struct Ending {
    cluster: Weak<Cluster>,
    namespace: Box<str>,
    pod: Box<str>,
    uid: Box<str>,
}

impl Ending {
    pub(super) fn new(cluster: &Arc<Cluster>, key: &Key, uid: &str) -> Self {
        Self {
            cluster: Arc::downgrade(cluster),
            namespace: key.namespace.clone(),
            pod: key.name.clone(),
            uid: uid.into(),
        }
    }
}

/// When, and which of those at that moment.
type Due = (Instant, u64);

#[derive(Default)]
struct Queue {
    due: BTreeMap<Due, Ending>,
    /// Cluster and uid of each, so that none is in the queue twice.
    known: HashSet<(usize, Box<str>), foldhash::fast::RandomState>,
    next: u64,
    /// Whether the thread runs.
    runs: bool,
}

/// The pods of all clusters that are being stopped.
#[derive(Default)]
pub(in super::super) struct Endings {
    queue: Mutex<Queue>,
    earlier: Condvar,
}

impl Endings {
    /// Stops a pod after a while. One that is in the queue keeps its time, unless it is due now.
    pub(super) fn add(self: &Arc<Self>, ending: Ending, after: Duration) {
        let mut queue = self.queue.lock();
        let new = queue.known.insert(identity(&ending));
        if !new && after > Duration::ZERO {
            return;
        }
        if queue.due.len() >= MAX_ENDINGS {
            queue.known.remove(&identity(&ending));
            tracing::warn!(pod = %ending.pod, "too many pods are stopping: this one stays");
            return;
        }
        let due = (Instant::now() + after, queue.next);
        queue.next += 1;
        queue.due.insert(due, ending);
        if queue.runs {
            self.earlier.notify_one();
            return;
        }
        let this = self.clone();
        let thread = std::thread::Builder::new().name("kubelets".into());
        match thread.spawn(move || this.run()) {
            Ok(_ends_by_itself) => queue.runs = true,
            Err(error) => tracing::error!(%error, "no thread: terminating pods stay"),
        }
    }

    /// Stops pods until none is left.
    fn run(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "no runtime: terminating pods stay");
                self.queue.lock().runs = false;
                return;
            }
        };
        while let Some(ending) = self.take() {
            runtime.block_on(ending.make());
        }
    }

    /// Waits for the next pod that is due; `None` when there is none, and the thread ends.
    fn take(&self) -> Option<Ending> {
        let mut queue = self.queue.lock();
        loop {
            let Some((due, _)) = queue.due.first_key_value() else {
                queue.runs = false;
                // What a wave of deletions took is given back.
                *queue = Queue { next: queue.next, ..Queue::default() };
                return None;
            };
            let at = due.0;
            if at > Instant::now() {
                let _ = self.earlier.wait_until(&mut queue, at);
                continue;
            }
            let (_, ending) = queue.due.pop_first()?;
            queue.known.remove(&identity(&ending));
            return Some(ending);
        }
    }
}

fn identity(ending: &Ending) -> (usize, Box<str>) {
    (ending.cluster.as_ptr() as usize, ending.uid.clone())
}

impl Ending {
    /// Deletes the pod, unless it is another one by now or its kubelet has fallen silent.
    async fn make(self) {
        let Some(cluster) = self.cluster.upgrade().filter(|c| !c.gone.is_cancelled()) else {
            return;
        };
        if cluster.holds(&self.namespace, &self.pod) {
            return;
        }
        let path = format!("/api/v1/namespaces/{}/pods/{}", self.namespace, self.pod);
        let options = json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
            "preconditions": {"uid": self.uid},
        });
        let request = Request::builder()
            .method(Method::DELETE)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(options.to_string())));
        let Ok(request) = request else { return };
        let user = User::authenticated("system:kubelets".to_owned(), [SYSTEM_MASTERS.to_owned()]);
        // It came through no server, and reaches for no pod.
        let kubelet = Arc::new(Pods { cluster: cluster.clone(), within: None });
        let call = cluster.call(Some(user), Arc::new(|| Box::pin(std::future::pending())), kubelet);
        let answer = cluster.shared.api.handle(&call, request).await;
        // It is gone already, or it is another pod of this name.
        let moot = [StatusCode::NOT_FOUND, StatusCode::CONFLICT].contains(&answer.status());
        if !answer.status().is_success() && !moot {
            let (cluster, pod, status) = (cluster.name(), &self.pod, answer.status());
            tracing::error!(%cluster, %pod, %status, "a pod could not be ended");
        }
    }
}

impl Cluster {
    /// Whether a pod cannot be stopped, because nothing is heard of its kubelet.
    fn holds(&self, namespace: &str, pod: &str) -> bool {
        use apiserver::storage::Storage;
        let key = Key::new(crate::cluster::baseline::RESOURCES.pods, namespace, pod);
        self.store.get(&key).is_some_and(|pod| {
            pod.value()["spec"]["nodeName"].as_str().is_some_and(|node| self.is_silent(node))
        })
    }
}
