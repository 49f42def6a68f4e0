//! Objects with holes: bytes that the whole process shares, and what differs filled in when
//! somebody reads.
//!
//! A template is made from an object in which strings hold `«name»` for a part of a string, or
//! consist of `«=name»` for a whole value that is no string. It is encoded once, cut at the
//! holes, and never parsed again: a rendering is copies and holes.

use apiserver::storage::{Meta, Object};
use bytes::{Bytes, BytesMut};
use serde_json::Value;

/// The labels of an object, sorted by key.
pub type Labels = Box<[(Box<str>, Box<str>)]>;

/// Declares [`Hole`] and its names.
macro_rules! holes {
    ($($(#[$doc:meta])* $hole:ident = $name:literal,)+) => {
        /// What differs between two renderings of one template.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Hole {
            $($(#[$doc])* $hole,)+
        }

        impl Hole {
            /// The hole that a template calls `name`.
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$hole),)+
                    _ => None,
                }
            }
        }
    };
}

holes! {
    /// The object's uid.
    Uid = "uid",
    /// When the object was made, RFC 3339.
    Created = "created",
    /// The day on which the object was made.
    CreatedDay = "created-day",
    /// The object's resourceVersion.
    Revision = "rv",
    /// The object's name.
    Name = "name",
    /// The URL of the API server.
    Server = "server",
    /// The API server as host:port.
    Endpoint = "endpoint",
    /// The cluster's address.
    Address = "address",
    /// The cluster's port, a number.
    Port = "port",
    /// The CA's certificate.
    CaPem = "ca-pem",
    /// The same in base64.
    CaBase64 = "ca-base64",
    /// The Kubernetes version of the control plane.
    Version = "version",
    /// The version as a tag of images.
    VersionTag = "version-tag",
    /// The tag of coredns' image.
    CorednsTag = "coredns-tag",
    /// The tag of etcd's image.
    EtcdTag = "etcd-tag",
    /// The tag of the pause image.
    PauseTag = "pause-tag",
    /// The cluster's name.
    Cluster = "cluster",
    /// kubeadm's `ClusterConfiguration`, a YAML text.
    ClusterConfiguration = "cluster-configuration",
    /// The image of kube-proxy's pods.
    ProxyImage = "proxy-image",
    /// The same by its digest.
    ProxyImageId = "proxy-image-id",
    /// The image of coredns' pods.
    DnsImage = "dns-image",
    /// The same by its digest.
    DnsImageId = "dns-image-id",
    /// The network of Services.
    ServiceSubnet = "service-subnet",
    /// The network of pods.
    PodSubnet = "pod-subnet",
    /// The address of Service `kubernetes`.
    ServiceIp = "service-ip",
    /// The address of Service `kube-dns`.
    DnsIp = "dns-ip",
    /// `IPv4` or `IPv6`.
    IpFamily = "ip-family",
    /// The loopback address.
    Loopback = "loopback",
    /// The loopback address as the host of a URL.
    LoopbackHost = "loopback-host",
    /// The unspecified address.
    AnyAddress = "any-address",
    /// How many nodes there are, a number.
    Nodes = "nodes",
    /// How many nodes have a kubelet that is heard of, a number.
    NodesReady = "nodes-ready",
    /// How many have none, a number.
    NodesSilent = "nodes-silent",
    /// How many coredns pods run, a number.
    DnsReady = "dns-ready",
    /// How many do not, a number.
    DnsMissing = "dns-missing",
    /// The status of the condition Available of coredns.
    DnsAvailable = "dns-available",
    /// Its reason.
    DnsReason = "dns-reason",
    /// Its message.
    DnsMessage = "dns-message",
    /// The addresses of coredns with their ports, a list.
    DnsSubsets = "dns-subsets",
    /// The endpoints of coredns, a list.
    DnsEndpoints = "dns-endpoints",
    /// The uid of the Service kube-dns.
    DnsServiceUid = "dns-service-uid",
    /// The uid of the `DaemonSet` kube-proxy.
    DaemonSetUid = "daemonset-uid",
    /// The uid of the `Deployment` coredns.
    DeploymentUid = "deployment-uid",
    /// The uid of its `ReplicaSet`.
    ReplicaSetUid = "replicaset-uid",
    /// The name of the node.
    Node = "node",
    /// The node's uid.
    NodeUid = "node-uid",
    /// The node's address.
    NodeIp = "node-ip",
    /// The node's address as the host of a URL.
    NodeHost = "node-host",
    /// The node's labels, an object.
    Labels = "labels",
    /// The node's spec, an object.
    Spec = "spec",
    /// The version of the node's kubelet.
    KubeletVersion = "kubelet-version",
    /// The same as a tag of images.
    NodeTag = "node-tag",
    /// The conditions of a node that was not always ready, a list.
    Conditions = "conditions",
    /// The status of a pod's condition Ready.
    PodReady = "pod-ready",
    /// When that last changed.
    PodReadySince = "pod-ready-since",
    /// When the kubelet last posted its status.
    Heartbeat = "heartbeat",
    /// When the kubelet last renewed its lease, with microseconds.
    Renewed = "renewed",
    /// The node's boot id.
    BootId = "boot-id",
    /// The node's machine id.
    MachineId = "machine-id",
    /// The node's system uuid.
    SystemUuid = "system-uuid",
    /// The address of a pod of its own.
    PodIp = "pod-ip",
    /// Five characters for a generated volume's name.
    VolumeSuffix = "volume-suffix",
    /// The id of the pod's container.
    ContainerId = "container-id",
    /// The digest of its image.
    ImageDigest = "image-digest",
    /// The hash of a static pod's manifest.
    ConfigHash = "config-hash",
    /// When the kubelet saw the manifest.
    ConfigSeen = "config-seen",
    /// The id of the etcd cluster.
    EtcdClusterId = "etcd-cluster-id",
    /// The id of the etcd member.
    EtcdMemberId = "etcd-member-id",
    /// Since when the member leads.
    LeaderFrom = "leader-from",
    /// Since when the etcd member is down, RFC 3339.
    MemberDown = "member-down",
}

