//! What the reconciler is told.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use apiserver::selector::LabelSelector;
use clap::{Args, ValueEnum};

use super::plan::Register;

/// How a management cluster is reconciled.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Reconciling a management cluster")]
pub struct ReconcileOptions {
    /// Which of its Clusters are registered: those of metal3, any, or never one (users do)
    #[arg(
        long,
        env = "FAKEAPI_RECONCILE_CLUSTERS",
        value_enum,
        default_value = "metal3",
        value_name = "metal3|any|never"
    )]
    pub reconcile_clusters: Register,

    /// Only Clusters with these labels
    #[arg(
        long,
        env = "FAKEAPI_RECONCILE_SELECTOR",
        default_value = "",
        hide_default_value = true,
        value_name = "SELECTOR"
    )]
    pub reconcile_selector: Selector,

    /// Look at this namespace only
    #[arg(long, env = "FAKEAPI_RECONCILE_NAMESPACE", value_name = "NAMESPACE")]
    pub reconcile_namespace: Option<String>,

    /// Whether the Secrets with a Cluster's CAs are made here when they are missing, or left to
    /// its control-plane provider
    #[arg(
        long,
        env = "FAKEAPI_RECONCILE_SECRETS",
        value_enum,
        default_value = "create",
        value_name = "create|leave"
    )]
    pub reconcile_secrets: Secrets,

    /// After how many seconds everything is compared again
    #[arg(long, env = "FAKEAPI_RECONCILE_RESYNC", default_value_t = 600, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub reconcile_resync: u64,

    /// How many objects are worked on at once
    #[arg(long, env = "FAKEAPI_RECONCILE_WORKERS", default_value = "16", value_name = "N")]
    pub reconcile_workers: NonZeroUsize,

    /// The Lease whose holder reconciles; its namespace is that of the pod or the kubeconfig when
    /// none is named
    #[arg(
        long,
        env = "FAKEAPI_RECONCILE_LEASE",
        default_value = "fakeapi-reconciler",
        value_name = "[NAMESPACE/]NAME"
    )]
    pub reconcile_lease: String,

    /// Reconcile without a Lease: nobody else does
    #[arg(long, env = "FAKEAPI_RECONCILE_ALONE")]
    pub reconcile_alone: bool,
}

/// Whether missing Secrets are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Secrets {
    /// They are.
    Create,
    /// They are not.
    Leave,
}

/// A label selector, as kubectl writes it.
#[derive(Clone, Debug)]
pub struct Selector(pub LabelSelector);

impl FromStr for Selector {
    type Err = apiserver::selector::SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        LabelSelector::parse(text).map(Self)
    }
}

/// Reconcile a management cluster with the fakeapi behind a control port.
#[derive(Args, Clone, Debug)]
pub struct ReconcileCommand {
    /// The management cluster; by default the one this pod runs in
    #[arg(long, env = "KUBECONFIG_MANAGEMENT", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The management cluster is the one this pod runs in
    #[arg(long, env = "FAKEAPI_IN_CLUSTER", conflicts_with = "kubeconfig")]
    pub in_cluster: bool,

    /// How it is reconciled
    #[command(flatten)]
    pub options: ReconcileOptions,
}
