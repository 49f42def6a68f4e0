//! What every cluster holds, as a real one made by kubeadm does.
//!
//! There are two stages: what a bare API server makes when it starts, and what kubeadm and the
//! first controllers add when the first control-plane node comes up. Providers tell "not yet
//! initialised" from "initialised" by the second one being absent.

mod aggregate;
mod images;
mod kinds;

use apiserver::storage::{Key, Scope};
use serde_json::{Value, json};

pub use images::ImageTags;
pub(super) use images::minor;
pub use kinds::{RESOURCES, Resources};

use super::nodes::NodeTemplates;
use super::template::{Template, TemplateError};

/// The Kubernetes version of a cluster that nobody gave one.
pub const DEFAULT_VERSION: &str = "v1.36.3";

const BARE: &str = include_str!("bare.yaml");
const FLOW_CONTROL: &str = include_str!("flowcontrol.yaml");
const KUBEADM: &str = include_str!("kubeadm.yaml");

/// The namespaces of every cluster.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// The controllers of kube-controller-manager that act as a service account of their own.
const CONTROLLERS: [&str; 32] = [
    "attachdetach-controller",
    "bootstrap-signer",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "service-account-controller",
    "statefulset-controller",
    "token-cleaner",
    "ttl-after-finished-controller",
    "ttl-controller",
];

/// Why the baseline cannot be built: one of the documents in the program is wrong.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// A document is not YAML.
    #[error("{document} cannot be read")]
    Yaml {
        /// Which one.
        document: &'static str,
        /// Why.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// The RBAC policy is not a JSON list of objects.
    #[error("the RBAC policy cannot be read")]
    Rbac(#[source] serde_json::Error),
    /// An object has holes that nobody fills.
    #[error("an object of the baseline is no template")]
    Template(#[from] TemplateError),
    /// An object is of a kind the baseline does not know.
    #[error("the baseline knows no resource for {0}")]
    Kind(String),
    /// Two objects have one key.
    #[error("the baseline has {0:?} twice")]
    Twice(Key),
    /// An object that others refer to is not there.
    #[error("the baseline has no {0}")]
    Missing(&'static str),
}

/// When an object comes into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// With the API server.
    Bare,
    /// With the first control-plane node.
    Activated,
}

/// One object of the baseline.
#[derive(Debug)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// Its template.
    pub template: Template,
    /// When it comes.
    pub stage: Stage,
    /// Its place among the objects of its stage.
    pub position: u32,
}

/// The default policy as it is generated.
#[derive(serde::Deserialize)]
struct Policy {
    items: Vec<Value>,
}

/// The keys of objects that others refer to, or that nodes change.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) daemonset: Key,
    pub(super) dns_service: Key,
    pub(super) deployment: Key,
    pub(super) replicaset: Key,
    pub(super) endpoints: Key,
    pub(super) slice: Key,
}

impl Keys {
    fn new(entries: &[Entry]) -> Result<Self, BaselineError> {
        let find = |resource, what| {
            let added = |entry: &&Entry| entry.stage == Stage::Activated;
            let mut added = entries.iter().filter(added).map(|entry| &entry.key);
            let found = added.find(|key| key.resource == resource);
            found.cloned().ok_or(BaselineError::Missing(what))
        };
        Ok(Self {
            daemonset: find(RESOURCES.daemonsets, "DaemonSet")?,
            dns_service: find(RESOURCES.services, "Service")?,
            deployment: find(RESOURCES.deployments, "Deployment")?,
            replicaset: find(RESOURCES.replicasets, "ReplicaSet")?,
            endpoints: find(RESOURCES.endpoints, "Endpoints")?,
            slice: find(RESOURCES.slices, "EndpointSlice")?,
        })
    }

    /// What speaks of the coredns pods, in the order in which it changes with them.
    pub(super) fn dns(&self) -> [&Key; 4] {
        [&self.deployment, &self.replicaset, &self.endpoints, &self.slice]
    }
}

