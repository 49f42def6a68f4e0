//! One rendering: an object, where it comes from, and what fills its holes.

use std::fmt::Display;

use apiserver::storage::{Key, Object};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde_json::json;
use uuid::{Builder, Uuid};

use super::super::baseline::{ImageTags, RESOURCES};
use super::super::kubeconfig::server_url;
use super::super::nodes::names::{hex, spread, suffix};
use super::super::nodes::{LEASE_PERIOD, NodeRecord, PodKind, heartbeat};
use super::super::template::{Fill, Hole, Template, escaped};
use super::network::{Network, host};
use super::{ClusterBase, DNS_PODS, Workload};

/// The number of a node's first pod that has an address of its own; a bridge has the first.
pub(super) const FIRST_POD: u32 = 2;

/// How long the day is in RFC 3339.
const DAY: usize = "2026-11-21".len();

/// An object of the base, found and not yet rendered.
pub(super) struct View<'a> {
    pub(super) base: &'a ClusterBase,
    pub(super) key: &'a Key,
    pub(super) template: &'a Template,
    /// In seconds since 1970.
    pub(super) created: i64,
    /// The revision at which the object came: what came again later is another object.
    pub(super) origin: u64,
    pub(super) revision: u64,
    /// In seconds since 1970.
    pub(super) now: i64,
    pub(super) node: Option<(&'a str, &'a NodeRecord)>,
    /// Which of several like it, from 0.
    pub(super) index: u32,
}