/// Why an object is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The object is not what objects are.
    #[error("a template must be an object with kind, apiVersion and metadata")]
    NotAnObject,
    /// A hole of this name does not exist, or does not end.
    #[error("template {object} has no hole «{name}»")]
    UnknownHole {
        /// The object's kind and name.
        object: String,
        /// What stands where the hole's name should.
        name: String,
    },
}

/// An object with holes.
#[derive(Debug)]
pub struct Template {
    /// The encoded object without its holes.
    bytes: Box<[u8]>,
    /// Where in `bytes` which hole is, in order.
    holes: Box<[(u32, Hole)]>,
    /// As [`Object::rest`].
    rest: u16,
    labels: Labels,
}

/// What fills the holes.
pub trait Fill {
    /// Writes what belongs into `hole`, escaped as JSON wants it inside a string; whole values
    /// are written as they are.
    fn fill(&self, hole: Hole, out: &mut BytesMut);
}

const OPEN: &str = "«";
const CLOSE: &str = "»";

impl Template {
    /// Cuts `object` at its holes.
    ///
    /// uid, creationTimestamp and resourceVersion need not be there: they are added as holes.
    ///
    /// # Errors
    /// When `object` is not an object or has a hole that nobody can fill.
    pub fn new(mut object: Value) -> Result<Self, TemplateError> {
        let metadata = object
            .get_mut("metadata")
            .and_then(Value::as_object_mut)
            .ok_or(TemplateError::NotAnObject)?;
        for (field, hole) in
            [("uid", "«uid»"), ("creationTimestamp", "«created»"), ("resourceVersion", "«rv»")]
        {
            metadata.insert(field.into(), hole.into());
        }
        let encoded = Object::encode(&object);
        let labels = encoded.meta.labels.clone();
        let text = std::str::from_utf8(encoded.json()).map_err(|_| TemplateError::NotAnObject)?;
        let (bytes, holes) = cut(text).map_err(|name| TemplateError::UnknownHole {
            object: format!("{} {}", object["kind"], object["metadata"]["name"]),
            name: name.to_owned(),
        })?;
        Ok(Self { bytes, holes, rest: encoded.rest(), labels })
    }

