//! What is to be done about a cluster or a node: pure decisions over what was seen and what
//! fakeapi has. Whoever carries them out may be interrupted at any point: the next decision is
//! made from what is there then.

use apiserver::selector::LabelSelector;

use super::marks;
use super::seen::{SeenCluster, SeenHost, SeenMachine, SeenMetal3Machine};
use crate::register::NodeSpec;

/// Which Clusters the reconciler registers by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Register {
    /// Those with a Metal3Cluster.
    #[default]
    Metal3,
    /// All.
    Any,
    /// None: users do, as with FKAS. Clusters are not even watched.
    Never,
}

/// Which Clusters are ours.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// By their infrastructure.
    pub(super) register: Register,
    /// By their labels.
    pub(super) selector: LabelSelector,
    /// By their namespace, where only one is looked at.
    pub(super) namespace: Option<String>,
}

impl Policy {
    /// Whether it can be known what a namespace holds.
    pub(super) fn looks_at(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|only| only == namespace)
    }
}

/// Why a Cluster is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Skip {
    /// Nothing is registered.
    #[error("users register clusters")]
    Never,
    /// Its annotation says so.
    #[error("its annotation says that it is to be ignored")]
    Ignored,
    /// The selector does not select it.
    #[error("its labels are not selected")]
    NotSelected,
    /// It has other infrastructure.
    #[error("its infrastructure is not metal3's")]
    OtherInfrastructure,
    /// Its infrastructure is not known yet.
    #[error("it has no infrastructure yet")]
    NoInfrastructure,
    /// It is on its way out.
    #[error("it is being deleted")]
    Deleting,
}

/// What fakeapi has of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    /// The uid of the Cluster that the reconciler registered it for; `None` when a user did.
    pub(super) registered_for: Option<String>,
    /// Whether that Cluster was paused when it was last compared. This outlives the reconciler.
    pub(super) paused: bool,
}

/// What is to be done about a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClusterPlan {
    /// Register it.
    Register,
    /// It is registered: write its address where that is missing, and see to its nodes.
    Keep,
    /// It was registered for a Cluster of the same name that is gone: unregister it, then register
    /// it for this one.
    Replace,
    /// Unregister it.
    Unregister,
    /// It is gone here, but a user registered it, or it moved to another management cluster: it
    /// stays registered.
    Leave,
    /// There is nothing to do.
    Skip(Skip),
    /// Neither here nor there.
    Nothing,
}

/// What is to be done about a cluster.
///
/// `seen` is the Cluster, `None` when it is certain that there is none; `was_paused` says whether
/// it was paused when this reconciler last saw it. Cluster API's controllers do not delete what
/// belongs to a paused Cluster, so one that goes while it is paused was moved (`clusterctl move`),
/// and one that comes in its place is the same under another uid.
pub(super) fn cluster(
    policy: &Policy,
    seen: Option<&SeenCluster>,
    was_paused: bool,
    registration: Option<&Registration>,
) -> ClusterPlan {
    let registered_for = registration.and_then(|registration| registration.registered_for.as_ref());
    let was_paused = was_paused || registration.is_some_and(|registration| registration.paused);
    match (seen, registration) {
        (None, None) => ClusterPlan::Nothing,
        (None, Some(_)) if registered_for.is_some() && !was_paused => ClusterPlan::Unregister,
        (None, Some(_)) => ClusterPlan::Leave,
        // Whoever registered it: left alone from now on.
        (Some(seen), _) if seen.ignore => ClusterPlan::Skip(Skip::Ignored),
        (Some(seen), Some(_)) => match registered_for {
            Some(uid) if *uid != seen.uid && !was_paused => match ours(policy, seen) {
                Ok(()) => ClusterPlan::Replace,
                Err(_) => ClusterPlan::Unregister,
            },
            _ => ClusterPlan::Keep,
        },
        (Some(seen), None) => match ours(policy, seen) {
            Ok(()) => ClusterPlan::Register,
            Err(skip) => ClusterPlan::Skip(skip),
        },
    }
}

/// Whether a Cluster is ours to register.
///
/// # Errors
/// Why it is not.
pub(super) fn ours(policy: &Policy, cluster: &SeenCluster) -> Result<(), Skip> {
    if policy.register == Register::Never {
        return Err(Skip::Never);
    }
    if cluster.ignore {
        return Err(Skip::Ignored);
    }
    if !policy.selector.matches(|key| cluster.labels.get(key).map(String::as_str)) {
        return Err(Skip::NotSelected);
    }
    if cluster.deleting {
        return Err(Skip::Deleting);
    }
    match (&cluster.infrastructure, policy.register) {
        (Some(at), Register::Metal3) if &*at.kind != marks::METAL3_CLUSTER => {
            Err(Skip::OtherInfrastructure)
        }
        (None, Register::Metal3) => Err(Skip::NoInfrastructure),
        _ => Ok(()),
    }
}