impl View<'_> {
    pub(super) fn render(&self) -> Object {
        let labels = match self.node {
            Some((name, node)) if self.key.resource == RESOURCES.nodes => {
                let labels = node.labels(name, self.base.nodes.etcd(name).is_some());
                let labels = labels.into_iter().map(|(key, value)| (key.into(), value.into()));
                labels.collect()
            }
            _ => self.template.labels().clone(),
        };
        self.template.render(self, self.revision, labels)
    }

    fn uid(&self) -> Uuid {
        self.base.uid(self.key, self.origin)
    }

    /// Sixteen bytes that are this object's, and differ by `purpose`.
    fn own(&self, purpose: &str) -> Uuid {
        Uuid::new_v5(&self.uid(), purpose.as_bytes())
    }

    /// Sixty-four hexadecimal digits, as digests have them.
    fn digest(&self, purpose: &str) -> String {
        let (first, second) = (self.own(purpose), self.own(&format!("{purpose} ")));
        hex(&[first.into_bytes(), second.into_bytes()].concat())
    }

    /// The version by which the object's images are chosen.
    fn image_version(&self) -> &str {
        self.node.map_or(&self.base.first_version, |(_, node)| &node.version)
    }

    fn fill_cluster(&self, hole: Hole, out: &mut BytesMut) -> bool {
        let facts = &self.base.facts;
        let network = self.base.network();
        let tags = || ImageTags::of(self.image_version());
        match hole {
            Hole::Server => put(out, server_url(facts.addr)),
            Hole::Endpoint => put(out, facts.addr),
            Hole::Address => put(out, facts.addr.ip()),
            Hole::Port => put(out, facts.addr.port()),
            Hole::CaPem => escaped(&facts.ca.certificate_pem(), out),
            Hole::CaBase64 => put(out, STANDARD.encode(facts.ca.certificate_pem())),
            Hole::Version => escaped(&self.base.first_version, out),
            Hole::VersionTag => escaped(&tag(&self.base.first_version), out),
            Hole::CorednsTag => put(out, tags().coredns),
            Hole::EtcdTag => put(out, tags().etcd),
            Hole::PauseTag => put(out, tags().pause),
            Hole::ProxyImage => escaped(&self.base.image(Workload::Proxy), out),
            Hole::ProxyImageId => escaped(&image_id(&self.base.image(Workload::Proxy)), out),
            Hole::DnsImage => escaped(&self.base.image(Workload::Dns), out),
            Hole::DnsImageId => escaped(&image_id(&self.base.image(Workload::Dns)), out),
            Hole::Cluster => escaped(&facts.name.name, out),
            Hole::ClusterConfiguration => escaped(&self.base.cluster_configuration(), out),
            Hole::ServiceSubnet => put(out, network.services()),
            Hole::PodSubnet => put(out, network.pods()),
            Hole::ServiceIp => put(out, network.api_service()),
            Hole::DnsIp => put(out, network.dns_service()),
            Hole::IpFamily => put(out, network.family()),
            Hole::Loopback => put(out, network.loopback()),
            Hole::LoopbackHost => put(out, host(network.loopback())),
            Hole::AnyAddress => put(out, network.any()),
            Hole::EtcdClusterId => put(out, self.base.etcd_cluster_id()),
            _ => return false,
        }
        true
    }

    fn fill_status(&self, hole: Hole, out: &mut BytesMut) -> bool {
        let ready = self.base.dns_ready();
        // Of two, one may be missing.
        let up = ready > 0;
        let keys = &self.base.baseline.keys;
        match hole {
            Hole::Nodes => put(out, self.base.nodes.len()),
            Hole::NodesReady => put(out, self.base.nodes.len() - self.base.nodes.silent()),
            Hole::NodesSilent => put(out, self.base.nodes.silent()),
            Hole::DnsReady => put(out, ready),
            Hole::DnsMissing => put(out, DNS_PODS - ready),
            Hole::DnsAvailable => put(out, if up { "True" } else { "False" }),
            Hole::DnsReason if up => put(out, "MinimumReplicasAvailable"),
            Hole::DnsReason => put(out, "MinimumReplicasUnavailable"),
            Hole::DnsMessage if up => put(out, "Deployment has minimum availability."),
            Hole::DnsMessage => put(out, "Deployment does not have minimum availability."),
            Hole::DaemonSetUid => put(out, self.base.baseline_uid(&keys.daemonset)),
            Hole::DeploymentUid => put(out, self.base.baseline_uid(&keys.deployment)),
            Hole::ReplicaSetUid => put(out, self.base.baseline_uid(&keys.replicaset)),
            Hole::DnsServiceUid => put(out, self.base.baseline_uid(&keys.dns_service)),
            Hole::DnsSubsets => put(out, self.base.dns_subsets()),
            Hole::DnsEndpoints => put(out, self.base.dns_endpoints()),
            Hole::LeaderFrom => {
                let since = self.base.leader.as_ref().map_or(self.created, |l| l.since);
                put(out, heartbeat::rfc3339(since));
            }
            Hole::MemberDown => {
                let record = self.node.and_then(|(name, _)| self.base.member_record(name));
                put(out, heartbeat::rfc3339(record.map_or(self.created, |record| record.since)));
            }
            _ => return false,
        }
        true
    }

    fn fill_node(&self, name: &str, node: &NodeRecord, hole: Hole, out: &mut BytesMut) {
        let network = self.base.network();
        let node_uid = || {
            let key = Key::new(RESOURCES.nodes, "", name);
            self.base.uid(&key, node.origin)
        };
        match hole {
            Hole::Node => escaped(name, out),
            Hole::NodeUid => put(out, node_uid()),
            Hole::NodeIp => put(out, network.node(node.ordinal)),
            Hole::NodeHost => put(out, host(network.node(node.ordinal))),
            Hole::Labels => {
                let labels = node.labels(name, self.base.nodes.etcd(name).is_some());
                put(out, json!(labels));
            }
            Hole::Spec => put(out, self.spec(name, node)),
            Hole::KubeletVersion => escaped(&node.version, out),
            Hole::NodeTag => escaped(&tag(&node.version), out),
            Hole::Heartbeat => put(out, self.base.status_beat(name, self.now)),
            Hole::Conditions => put(out, self.base.nodes.fare(name).condition_list(self.now)),
            Hole::PodReady => {
                put(out, if self.base.nodes.fare(name).is_silent() { "False" } else { "True" });
            }
            Hole::PodReadySince => {
                let contact = self.base.nodes.fare(name).contact;
                put(out, heartbeat::rfc3339(contact.max(self.created)));
            }
            Hole::Renewed => put(out, self.base.renewal(name, node, self.now)),
            Hole::BootId => put(out, Uuid::new_v5(&node_uid(), b"boot")),
            Hole::MachineId => put(out, Uuid::new_v5(&node_uid(), b"machine").simple()),
            Hole::SystemUuid => match &node.uuid {
                Some(uuid) => escaped(uuid, out),
                None => put(out, Uuid::new_v5(&node_uid(), b"system")),
            },
            Hole::PodIp => put(out, network.pod(node.ordinal, FIRST_POD + self.index)),
            Hole::VolumeSuffix => put(out, suffix(spread(self.own("volume").as_u64_pair().0, 0))),
            Hole::ContainerId => put(out, self.digest("container")),
            Hole::ImageDigest => put(out, self.image_digest()),
            Hole::ConfigHash => put(out, self.own("config").simple()),
            Hole::ConfigSeen => put(out, heartbeat::rfc3339_micros(self.created, 0)),
            Hole::EtcdMemberId => put(out, self.base.member_id(name, node)),
            other => unreachable!("{other:?} is filled for the cluster"),
        }
    }

    /// A digest that is the same wherever the same image runs.
    fn image_digest(&self) -> String {
        let component = self.template.labels().iter().map(|(_, value)| &**value);
        let image: String = component.chain([self.image_version()]).collect();
        let first = Uuid::new_v5(&Uuid::NAMESPACE_URL, image.as_bytes());
        let second = Uuid::new_v5(&first, image.as_bytes());
        hex(&[first.into_bytes(), second.into_bytes()].concat())
    }

    fn spec(&self, name: &str, node: &NodeRecord) -> serde_json::Value {
        let pods = self.base.network().pod_network(node.ordinal);
        let mut spec = json!({"podCIDR": pods, "podCIDRs": [pods]});
        if let Some(provider) = &node.provider_id {
            spec["providerID"] = (**provider).into();
        }
        let role = super::super::nodes::ROLE_LABEL;
        let role = json!({"effect": "NoSchedule", "key": role});
        let own = self.base.nodes.etcd(name).map(|_| role);
        let taints: Vec<_> = own.into_iter().chain(self.base.nodes.fare(name).taints()).collect();
        if !taints.is_empty() {
            spec["taints"] = taints.into();
        }
        spec
    }
}

