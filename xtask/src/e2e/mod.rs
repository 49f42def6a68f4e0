//! `cargo xtask e2e`: the running program under clients that know nothing of it.
//!
//! What a test of ours asserts about our own wire format proves little; what `kubectl`, `openssl`
//! and `curl` make of it is what users see.

mod capi;
mod density;
mod etcd;
mod http;
mod kubectl;
mod management;
mod metal3;
mod program;
mod random;
mod steps;

use anyhow::Result;

/// Which client, and how much of it.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The steps in `tests/clients/kubectl`, each file against a cluster of its own
    Kubectl(kubectl::Args),
    /// The life of clusters under real Cluster API controllers
    Capi(capi::Args),
    /// One script of etcd's client against real members and fake ones
    Etcd(etcd::Args),
    /// Clusters of bare-metal hosts under metal3's real controllers
    Metal3(metal3::Args),
    /// Many clusters registered over HTTP, and kubectl asking a sample of them for their nodes
    Density(density::Args),
}

/// Runs one of them and prints its closing line.
///
/// # Errors
/// When a check failed, or the program could not be built or started.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Kubectl(args) => kubectl::run(args)?.close(),
        Command::Capi(args) => capi::run(args)?.close(),
        Command::Etcd(args) => etcd::run(args)?.close(),
        Command::Metal3(args) => metal3::run(args)?.close(),
        Command::Density(args) => density::run(args)?.close(),
    }
}
