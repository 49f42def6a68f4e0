//! The test's own infrastructure provider: machines that are nodes of the program's clusters.
//!
//! It keeps Cluster API's contract v1beta2 and nothing more: a `TestCluster` gets the address that
//! the program gives, a `TestMachine` becomes a node once its bootstrap data is there, and either
//! goes through a finalizer. It looks at everything every second, so whatever fails, such as a
//! program that has just been killed, is tried again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::paths::{CORE, INFRASTRUCTURE, text};
use crate::e2e::http::Connection;
use crate::e2e::management::Api;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);

/// What its objects wait for before they go.
const FINALIZER: &str = "infrastructure.cluster.x-k8s.io/test";

/// The label of a Machine that is a control plane.
const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";

/// A provider that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Provider {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    trouble: Arc<Mutex<HashMap<String, String>>>,
}

impl Provider {
    /// Starts it for one namespace and the program whose control port that is.
    pub(super) fn start(api: Api, control: SocketAddr, namespace: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let trouble = Arc::new(Mutex::new(HashMap::new()));
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&trouble));
        let mut work = Work { api, control, namespace: namespace.to_owned() };
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let now = work.look();
                *told.lock().unwrap_or_else(PoisonError::into_inner) = now;
                std::thread::sleep(PERIOD);
            }
        });
        Self { stop, thread: Some(thread), trouble }
    }

    /// What it could not do when it last looked.
    pub(super) fn trouble(&self) -> Vec<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.iter().map(|(name, error)| format!("{name}: {error}")).collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has told its panic already.
            let _ = thread.join();
        }
    }
}

struct Work {
    api: Api,
    control: SocketAddr,
    namespace: String,
}

/// Objects by name.
type ByName = HashMap<String, Value>;

impl Work {
    /// Brings every object one step on; what failed, by object.
    fn look(&mut self) -> HashMap<String, String> {
        let mut failed = HashMap::new();
        let mut tell = |name: String, outcome: Result<()>| {
            if let Err(error) = outcome {
                failed.insert(name, format!("{error:#}"));
            }
        };
        match self.lists() {
            Ok((clusters, machines, owners)) => {
                for cluster in &clusters {
                    tell(name(cluster), self.cluster(cluster));
                }
                for machine in &machines {
                    let owner = owner(machine, "Machine").and_then(|name| owners.get(&name));
                    tell(name(machine), self.machine(machine, owner));
                }
            }
            Err(error) => tell("lists".to_owned(), Err(error)),
        }
        failed
    }

    fn lists(&mut self) -> Result<(Vec<Value>, Vec<Value>, ByName)> {
        // What the server has at hand is enough: a step that comes too late is a conflict or done.
        let mut list = |group, kind| {
            let namespace = &self.namespace;
            self.api.list(&format!("{group}/namespaces/{namespace}/{kind}?resourceVersion=0"))
        };
        let clusters = list(INFRASTRUCTURE, "testclusters")?;
        let machines = list(INFRASTRUCTURE, "testmachines")?;
        let owners = list(CORE, "machines")?;
        Ok((clusters, machines, owners.into_iter().map(|owner| (name(&owner), owner)).collect()))
    }

    fn cluster(&mut self, cluster: &Value) -> Result<()> {
        let path = self.path("testclusters", cluster);
        let body = json!({"namespace": self.namespace, "cluster": name(cluster)});
        if deleted(cluster) {
            if held(cluster) {
                self.ask("DELETE", "/register", &body)?;
                self.release(&path)?;
            }
            return Ok(());
        }
        if owner(cluster, "Cluster").is_none() || provisioned(cluster) {
            return Ok(());
        }
        let given: Value = serde_json::from_str(&self.ask("POST", "/register", &body)?)?;
        self.api.patch(
            &path,
            &json!({
                "metadata": {"finalizers": [FINALIZER]},
                "spec": {"controlPlaneEndpoint": {"host": given["Host"], "port": given["Port"]}},
            }),
        )?;
        self.provisioned(&path)
    }

    fn machine(&mut self, machine: &Value, owner: Option<&Value>) -> Result<()> {
        let path = self.path("testmachines", machine);
        let namespace = self.namespace.clone();
        let cluster = machine["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"].clone();
        let name = name(machine);
        if deleted(machine) {
            if held(machine) {
                let body = json!({"namespace": namespace, "cluster": cluster, "nodeName": name});
                self.ask("DELETE", "/updateNode", &body)?;
                self.release(&path)?;
            }
            return Ok(());
        }
        let Some(owner) = owner else { return Ok(()) };
        if provisioned(machine) || owner.pointer("/spec/bootstrap/dataSecretName").is_none() {
            return Ok(());
        }
        let mut labels = json!({});
        if !owner["metadata"]["labels"][CONTROL_PLANE].is_null() {
            labels[CONTROL_PLANE] = json!("");
        }
        let provider_id = format!("test:///{namespace}/{name}");
        // The finalizer first: a node that is there must not outlive its machine.
        self.api.patch(
            &path,
            &json!({
                "metadata": {"finalizers": [FINALIZER]},
                "spec": {"providerID": provider_id},
            }),
        )?;
        let node = json!({
            "namespace": namespace,
            "cluster": cluster,
            "nodeName": name,
            "providerID": provider_id,
            "labels": labels,
            "k8sversion": owner["spec"]["version"],
        });
        self.ask("PUT", "/updateNode", &node)?;
        self.provisioned(&path)
    }

    fn path(&self, kind: &str, value: &Value) -> String {
        format!("{INFRASTRUCTURE}/namespaces/{}/{kind}/{}", self.namespace, name(value))
    }

    fn provisioned(&mut self, path: &str) -> Result<()> {
        let status = json!({"status": {"initialization": {"provisioned": true}}});
        self.api.patch(&format!("{path}/status"), &status).map(drop)
    }

    fn release(&mut self, path: &str) -> Result<()> {
        self.api.patch(path, &json!({"metadata": {"finalizers": null}})).map(drop)
    }

    /// Asks the program's control port, over a connection of its own: the program may have been
    /// killed since the last.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<String> {
        let mut connection = Connection::open(self.control).context("the control port")?;
        let answer = connection.send(method, path, "application/json", &body.to_string())?;
        // What is to go may have gone already.
        let gone = method == "DELETE" && answer.status == 404;
        let told = answer.body.trim();
        ensure!(answer.succeeded() || gone, "{method} {path}: {}: {told}", answer.status);
        Ok(answer.body)
    }
}

fn name(value: &Value) -> String {
    text(value, "/metadata/name")
}

fn deleted(value: &Value) -> bool {
    !value["metadata"]["deletionTimestamp"].is_null()
}

fn held(value: &Value) -> bool {
    let finalizers = value["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|all| all.iter().any(|one| one == FINALIZER))
}

fn provisioned(value: &Value) -> bool {
    value.pointer("/status/initialization/provisioned") == Some(&Value::Bool(true))
}

/// The name of the owner of this kind.
fn owner(value: &Value, kind: &str) -> Option<String> {
    let owners = value["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["kind"] == kind)?;
    owner["name"].as_str().map(str::to_owned)
}