impl Fill for View<'_> {
    fn fill(&self, hole: Hole, out: &mut BytesMut) {
        match hole {
            Hole::Uid => put(out, self.uid()),
            Hole::Created => put(out, heartbeat::rfc3339(self.created)),
            Hole::CreatedDay => put(out, &heartbeat::rfc3339(self.created)[..DAY]),
            Hole::Revision => put(out, self.revision),
            Hole::Name => escaped(&self.key.name, out),
            _ if self.fill_cluster(hole, out) || self.fill_status(hole, out) => {}
            _ => {
                let (name, node) = self.node.expect("only what nodes bring has holes for nodes");
                self.fill_node(name, node, hole, out);
            }
        }
    }
}

impl ClusterBase {
    pub(super) fn network(&self) -> Network {
        let seed = self.facts.seed.as_bytes();
        Network::new(self.facts.addr.ip(), u16::from_le_bytes([seed[0], seed[1]]))
    }

    /// The image of a workload's pods: that of its object, as the baseline or a client has it.
    pub(super) fn image(&self, workload: Workload) -> String {
        if let Some(image) = self.images.of(workload) {
            return image.to_string();
        }
        let version = &self.first_version;
        match workload {
            Workload::Proxy => format!("registry.k8s.io/kube-proxy:{}", tag(version)),
            Workload::Dns => {
                format!("registry.k8s.io/coredns/coredns:{}", ImageTags::of(version).coredns)
            }
        }
    }

