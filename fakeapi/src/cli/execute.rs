//! What each command asks and shows.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{
    AuthorityArgs, ControlCommand, EtcdCommand, FaultArgs, FaultMode, MemberArg, NodeAddArgs,
    NodeCommand, NodeHealthArg, RegisterArgs,
};
use super::behaviour;
use super::error::CliError;
use super::output::Screen;
use crate::client::Client;
use crate::register::{
    CONTROL_PLANE_LABEL, CaPem, ClusterName, ClusterSummary, Fault, MemberHealth, NodeHealth,
    NodeSpec, RegisterRequest, Traffic,
};

/// Asks `client` what `command` says and shows the answer.
pub(super) async fn execute<W: Write>(
    client: &Client,
    command: ControlCommand,
    screen: &mut Screen<W>,
) -> Result<(), CliError> {
    match command {
        ControlCommand::Register(args) => register(client, *args, screen).await,
        ControlCommand::Unregister { cluster } => {
            client.unregister(&cluster.0).await?;
            screen.done("cluster", &cluster.0.to_string(), "unregistered")
        }
        ControlCommand::List => list(&client.clusters().await?, screen),
        ControlCommand::Kubeconfig { cluster } => {
            screen.documents(&client.kubeconfig(&cluster.0).await?)
        }
        ControlCommand::Secrets { cluster } => screen.documents(&client.secrets(&cluster.0).await?),
        ControlCommand::Node(command) => node(client, command, screen).await,
        ControlCommand::Etcd(EtcdCommand::Member { cluster, node, health }) => {
            let (health, result) = member_health(health);
            client.set_member_health(&cluster.0, &node, health).await?;
            screen.done("member", &format!("{}/{node}", cluster.0), result)
        }
        ControlCommand::Etcd(EtcdCommand::MoveLeader { cluster, node }) => {
            let leader = client.move_leader(&cluster.0, node.as_deref()).await?;
            screen.done("member", &format!("{}/{leader}", cluster.0), "leads")
        }
        ControlCommand::Behaviour(command) => behaviour::execute(client, command, screen).await,
        ControlCommand::Fault(args) => fault(client, args, screen).await,
        ControlCommand::Traffic { cluster } => {
            let traffic = client.traffic(&cluster.0).await?;
            let Traffic { packets, bytes, dropped } = traffic;
            let row = [packets.to_string(), bytes.to_string(), dropped.to_string()];
            screen.list(&json!(traffic), ["PACKETS", "BYTES", "DROPPED"], &[row])
        }
    }
}

async fn register<W: Write>(
    client: &Client,
    args: RegisterArgs,
    screen: &mut Screen<W>,
) -> Result<(), CliError> {
    let RegisterArgs { cluster, address, authorities, version, labels } = args;
    let AuthorityArgs { ca_cert, ca_key, etcd_cert, etcd_key } = authorities;
    let request = RegisterRequest {
        address,
        ca: read_ca(ca_cert, ca_key)?,
        etcd_ca: read_ca(etcd_cert, etcd_key)?,
        version,
        labels: (!labels.is_empty()).then(|| labels.into_iter().collect()),
    };
    client.register(&cluster.0, &request).await?;
    list(&[client.cluster(&cluster.0).await?], screen)
}

/// The CA in two files. That both or none are named is clap's rule.
fn read_ca(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<CaPem>, CliError> {
    let (Some(cert), Some(key)) = (cert, key) else {
        return Ok(None);
    };
    Ok(Some(CaPem { certificate: read(&cert)?, key: read(&key)? }))
}

pub(super) fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::File { path: path.to_owned(), source })
}

fn list<W: Write>(clusters: &[ClusterSummary], screen: &mut Screen<W>) -> Result<(), CliError> {
    let header = ["NAMESPACE", "NAME", "ADDRESS", "ACTIVE", "NODES", "VERSION", "CREATED"];
    let row = |cluster: &ClusterSummary| {
        [
            cluster.namespace.clone(),
            cluster.name.clone(),
            cluster.address.to_string(),
            if cluster.active { "yes" } else { "no" }.to_owned(),
            cluster.nodes.to_string(),
            cluster.version.clone(),
            cluster.created.clone(),
        ]
    };
    let rows: Vec<_> = clusters.iter().map(row).collect();
    screen.list(&json!({ "clusters": clusters }), header, &rows)
}