/// What is to be done about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodePlan {
    /// Add it, or change it.
    Put(NodeSpec),
    /// Remove it.
    Remove,
    /// It is as it should be, or cannot be told yet.
    Leave(Leave),
}

/// Why a node is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is what it should be.
    AsItIs,
    /// There is no node and no Machine.
    Nothing,
    /// Not all kinds were listed yet.
    NotListed,
    /// Its infrastructure is not there or not ready.
    NotProvisioned,
    /// Its Machine is on its way out: drain and etcd's removal come first.
    Deleting,
    /// Controllers are to leave the cluster alone.
    Paused,
}

/// All that was seen about one machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MachineParts<'a> {
    /// The Machine.
    pub(super) machine: Option<&'a SeenMachine>,
    /// Its Metal3Machine.
    pub(super) metal3: Option<&'a SeenMetal3Machine>,
    /// The BareMetalHost that the Metal3Machine uses.
    pub(super) host: Option<&'a SeenHost>,
    /// Whether all Machines were listed.
    pub(super) machines_listed: bool,
    /// Whether all Metal3Machines and BareMetalHosts were listed.
    pub(super) metal3_listed: bool,
    /// Whether controllers are to leave the cluster alone.
    pub(super) paused: bool,
}

/// What is to be done about the node of the Machine `name`; `known` is what fakeapi has of it.
pub(super) fn node(name: &str, parts: &MachineParts<'_>, known: Option<&NodeSpec>) -> NodePlan {
    let gone = || match known {
        Some(_) if parts.paused => NodePlan::Leave(Leave::Paused),
        Some(_) => NodePlan::Remove,
        None => NodePlan::Leave(Leave::Nothing),
    };
    let Some(machine) = parts.machine else {
        return if parts.machines_listed { gone() } else { NodePlan::Leave(Leave::NotListed) };
    };
    let infrastructure = machine.infrastructure.as_ref();
    let metal3 = infrastructure.is_some_and(|at| &*at.kind == marks::METAL3_MACHINE);
    let (provider_id, uuid) = if metal3 {
        if !parts.metal3_listed {
            return NodePlan::Leave(Leave::NotListed);
        }
        match running(name, parts) {
            Some((metal3, host)) => {
                let provider_id = metal3.provider_id.as_ref().or(machine.provider_id.as_ref());
                (provider_id, Some(host.uid.clone()))
            }
            // The host is taken down: Cluster API has drained the node by now, and KCP has
            // removed its etcd member.
            None if known.is_some() => return gone(),
            None => return NodePlan::Leave(Leave::NotProvisioned),
        }
    } else {
        // Of other infrastructure only Cluster API's word is known, which is never taken back:
        // such a node stays until its Machine is gone.
        match &machine.provider_id {
            Some(provider_id) if machine.provisioned => (Some(provider_id), None),
            _ => return NodePlan::Leave(Leave::NotProvisioned),
        }
    };
    if machine.deleting {
        // A Node that Cluster API has deleted must not come back.
        return NodePlan::Leave(Leave::Deleting);
    }
    let wanted = NodeSpec {
        name: name.to_owned(),
        provider_id: provider_id.cloned(),
        uuid,
        labels: machine.labels.clone(),
        version: machine.version.clone(),
    };
    if known.is_some_and(|known| says(known, &wanted)) {
        return NodePlan::Leave(Leave::AsItIs);
    }
    NodePlan::Put(wanted)
}

/// The Metal3Machine and host of a machine, when the host runs for it.
fn running<'a>(
    name: &str,
    parts: &MachineParts<'a>,
) -> Option<(&'a SeenMetal3Machine, &'a SeenHost)> {
    let metal3 = parts.metal3.filter(|metal3| metal3.machine.as_deref() == Some(name))?;
    let host = parts.host.filter(|host| host.provisioned)?;
    Some((metal3, host))
}

/// Whether a node is what is wanted. Absent values are left as they are, and labels are never
/// taken away: that is what a node's update means.
fn says(known: &NodeSpec, wanted: &NodeSpec) -> bool {
    let NodeSpec { name: _, provider_id, uuid, labels, version } = wanted;
    let same =
        |wanted: &Option<String>, known: &Option<String>| wanted.is_none() || wanted == known;
    same(provider_id, &known.provider_id)
        && same(uuid, &known.uuid)
        && same(version, &known.version)
        && labels.iter().all(|(key, value)| known.labels.get(key) == Some(value))
}

/// Whether a node that fakeapi has came from a Machine of the cluster `name`: those carry all
/// labels of their Machines, and Cluster API gives every Machine this one.
pub(super) fn from_machine(node: &NodeSpec, name: &str) -> bool {
    node.labels.get(marks::CLUSTER_NAME_LABEL).is_some_and(|cluster| cluster == name)
}

#[cfg(test)]
mod tests;