    /// The seed of generated names.
    pub(super) fn name_seed(&self) -> u64 {
        self.facts.seed.as_u64_pair().1
    }

    /// The uid of the object that came under `key` at revision `origin`, in the form of a random
    /// UUID.
    pub(super) fn uid(&self, key: &Key, origin: u64) -> Uuid {
        let resource = key.resource;
        let (group, plural) = (resource.group(), resource.resource());
        let text = format!("{group}/{plural}/{}/{}/{origin}", key.namespace, key.name);
        let mixed = Uuid::new_v5(&self.facts.seed, text.as_bytes());
        Builder::from_random_bytes(mixed.into_bytes()).into_uuid()
    }

    /// The etcd cluster's id, never 0.
    pub fn etcd_cluster_id(&self) -> u32 {
        id(&self.facts.seed, "etcd")
    }

    /// The id of the etcd member on `node`, never 0; `None` when it is no control plane.
    pub fn etcd_member_id(&self, node: &str) -> Option<u32> {
        let (name, record) = self.nodes.get(node)?;
        self.nodes.etcd(name)?;
        Some(self.member_id(name, record))
    }

    pub(super) fn member_id(&self, name: &str, node: &NodeRecord) -> u32 {
        id(&self.facts.seed, &format!("etcd/{name}/{}", node.origin))
    }

    /// When the node's kubelet last posted its status.
    pub(super) fn status_beat(&self, name: &str, now: i64) -> String {
        heartbeat::rfc3339(self.nodes.fare(name).last_beat(now))
    }

    /// When the node's kubelet last renewed its lease, at a place in the period and with a
    /// fraction that are the node's own.
    pub(super) fn renewal(&self, name: &str, node: &NodeRecord, now: i64) -> String {
        let own = id(&self.facts.seed, &format!("lease/{name}"));
        let phase = i64::from(own) % LEASE_PERIOD;
        let fare = self.nodes.fare(name);
        let second = if fare.is_silent() {
            heartbeat::last_renewal(node.created, phase, fare.since)
        } else {
            heartbeat::last_renewal(node.created.max(fare.contact), phase, now)
        };
        heartbeat::rfc3339_micros(second, own % 1_000_000)
    }
}

/// A number that is not 0.
fn id(seed: &Uuid, text: &str) -> u32 {
    let bytes = Uuid::new_v5(seed, text.as_bytes()).into_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).max(1)
}

/// An image by its digest, which is the same wherever the same image runs.
fn image_id(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or_default();
    let tag = name.find([':', '@']).map_or(0, |at| name.len() - at);
    let first = Uuid::new_v5(&Uuid::NAMESPACE_URL, image.as_bytes());
    let second = Uuid::new_v5(&first, image.as_bytes());
    let digest = hex(&[first.into_bytes(), second.into_bytes()].concat());
    format!("{}@sha256:{digest}", &image[..image.len() - tag])
}

/// A version as a tag of images, which know no "+".
fn tag(version: &str) -> String {
    version.replace('+', "_")
}

/// Writes what needs no escaping.
fn put(out: &mut BytesMut, text: impl Display) {
    use std::fmt::Write;
    write!(out, "{text}").expect("a growing buffer takes what is written");
}

/// What a pod that a node brings is made from.
pub(super) fn pod_template<'a>(base: &'a ClusterBase, kind: PodKind, node: &str) -> &'a Template {
    let templates = &base.baseline.nodes;
    if kind != PodKind::Etcd {
        return templates.pod(kind);
    }
    let record = base.member_record(node);
    let leads = base.leader.as_ref().is_some_and(|l| &*l.node == node);
    match record {
        Some(record) if record.removed => &templates.etcd_removed,
        Some(record) if record.lost => &templates.etcd_lost,
        _ if leads => &templates.etcd_leader,
        _ => templates.pod(kind),
    }
}
