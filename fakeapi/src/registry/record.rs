//! What the journal holds about a cluster besides its objects, in JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::boot::Booting;
use super::cluster::Identity;
use crate::addr::ClusterAddr;
use crate::cluster::base::{BaseState, ClusterFacts, Workload};
use crate::cluster::identity::{CertificateAuthority, IdentityError};
use crate::cluster::members::MemberChange;
use crate::register::{CaPem, ClusterName, Fault, NodeHealth, NodeSpec};

/// A registration.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Registration {
    name: ClusterName,
    address: std::net::SocketAddr,
    ca: CaPem,
    etcd_ca: CaPem,
    seed: Uuid,
    created: Timestamp,
    /// The version until a control plane says otherwise.
    pub(super) version: String,
    #[serde(default)]
    pub(super) stand_ins: StandIns,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
}

/// Which authorities stand in until the management cluster has the real ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StandIns {
    /// The cluster's own.
    pub(super) ca: bool,
    /// That of its etcd members.
    pub(super) etcd: bool,
}

impl StandIns {
    /// Whether any stands in.
    pub(super) fn any(self) -> bool {
        self.ca || self.etcd
    }
}

impl Registration {
    pub(super) fn of(identity: &Identity, version: &str) -> Self {
        let facts = &identity.facts;
        Self {
            name: facts.name.clone(),
            address: facts.addr.0,
            ca: facts.ca.to_pem(),
            etcd_ca: facts.etcd_ca.to_pem(),
            seed: facts.seed,
            created: facts.created,
            version: version.to_owned(),
            stand_ins: identity.stand_ins,
            labels: (*identity.labels).clone(),
        }
    }

    pub(super) fn facts(&self) -> Result<ClusterFacts, IdentityError> {
        Ok(ClusterFacts {
            name: self.name.clone(),
            addr: ClusterAddr(self.address),
            ca: CertificateAuthority::from_pem(&self.ca)?,
            etcd_ca: CertificateAuthority::from_pem(&self.etcd_ca)?,
            seed: self.seed,
            created: self.created,
        })
    }
}

/// A change of a cluster's base, written before it is made; made again, it comes out the same.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Change {
    /// The whole of it, in a snapshot.
    State(BaseState),
    /// A node was added or updated.
    Put { node: NodeSpec, at: Timestamp },
    /// A node boots: it is there later, by a `Put`.
    Boot(Booting),
    /// A node was removed.
    Remove { node: String, at: Timestamp },
    /// A pod of the cluster's own in kube-system was made anew, a coredns pod on this node.
    Renew { pod: String, node: Option<String>, at: Timestamp },
    /// The pods of a workload were made anew with another image.
    RollOut { workload: Workload, image: String, at: Timestamp },
    /// A node's kubelet fares otherwise.
    Health { node: String, health: NodeHealth, at: Timestamp },
    /// Something happened to etcd members.
    Members { change: MemberChange, at: Timestamp },
    /// The kernel does otherwise with the cluster's packets.
    Fault(Fault),
}

/// Encodes a record's body: these types always encode.
pub(super) fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).expect("plain structs with text keys encode as JSON")
}
