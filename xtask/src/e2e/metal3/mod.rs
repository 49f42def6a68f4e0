//! `cargo xtask e2e metal3`: clusters of bare-metal hosts under metal3's real controllers.
//!
//! Cluster API, CAPM3, the bare metal operator in its test mode and metal3's IPAM run as they are,
//! by their own manifests, on a real management cluster. Hosts become provisioned, and nodes are
//! there because the program's reconciler saw it: nobody calls `/updateNode`.

mod checks;
mod clusters;
mod hosts;
mod managers;
mod nodes;
mod plan;
mod story;
mod template;
mod traffic;
mod world;

use std::fs;

use anyhow::Result;

use self::checks::Checks;
use self::world::World;
use crate::tally::Tally;
use crate::workspace::{Profile, build_program, target};

/// How much of it is done.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many clusters: the first, third, ... by the reconciler, the others by `/register`
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(2..=500))]
    clusters: u16,
    /// How many workers each begins with
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=10))]
    workers: u16,
    /// Use a program built without optimizations
    #[arg(long)]
    debug: bool,
}

/// Starts everything and lets clusters live.
///
/// # Errors
/// When a part cannot be had or started.
pub(super) fn run(args: &Args) -> Result<Tally> {
    let managers = match managers::all()? {
        Ok(managers) => managers,
        Err(reason) => {
            println!("SKIP e2e metal3: {reason}");
            return Ok(Tally::one_skipped());
        }
    };
    let program = build_program(Profile::of(args.debug))?;
    let folder = target().join("e2e/metal3");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let plans = plan::plans(args.clusters.into(), args.workers.into());
    let mut world = World::start(&folder, &program, &managers)?;
    let mut checks = Checks::default();
    if let Err(error) = story::tell(&mut world, &plans, &mut checks) {
        checks.broken(&error);
    }
    print!("{}", checks.table());
    match world.traffic() {
        Ok(traffic) => print!("{}", traffic.table()),
        Err(error) => checks.broken(&error),
    }
    if let Err(error) = world.stop() {
        checks.broken(&error);
    }
    println!("logs and kubeconfigs are in {}", folder.display());
    Ok(checks.tally())
}