async fn node<W: Write>(
    client: &Client,
    command: NodeCommand,
    screen: &mut Screen<W>,
) -> Result<(), CliError> {
    match command {
        NodeCommand::Add(args) => {
            let (cluster, node) = spec(args);
            client.put_node(&cluster, &node).await?;
            screen.done("node", &format!("{cluster}/{}", node.name), "added")
        }
        NodeCommand::Remove { cluster, node } => {
            client.remove_node(&cluster.0, &node).await?;
            screen.done("node", &format!("{}/{node}", cluster.0), "removed")
        }
        NodeCommand::Health { cluster, node, health } => {
            let (health, result) = node_health(health);
            client.set_node_health(&cluster.0, &node, health).await?;
            screen.done("node", &format!("{}/{node}", cluster.0), result)
        }
        NodeCommand::List { cluster } => nodes(&client.nodes(&cluster.0).await?, screen),
    }
}

fn node_health(health: NodeHealthArg) -> (NodeHealth, &'static str) {
    match health {
        NodeHealthArg::Ready => (NodeHealth::Ready, "is ready"),
        NodeHealthArg::NotReady => (NodeHealth::NotReady, "is not ready"),
        NodeHealthArg::Unreachable => (NodeHealth::Unreachable, "is unreachable"),
    }
}

fn member_health(health: MemberArg) -> (MemberHealth, &'static str) {
    match health {
        MemberArg::Healthy => (MemberHealth::Healthy, "is healthy"),
        MemberArg::Lost => (MemberHealth::Lost, "is lost"),
        MemberArg::Learner => (MemberHealth::Learner, "is a learner"),
        MemberArg::NoSpace => (MemberHealth::NoSpace, "has no space"),
        MemberArg::Corrupt => (MemberHealth::Corrupt, "is corrupt"),
    }
}

fn spec(args: NodeAddArgs) -> (ClusterName, NodeSpec) {
    let NodeAddArgs { cluster, node: name, control_plane, provider_id, uuid, labels, version } =
        args;
    let mut node =
        NodeSpec { name, provider_id, uuid, labels: labels.into_iter().collect(), version };
    if control_plane {
        node.labels.entry(CONTROL_PLANE_LABEL.to_owned()).or_default();
    }
    (cluster.0, node)
}

fn nodes<W: Write>(nodes: &[NodeSpec], screen: &mut Screen<W>) -> Result<(), CliError> {
    let row = |node: &NodeSpec| {
        let role = if node.control_plane() { "control-plane" } else { "worker" };
        [
            node.name.clone(),
            role.to_owned(),
            node.version.clone().unwrap_or_default(),
            node.provider_id.clone().unwrap_or_default(),
            node.uuid.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = nodes.iter().map(row).collect();
    let header = ["NAME", "ROLE", "VERSION", "PROVIDER-ID", "UUID"];
    screen.list(&json!({ "nodes": nodes }), header, &rows)
}

async fn fault<W: Write>(
    client: &Client,
    args: FaultArgs,
    screen: &mut Screen<W>,
) -> Result<(), CliError> {
    let FaultArgs { cluster, mode, per_mille } = args;
    let (fault, result) = match (mode, per_mille) {
        (FaultMode::None, None) => (Fault::None, "has no fault".to_owned()),
        (FaultMode::Blackhole, None) => (Fault::Blackhole, "drops all packets".to_owned()),
        (FaultMode::Drop, Some(per_mille)) => {
            (Fault::Drop { per_mille }, format!("drops {per_mille} of 1000 packets"))
        }
        (FaultMode::Drop, None) => return Err(CliError::Arguments("drop needs --per-mille")),
        (FaultMode::None | FaultMode::Blackhole, Some(_)) => {
            return Err(CliError::Arguments("--per-mille goes with drop only"));
        }
    };
    client.set_fault(&cluster.0, fault).await?;
    screen.done("cluster", &cluster.0.to_string(), &result)
}
