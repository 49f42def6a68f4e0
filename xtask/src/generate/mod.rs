//! `cargo xtask gen`: the Kubernetes data the `apiserver` crate embeds, made from the Go modules
//! of one Kubernetes release, so that what we serve is what that release serves; and the servers
//! of etcd's services.
//!
//! A protobuf compiler and a YAML reader are needed for it and for nothing else, so they stand
//! behind the cargo feature `generate`; without it the command starts itself again with it.

#[cfg(feature = "generate")]
mod discovery;
#[cfg(feature = "generate")]
mod etcd;
#[cfg(feature = "generate")]
mod modules;
#[cfg(feature = "generate")]
mod openapi;
#[cfg(feature = "generate")]
mod openapi_v2_proto;
#[cfg(feature = "generate")]
mod output;
#[cfg(feature = "generate")]
mod pipeline;
#[cfg(feature = "generate")]
mod proto;
#[cfg(feature = "generate")]
mod rbac;
#[cfg(feature = "generate")]
mod types;
#[cfg(feature = "generate")]
mod vectors;

use std::path::PathBuf;

/// The release the program impersonates when nothing else is asked for.
const DEFAULT_RELEASE: &str = "1.36.3";

/// Options of `cargo xtask gen`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Compare with the committed files instead of writing them
    #[arg(long)]
    check: bool,
    /// Also remake the test vectors, by running a Go program that needs more modules
    #[arg(long, conflicts_with = "check")]
    vectors: bool,
    /// Only the servers of etcd's services
    #[arg(long, conflicts_with = "vectors")]
    etcd: bool,
    /// Kubernetes release, without the leading `v`
    #[arg(long, default_value = DEFAULT_RELEASE)]
    release: String,
    /// Folder to write to
    #[arg(long, default_value_os_t = default_folder())]
    out: PathBuf,
}

fn default_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fakeapi/apiserver/src/generated")
}

/// Generates, or starts the generator with the feature it needs.
#[cfg(feature = "generate")]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    pipeline::run(args)
}

/// Generates, or starts the generator with the feature it needs.
#[cfg(not(feature = "generate"))]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command
        .args(["run", "--quiet", "--package", "xtask", "--features", "generate", "--", "gen"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["--release", &args.release])
        .arg("--out")
        .arg(std::path::absolute(&args.out)?);
    if args.check {
        command.arg("--check");
    }
    if args.vectors {
        command.arg("--vectors");
    }
    if args.etcd {
        command.arg("--etcd");
    }
    let status = command.status()?;
    anyhow::ensure!(status.success(), "the generator ended with {status}");
    Ok(())
}