    /// The labels that every rendering has.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The object with its holes filled; `labels` are those of this rendering.
    pub fn render(&self, fill: &dyn Fill, resource_version: u64, labels: Labels) -> Object {
        let mut out = BytesMut::with_capacity(self.bytes.len() + self.holes.len() * 32);
        let mut done = 0;
        for (at, hole) in &self.holes {
            let at = *at as usize;
            out.extend_from_slice(&self.bytes[done..at]);
            fill.fill(*hole, &mut out);
            done = at;
        }
        out.extend_from_slice(&self.bytes[done..]);
        let json: Bytes = out.freeze();
        let meta = Meta { resource_version, labels };
        Object::from_parts(json, self.rest, meta)
    }
}

type Cut = (Box<[u8]>, Box<[(u32, Hole)]>);

/// Takes the holes out of `text`; the error is the name of one that does not exist.
fn cut(text: &str) -> Result<Cut, &str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut holes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (name, after) = after.split_once(CLOSE).ok_or(after)?;
        // A whole value loses the quotes that made the template JSON.
        let (before, name, after) = match name.strip_prefix('=') {
            None => (before, name, after),
            Some(name) => {
                (before.strip_suffix('"').ok_or(name)?, name, after.strip_prefix('"').ok_or(name)?)
            }
        };
        bytes.extend_from_slice(before.as_bytes());
        let at = u32::try_from(bytes.len()).map_err(|_| name)?;
        holes.push((at, Hole::named(name).ok_or(name)?));
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok((bytes.into(), holes.into()))
}

/// Writes `text` as it stands between the quotes of a JSON string.
pub fn escaped(text: &str, out: &mut BytesMut) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let quoted = Value::from(text).to_string();
    out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Same;

    impl Fill for Same {
        fn fill(&self, hole: Hole, out: &mut BytesMut) {
            match hole {
                Hole::Nodes => out.extend_from_slice(b"3"),
                Hole::Revision => out.extend_from_slice(b"17"),
                _ => escaped("a \"name\"\n", out),
            }
        }
    }

    #[test]
    fn a_rendering_is_the_object_with_its_holes_filled() {
        let template = Template::new(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "labels": {"b": "1", "a": "2"}},
            "data": {"one": "«cluster»", "two": "<«node»>«node»", "none": "plain"},
            "count": "«=nodes»",
        }))
        .unwrap();
        let object = template.render(&Same, 17, template.labels().clone());
        let name = "a \"name\"\n";
        assert_eq!(
            object.value(),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "x", "labels": {"b": "1", "a": "2"}, "uid": name,
                    "creationTimestamp": name, "resourceVersion": "17"},
                "data": {"one": name, "two": format!("<{name}>{name}"), "none": "plain"},
                "count": 3,
            })
        );
        assert!(object.item().starts_with(b"\"metadata\":"));
        assert_eq!(object.meta.resource_version, 17);
        assert_eq!(object.meta.label("b"), Some("1"));
    }

    #[test]
    fn holes_that_nobody_fills_are_refused() {
        let with = |text: &str| {
            Template::new(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
                "data": {"a": text},
            }))
        };
        for text in ["«no-such»", "«node", "x«=nodes»", "«=nodes» "] {
            assert!(matches!(with(text), Err(TemplateError::UnknownHole { .. })), "{text}");
        }
        assert!(matches!(Template::new(json!([])), Err(TemplateError::NotAnObject)));
    }
}