/// The objects of every cluster, built once.
#[derive(Debug)]
pub struct Baseline {
    /// In order of their keys.
    entries: Vec<Entry>,
    /// How many objects are of stage [`Stage::Bare`].
    bare: u32,
    /// Where in `entries` the objects of stage [`Stage::Activated`] are, in order of position.
    activated: Vec<u32>,
    pub(super) nodes: NodeTemplates,
    pub(super) keys: Keys,
}

impl Baseline {
    /// Builds the baseline; `rbac` is the release's default policy, a `List` in JSON.
    ///
    /// # Errors
    /// When a document is not what it should be; tests make sure that none is.
    pub fn new(rbac: &[u8]) -> Result<Self, BaselineError> {
        let mut bare = documents("bare.yaml", BARE)?;
        bare.extend(documents("flowcontrol.yaml", FLOW_CONTROL)?);
        let mut policy: Policy = serde_json::from_slice(rbac).map_err(BaselineError::Rbac)?;
        aggregate::aggregate(&mut policy.items);
        bare.append(&mut policy.items);
        let mut activated = controllers();
        activated.extend(with_copies(documents("kubeadm.yaml", KUBEADM)?)?);
        let mut entries = Vec::with_capacity(bare.len() + activated.len());
        let bare = stage(Stage::Bare, bare, &mut entries)?;
        stage(Stage::Activated, activated, &mut entries)?;
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(BaselineError::Twice(pair[0].key.clone()));
        }
        let mut order: Vec<(u32, u32)> = (0..)
            .zip(&entries)
            .filter(|(_, entry)| entry.stage == Stage::Activated)
            .map(|(at, entry)| (entry.position, at))
            .collect();
        order.sort_unstable();
        Ok(Self {
            keys: Keys::new(&entries)?,
            nodes: NodeTemplates::new()?,
            entries,
            bare,
            activated: order.into_iter().map(|(_, at)| at).collect(),
        })
    }

    /// The revision of a cluster that holds no more than the bare stage.
    pub fn bare_revision(&self) -> u64 {
        u64::from(self.bare)
    }

    /// The object under `key`, at whatever stage.
    pub fn find(&self, key: &Key) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.key.cmp(key));
        at.ok().map(|at| &self.entries[at])
    }

    /// The objects that activation brings, in the order in which they come.
    pub fn activation(&self) -> impl Iterator<Item = &Entry> {
        self.activated.iter().map(|at| &self.entries[*at as usize])
    }

    /// The objects in `scope` after (namespace, name), in order, at whatever stage.
    pub fn range<'a>(
        &'a self,
        scope: Scope<'a>,
        after: Option<(&str, &str)>,
    ) -> impl Iterator<Item = &'a Entry> {
        let first = (scope.namespace.unwrap_or_default(), "");
        let after = after.filter(|after| *after >= first);
        let start = self.entries.partition_point(|entry| {
            let place = (entry.key.resource, entry.key.position());
            after.map_or(place < (scope.resource, first), |after| place <= (scope.resource, after))
        });
        self.entries[start..].iter().take_while(move |entry| scope.covers(&entry.key))
    }
}

/// The objects of a YAML stream.
pub(super) fn documents(document: &'static str, text: &str) -> Result<Vec<Value>, BaselineError> {
    serde_saphyr::from_multiple(text)
        .map_err(|source| BaselineError::Yaml { document, source: Box::new(source) })
}

/// Fills in the pod templates that controllers copy from one object into another.
fn with_copies(mut objects: Vec<Value>) -> Result<Vec<Value>, BaselineError> {
    for (from, template, to, place) in [
        ("Deployment", "/spec/template/spec", "ReplicaSet", "/spec/template"),
        ("DaemonSet", "/spec/template", "ControllerRevision", "/data/spec"),
    ] {
        let kind = |kind| move |object: &&Value| object["kind"] == kind;
        let source = objects.iter().find(kind(from));
        let copy = source
            .and_then(|object| object.pointer(template))
            .cloned()
            .ok_or(BaselineError::Missing(from))?;
        let name = template.rsplit('/').next().unwrap_or_default();
        let target = objects.iter_mut().find(|object| object["kind"] == to);
        let target = target.and_then(|object| object.pointer_mut(place));
        target.ok_or(BaselineError::Missing(to))?[name] = copy;
    }
    Ok(objects)
}

