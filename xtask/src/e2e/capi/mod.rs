//! `cargo xtask e2e capi`: clusters of the program under real Cluster API controllers.
//!
//! The management cluster is real (etcd, kube-apiserver, garbage collection), and so are Cluster
//! API's core, bootstrap and control-plane managers. Only machines are not: the test is the
//! infrastructure provider, and every answer of a workload cluster is the program's.

mod programs;

use std::fs;
use std::path::Path;

use anyhow::Result;

use self::programs::Sources;
use super::management::{GoModule, Management};
use crate::tally::Tally;
use crate::workspace::target;

/// How much of it is done.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Use a program built without optimizations
    #[arg(long)]
    debug: bool,
}

/// Starts everything and drives it.
///
/// # Errors
/// When a part cannot be had or started.
pub(super) fn run(_args: &Args) -> Result<Tally> {
    let sources = match Sources::build()? {
        Ok(sources) => sources,
        Err(reason) => {
            println!("SKIP e2e capi: {reason}");
            return Ok(Tally::one_skipped());
        }
    };
    let folder = target().join("e2e/capi");
    empty(&folder)?;
    let binaries = GoModule::binaries();
    let mut management = Management::start(&folder, &binaries)?;
    management.add(&sources.managers(), &binaries)?;
    management.check()?;
    Ok(Tally::one(true))
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}
