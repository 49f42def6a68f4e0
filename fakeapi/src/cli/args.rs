//! The arguments of the commands that ask a running fakeapi.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};

use super::behaviour::BehaviourCommand;
use crate::register::ClusterName;

/// The namespace of a bare name.
const DEFAULT_NAMESPACE: &str = "default";

/// A cluster on the command line: `NAMESPACE/NAME`, or `NAME` in the namespace `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterArg(pub ClusterName);

impl FromStr for ClusterArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let bare = |_| ClusterName::new(DEFAULT_NAMESPACE, text);
        Ok(Self(text.parse().unwrap_or_else(bare)))
    }
}

/// What a running fakeapi can be asked.
#[derive(Clone, Debug, Subcommand)]
pub enum ControlCommand {
    /// Registers a cluster and prints where it is served.
    Register(Box<RegisterArgs>),

    /// Takes a cluster away, with all it holds.
    Unregister {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
    },

    /// Lists the clusters.
    List,

    /// Prints a kubeconfig for a cluster's administrator.
    Kubeconfig {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
    },

    /// Prints the Secrets of a cluster's CAs, ready to apply to a management cluster.
    Secrets {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
    },

    /// Adds, removes and lists the nodes of a cluster.
    #[command(subcommand)]
    Node(NodeCommand),

    /// Changes how the etcd members of a cluster fare.
    #[command(subcommand)]
    Etcd(EtcdCommand),

    /// Lets clusters behave otherwise than well: slow, erring, out of service.
    #[command(subcommand)]
    Behaviour(BehaviourCommand),

    /// Sets what the kernel does with a cluster's packets.
    Fault(FaultArgs),

    /// Shows what the edges saw for a cluster's address.
    Traffic {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
    },
}

/// `register`.
#[derive(Clone, Debug, Args)]
pub struct RegisterArgs {
    /// The cluster.
    #[arg(value_name = "[NAMESPACE/]NAME")]
    pub cluster: ClusterArg,

    /// The address to serve it at; by default one of the pool.
    #[arg(long, value_name = "IP:PORT")]
    pub address: Option<SocketAddr>,

    /// Its CAs; by default those of its Secrets, else fakeapi makes them.
    #[command(flatten)]
    pub authorities: AuthorityArgs,

    /// The Kubernetes version it shows until a node says otherwise.
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,

    /// A label, by which rules of behaviour select it; may be given many times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,
}

/// Certificate authorities as files.
#[derive(Clone, Debug, Default, Args)]
pub struct AuthorityArgs {
    /// The cluster CA's certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    pub ca_cert: Option<PathBuf>,

    /// The cluster CA's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    pub ca_key: Option<PathBuf>,

    /// The etcd CA's certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "etcd_key")]
    pub etcd_cert: Option<PathBuf>,

    /// The etcd CA's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "etcd_cert")]
    pub etcd_key: Option<PathBuf>,
}

/// `node`.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// Adds a node or changes the one that is there. The first control-plane node activates the
    /// cluster.
    Add(NodeAddArgs),

    /// Removes a node, its pods and its lease.
    Remove {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
        /// The node.
        #[arg(value_name = "NODE")]
        node: String,
    },

    /// Lets a node's kubelet fare otherwise.
    Health {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
        /// The node.
        #[arg(value_name = "NODE")]
        node: String,
        /// How it fares.
        #[arg(value_enum)]
        health: NodeHealthArg,
    },

    /// Lists the nodes of a cluster.
    List {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
    },
}

/// `node add`.
#[derive(Clone, Debug, Args)]
pub struct NodeAddArgs {
    /// The cluster.
    #[arg(value_name = "[NAMESPACE/]NAME")]
    pub cluster: ClusterArg,

    /// The node.
    #[arg(value_name = "NODE")]
    pub node: String,

    /// Makes it a control-plane node.
    #[arg(long)]
    pub control_plane: bool,

    /// Its `spec.providerID`.
    #[arg(long, value_name = "ID")]
    pub provider_id: Option<String>,

    /// Its label `metal3.io/uuid`.
    #[arg(long, value_name = "UUID")]
    pub uuid: Option<String>,

    /// A label; may be given many times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,

    /// The kubelet's version; by default the cluster's.
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
}

/// How a node's kubelet fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NodeHealthArg {
    /// It reports that the node is ready.
    Ready,
    /// It reports that the node is not ready.
    NotReady,
    /// It reports nothing any more.
    Unreachable,
}

/// `etcd`.
#[derive(Clone, Debug, Subcommand)]
pub enum EtcdCommand {
    /// Lets the member on a control-plane node fare otherwise.
    Member {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
        /// The node.
        #[arg(value_name = "NODE")]
        node: String,
        /// How it fares.
        #[arg(value_enum)]
        health: MemberArg,
    },

    /// Gives leadership to another member.
    MoveLeader {
        /// The cluster.
        #[arg(value_name = "[NAMESPACE/]NAME")]
        cluster: ClusterArg,
        /// The node whose member is to lead; the next one when absent.
        #[arg(value_name = "NODE")]
        node: Option<String>,
    },
}

/// How an etcd member fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MemberArg {
    /// It serves.
    Healthy,
    /// Its process is gone.
    Lost,
    /// It has no vote yet.
    Learner,
    /// It raises the alarm NOSPACE.
    NoSpace,
    /// It raises the alarm CORRUPT.
    Corrupt,
}

/// `fault`.
#[derive(Clone, Debug, Args)]
pub struct FaultArgs {
    /// The cluster.
    #[arg(value_name = "[NAMESPACE/]NAME")]
    pub cluster: ClusterArg,

    /// What to do with its packets.
    #[arg(value_enum)]
    pub mode: FaultMode,

    /// For `drop`: how many of a thousand packets.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(0..=1000),
        required_if_eq("mode", "drop")
    )]
    pub per_mille: Option<u16>,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FaultMode {
    /// Nothing.
    None,
    /// Drop all.
    Blackhole,
    /// Drop a share.
    Drop,
}

pub(super) fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is KEY=VALUE")?;
    if key.is_empty() {
        return Err("a label has a key".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}