/// What controllers make in every namespace, and for themselves.
fn controllers() -> Vec<Value> {
    let account = |namespace: &str, name: &str| {
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        })
    };
    let root_ca = |namespace: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "kube-root-ca.crt", "namespace": namespace,
                "annotations": {"kubernetes.io/description":
                    "Contains a CA bundle that can be used to verify the kube-apiserver \
                     when using internal endpoints such as the internal service IP or \
                     kubernetes.default.svc. No other usage is guaranteed across \
                     distributions of Kubernetes clusters."},
            },
            "data": {"ca.crt": "«ca-pem»"},
        })
    };
    NAMESPACES
        .iter()
        .flat_map(|namespace| [account(namespace, "default"), root_ca(namespace)])
        .chain(CONTROLLERS.map(|name| account("kube-system", name)))
        .collect()
}

/// Adds the objects of one stage, and tells how many there are.
fn stage(
    stage: Stage,
    objects: Vec<Value>,
    entries: &mut Vec<Entry>,
) -> Result<u32, BaselineError> {
    let mut count = 0;
    for object in objects {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        let resource = kinds::resource(version, kind)
            .ok_or_else(|| BaselineError::Kind(format!("{version} {kind}")))?;
        let key = Key::new(resource, text("/metadata/namespace"), text("/metadata/name"));
        let template = Template::new(object)?;
        entries.push(Entry { key, template, stage, position: count });
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rbac() -> Value {
        json!([{
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "cluster-admin", "creationTimestamp": null},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        }])
    }

    #[test]
    fn every_document_is_a_template() {
        let baseline = Baseline::new(&json_list(&rbac())).unwrap();
        assert_eq!(baseline.bare_revision(), 12 + 19 + 1);
        let key = Key::new(
            kinds::resource("rbac.authorization.k8s.io/v1", "ClusterRole").unwrap(),
            "",
            "cluster-admin",
        );
        assert_eq!(baseline.find(&key).unwrap().stage, Stage::Bare);
        let positions: Vec<u32> = baseline.activation().map(|entry| entry.position).collect();
        assert_eq!(positions, (0..u32::try_from(positions.len()).unwrap()).collect::<Vec<_>>());
        assert!(positions.len() > 40);
    }

    fn json_list(items: &Value) -> Vec<u8> {
        json!({"kind": "List", "items": items}).to_string().into_bytes()
    }

    #[test]
    fn the_generated_policy_is_in_the_baseline() {
        let baseline = Baseline::new(apiserver::generated::rbac()).unwrap();
        assert!(baseline.bare_revision() > 100);
    }

    #[test]
    fn a_policy_that_repeats_or_is_unknown_is_refused() {
        let build = |value: Value| Baseline::new(&json_list(&value));
        let twice = json!([rbac()[0], rbac()[0]]);
        assert!(matches!(build(twice), Err(BaselineError::Twice(_))));
        let unknown = json!([{"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "x"}}]);
        assert!(matches!(build(unknown), Err(BaselineError::Kind(_))));
        assert!(matches!(Baseline::new(b"{"), Err(BaselineError::Rbac(_))));
    }

    #[test]
    fn a_range_begins_after_the_given_position_and_ends_with_its_scope() {
        let baseline = Baseline::new(&json_list(&Value::Array(Vec::new()))).unwrap();
        let resource = RESOURCES.configmaps;
        let names = |namespace, after| -> Vec<String> {
            let scope = Scope { resource, namespace };
            let names = baseline.range(scope, after);
            names.map(|e| format!("{}/{}", e.key.namespace, e.key.name)).collect()
        };
        let all = names(None, None);
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(all, sorted);
        assert_eq!(
            names(Some("kube-public"), None),
            ["kube-public/cluster-info", "kube-public/kube-root-ca.crt"]
        );
        assert_eq!(
            names(Some("kube-public"), Some(("kube-public", "cluster-info"))),
            ["kube-public/kube-root-ca.crt"]
        );
        assert_eq!(
            names(None, Some(("kube-public", "cluster-info")))[0],
            "kube-public/kube-root-ca.crt"
        );
        assert!(names(Some("nowhere"), None).is_empty());
    }
}
