//! What `fakeapi run` is told.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use crate::journal::SyncPolicy;
use crate::manage::ReconcileOptions;
use crate::netlink::Mode;

/// The first and last port that FKAS gives to clusters.
pub const FKAS_PORTS: RangeInclusive<u16> = 20_000..=30_000;

/// The port of FKAS's contract.
pub const CONTROL_PORT: u16 = 3_333;

/// Serve clusters until a signal says to stop.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct RunOptions {
    /// Begin with this many clusters, named default/cluster-00001 and so on
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub clusters: u32,

    /// Give each of them this many nodes, the first a control plane
    #[arg(long, default_value_t = 1, value_name = "N", requires = "clusters")]
    pub nodes: u32,

    /// How cluster addresses reach this machine; chosen by what is given when absent
    #[arg(long, env = "FAKEAPI_MODE", value_name = "loopback|prefix|secondary|port")]
    pub mode: Option<Mode>,

    /// A pool of cluster addresses; may be repeated
    #[arg(long = "pool", env = "FAKEAPI_POOLS", value_delimiter = ',', value_name = "CIDR")]
    pub pools: Vec<IpNet>,

    /// One address for all clusters, each on a port of its own (FKAS's way)
    #[arg(long, env = "POD_IP", value_name = "IP")]
    pub ip: Option<IpAddr>,

    /// The ports to give out on that address
    #[arg(long, env = "FAKEAPI_PORTS", default_value = "20000-30000", value_name = "FIRST-LAST")]
    pub ports: PortRange,

    /// The port every cluster is served on, where each has an address of its own
    #[arg(long, env = "FAKEAPI_SECURE_PORT", default_value_t = 6443, value_name = "PORT")]
    pub secure_port: u16,

    /// Where clusters are registered
    #[arg(long, env = "FAKEAPI_CONTROL_ADDRESS", default_value = "127.0.0.1:3333")]
    pub control_address: SocketAddr,

    /// Begin with the rules of behaviour in this file (YAML)
    #[arg(long, env = "FAKEAPI_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where what must survive is kept
    #[arg(long, env = "FAKEAPI_DATA_DIR", value_name = "DIR", conflicts_with = "ephemeral")]
    pub data_dir: Option<PathBuf>,

    /// Keep nothing
    #[arg(long, env = "FAKEAPI_EPHEMERAL")]
    pub ephemeral: bool,

    /// Keep nothing, and say so, where no data directory is named and the default one cannot be
    /// written
    #[arg(long, env = "FAKEAPI_DATA_OPTIONAL")]
    pub data_optional: bool,

    /// When written objects are forced to the disk: always, never, or after this many
    /// milliseconds (registrations always are)
    #[arg(long, env = "FAKEAPI_SYNC", default_value = "200", value_name = "always|never|MS")]
    pub sync: Sync,

    /// How many threads serve; one a core when absent
    #[arg(long, env = "FAKEAPI_WORKERS", value_name = "N")]
    pub workers: Option<NonZeroU32>,

    /// Whether the kernel steers connections
    #[arg(long, env = "FAKEAPI_KERNEL", value_enum, default_value_t = Kernel::Auto)]
    pub kernel: Kernel,

    /// A link at whose edge packets are judged, counted and answered; may be repeated
    #[arg(long = "edge", env = "FAKEAPI_EDGES", value_delimiter = ',', value_name = "LINK")]
    pub edges: Vec<String>,

    /// Answer ARP and neighbour solicitations for cluster addresses at these edges
    #[arg(long, env = "FAKEAPI_NEIGHBOURS")]
    pub neighbours: bool,

    /// Answer TCP to free pool addresses at the edges with a reset instead of silence
    #[arg(long, env = "FAKEAPI_RESET")]
    pub reset: bool,

    /// Let the kernel programs log what they decide
    #[arg(long, env = "FAKEAPI_KERNEL_LOG")]
    pub kernel_log: bool,

    /// The most addresses the kernel side has room for
    #[arg(long, env = "FAKEAPI_MAX_ADDRESSES", default_value_t = 131_072, value_name = "N")]
    pub max_addresses: u32,

    /// Leave addresses and routes in place at the end
    #[arg(long, env = "FAKEAPI_KEEP_ADDRESSES")]
    pub keep_addresses: bool,

    /// Let everybody do everything, as FKAS does
    #[arg(long, env = "FAKEAPI_ANONYMOUS_ADMIN")]
    pub anonymous_admin: bool,

    /// The management cluster whose Secrets hold the clusters' CAs
    #[arg(long, env = "KUBECONFIG_MANAGEMENT", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The management cluster is the one this pod runs in
    #[arg(long, env = "FAKEAPI_IN_CLUSTER", conflicts_with = "kubeconfig")]
    pub in_cluster: bool,

    /// Follow the management cluster: register its Clusters, add and remove their nodes
    #[arg(long, env = "FAKEAPI_RECONCILE")]
    pub reconcile: bool,

    /// How the management cluster is followed
    #[command(flatten)]
    pub reconciling: ReconcileOptions,

    /// Write the kubeconfig of the first cluster here
    #[arg(long, env = "FAKEAPI_WRITE_KUBECONFIG", value_name = "FILE")]
    pub write_kubeconfig: Option<PathBuf>,

    /// Write where the control endpoint is, as JSON, here when clusters are served
    #[arg(long, env = "FAKEAPI_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// How long connections may take to end
    #[arg(long, env = "FAKEAPI_DRAIN_SECONDS", default_value_t = 30, value_name = "SECONDS")]
    pub drain_seconds: u64,
}

/// Whether the kernel steers connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kernel {
    /// Where it can.
    Auto,
    /// It must.
    On,
    /// It must not.
    Off,
}

/// A range of ports, `FIRST-LAST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is no range of ports such as 20000-30000");
        let (first, last) = text.split_once('-').ok_or_else(expected)?;
        let range =
            first.parse().map_err(|_| expected())?..=last.parse().map_err(|_| expected())?;
        if range.is_empty() { Err(expected()) } else { Ok(Self(range)) }
    }
}

/// When written objects are forced to the disk.
#[derive(Clone, Copy, Debug)]
pub struct Sync(pub SyncPolicy);

impl FromStr for Sync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Self(SyncPolicy::Always)),
            "never" => Ok(Self(SyncPolicy::Never)),
            number => number
                .parse()
                .map(|ms| Self(SyncPolicy::Interval(Duration::from_millis(ms))))
                .map_err(|_| format!("{text:?} is neither always, never nor milliseconds")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ports_are_read_and_checked() {
        assert_eq!("20000-30000".parse(), Ok(PortRange(FKAS_PORTS)));
        for bad in ["", "1", "2-1", "a-b", "1-70000"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
    }
}
