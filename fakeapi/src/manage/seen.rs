//! What is kept of each object: a few fields, so that thirty thousand machines fit in memory.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::endpoint::Destinations;
use super::kinds::{
    BareMetalHost, Cluster, EndpointField, Labels, Machine, Metal3Machine, Reference,
};
use super::marks;

/// An object's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ObjectName {
    /// The namespace.
    pub(super) namespace: Arc<str>,
    /// The name.
    pub(super) name: Arc<str>,
}

impl ObjectName {
    /// A name from its two parts.
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The name of an object; `None` for one that has none, which no server sends.
    pub(super) fn of(meta: &ObjectMeta) -> Option<Self> {
        Some(Self::new(meta.namespace.as_deref()?, meta.name.as_deref()?))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a field for an address says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Nothing.
    Empty,
    /// An unspecified address such as 0.0.0.0: something had to be written.
    Placeholder,
    /// An IP and a port.
    At(SocketAddr),
    /// A name, which cannot be one of a pool's addresses.
    Named,
}

impl Endpoint {
    /// What a host and a port say.
    pub(super) fn of(host: &str, port: i64) -> Self {
        if host.is_empty() {
            return Self::Empty;
        }
        let Ok(ip) = host.parse::<IpAddr>() else { return Self::Named };
        if ip.is_unspecified() {
            return Self::Placeholder;
        }
        match u16::try_from(port) {
            Ok(port) => Self::At(SocketAddr::new(ip, port)),
            Err(_) => Self::Named,
        }
    }

    /// Whether an address can be written there.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Empty | Self::Placeholder)
    }

    /// What a JSON object with `host` and `port` says.
    pub(super) fn of_value(value: &Value) -> Self {
        let host = value["host"].as_str().unwrap_or_default();
        Self::of(host, value["port"].as_i64().unwrap_or_default())
    }
}

impl From<&EndpointField> for Endpoint {
    fn from(field: &EndpointField) -> Self {
        Self::of(&field.host, field.port)
    }
}

/// An infrastructure object, by what Clusters and Machines call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Infrastructure {
    /// Its group.
    pub(super) group: Arc<str>,
    /// Its kind.
    pub(super) kind: Arc<str>,
    /// Its namespace and name.
    pub(super) name: ObjectName,
}

impl Infrastructure {
    fn of(reference: &Reference, namespace: &str) -> Option<Self> {
        let namespace = reference.namespace.as_deref().unwrap_or(namespace);
        (!reference.name.is_empty()).then(|| Self {
            group: reference.group().into(),
            kind: reference.kind.as_str().into(),
            name: ObjectName::new(namespace, &reference.name),
        })
    }
}

/// A Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field or mark of its own")]
pub(super) struct SeenCluster {
    /// Its uid.
    pub(super) uid: String,
    /// Whether it is being deleted.
    pub(super) deleting: bool,
    /// Whether `spec.paused` is set.
    pub(super) paused: bool,
    /// Whether it has the annotation that stops controllers.
    pub(super) held: bool,
    /// Whether it is to be unpaused once its address is written.
    pub(super) unpause: bool,
    /// Whether it asks to be left alone.
    pub(super) ignore: bool,
    /// Its labels.
    pub(super) labels: Labels,
    /// Where its API server is.
    pub(super) endpoint: Endpoint,
    /// What it has in our annotation for the address.
    pub(super) annotated: Option<String>,
    /// Where it wants its address to be written.
    pub(super) destinations: Result<Destinations, String>,
    /// Its infrastructure cluster, once it is known.
    pub(super) infrastructure: Option<Infrastructure>,
    /// The Kubernetes version of its topology.
    pub(super) version: Option<String>,
    /// What its topology's variable for the address says, where it has that.
    pub(super) variable: Option<Endpoint>,
}

impl SeenCluster {
    /// Whether controllers are to leave it alone.
    pub(super) fn is_paused(&self) -> bool {
        self.paused || self.held
    }

    /// The infrastructure cluster, where it is to be read for an address: metal3's, and others that
    /// the address is written into. Of those alone it is sure that they may be read.
    pub(super) fn readable_infrastructure(&self) -> Option<&Infrastructure> {
        let written = |destinations: &Destinations| destinations.infrastructure;
        let wanted = self.destinations.as_ref().is_ok_and(written);
        self.infrastructure.as_ref().filter(|at| wanted || &*at.kind == marks::METAL3_CLUSTER)
    }

    /// Whether it is paused for another reason than to wait for its address.
    pub(super) fn must_rest(&self) -> bool {
        self.is_paused() && !self.unpause
    }
}

/// A Machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenMachine {
    /// Whether it is being deleted.
    pub(super) deleting: bool,
    /// The Cluster it belongs to.
    pub(super) cluster: Arc<str>,
    /// Its labels.
    pub(super) labels: Labels,
    /// Its Kubernetes version.
    pub(super) version: Option<String>,
    /// Its provider id.
    pub(super) provider_id: Option<String>,
    /// Its infrastructure machine.
    pub(super) infrastructure: Option<Infrastructure>,
    /// Whether that was provisioned.
    pub(super) provisioned: bool,
}

/// A Metal3Machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenMetal3Machine {
    /// The Machine that owns it.
    pub(super) machine: Option<Arc<str>>,
    /// Its provider id.
    pub(super) provider_id: Option<String>,
}

/// A BareMetalHost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenHost {
    /// Its uid, which nodes carry as a label.
    pub(super) uid: String,
    /// Whether it runs what its user wants.
    pub(super) provisioned: bool,
    /// The Metal3Machine that uses it.
    pub(super) consumer: Option<ObjectName>,
}

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

fn given(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

impl From<&Cluster> for SeenCluster {
    fn from(cluster: &Cluster) -> Self {
        let meta = &cluster.metadata;
        let spec = &cluster.spec;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let variables = spec.topology.as_ref().map(|topology| topology.variables.as_slice());
        let variable = variables.unwrap_or_default().iter();
        let variable = variable
            .filter(|variable| variable.name == marks::ENDPOINT_VARIABLE)
            .map(|variable| Endpoint::of_value(&variable.value))
            .next();
        let infrastructure = spec.infrastructure_ref.as_ref();
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            paused: spec.paused == Some(true),
            held: annotation(meta, marks::PAUSED).is_some(),
            unpause: annotation(meta, marks::UNPAUSE) == Some("true"),
            ignore: annotation(meta, marks::RECONCILE) == Some("ignore"),
            labels: meta.labels.clone().unwrap_or_default(),
            endpoint: Endpoint::from(&spec.control_plane_endpoint),
            annotated: annotation(meta, marks::ENDPOINT).map(str::to_owned),
            destinations: Destinations::read(
                annotation(meta, marks::WRITE_ENDPOINT),
                variable.is_some(),
            ),
            infrastructure: infrastructure.and_then(|at| Infrastructure::of(at, namespace)),
            version: given(spec.topology.as_ref().and_then(|topology| topology.version.as_ref())),
            variable,
        }
    }
}

impl From<&Machine> for SeenMachine {
    fn from(machine: &Machine) -> Self {
        let meta = &machine.metadata;
        let spec = &machine.spec;
        let labels = meta.labels.clone().unwrap_or_default();
        let label = labels.get(marks::CLUSTER_NAME_LABEL);
        let cluster = label.unwrap_or(&spec.cluster_name).as_str().into();
        let initialization = machine.status.initialization.as_ref();
        let provisioned = initialization.and_then(|done| done.infrastructure_provisioned);
        Self {
            deleting: meta.deletion_timestamp.is_some(),
            cluster,
            labels,
            version: given(spec.version.as_ref()),
            provider_id: given(spec.provider_id.as_ref()),
            infrastructure: Infrastructure::of(
                &spec.infrastructure_ref,
                meta.namespace.as_deref().unwrap_or_default(),
            ),
            provisioned: provisioned.or(machine.status.infrastructure_ready) == Some(true),
        }
    }
}

impl From<&Metal3Machine> for SeenMetal3Machine {
    fn from(metal3: &Metal3Machine) -> Self {
        // Others may own it besides: which one is the Machine, its kind and group say.
        let owners = metal3.metadata.owner_references.as_deref().unwrap_or_default();
        let group = |version: &str| {
            version.split_once('/').map_or("", |(group, _)| group) == marks::CAPI_GROUP
        };
        let machine =
            owners.iter().find(|owner| owner.kind == "Machine" && group(&owner.api_version));
        Self {
            machine: machine.map(|owner| owner.name.as_str().into()),
            provider_id: given(metal3.spec.provider_id.as_ref()),
        }
    }
}

impl From<&BareMetalHost> for SeenHost {
    fn from(host: &BareMetalHost) -> Self {
        let meta = &host.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let consumer = host.spec.consumer_ref.as_ref();
        let consumer = consumer.filter(|consumer| consumer.kind == marks::METAL3_MACHINE);
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            provisioned: host.status.provisioning.state == "provisioned",
            consumer: consumer
                .and_then(|consumer| Infrastructure::of(consumer, namespace))
                .map(|consumer| consumer.name),
        }
    }
}
