//! `cargo xtask e2e capi`: clusters of the program under real Cluster API controllers.
//!
//! The management cluster is real (etcd, kube-apiserver, garbage collection), and so are Cluster
//! API's core, bootstrap and control-plane managers. Only machines are not: the test is the
//! infrastructure provider, and every answer of a workload cluster is the program's.
//!
//! Three parts run at the same time, for controllers mostly wait: the whole life of one cluster,
//! many clusters at once, and clusters whose program is killed while they grow. Each has a program
//! and a namespace of its own.

mod crowd;
mod failures;
mod kills;
mod life;
mod paths;
mod programs;
mod provider;
mod report;
mod stage;
mod subject;
mod wait;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

pub(super) use self::programs::{BOOTSTRAP, CONTROL_PLANE, CORE, Sources};
use self::report::Report;
use self::stage::Stage;
use super::management::{GoModule, Management};
use super::random::Random;
use crate::tally::Tally;
use crate::workspace::{Profile, build_program, target};

/// How much of it is done.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Life, Part::Crowd, Part::Kills])]
    parts: Vec<Part>,
    /// How many clusters are made at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=999))]
    clusters: u32,
    /// How often the program is killed while clusters grow
    #[arg(long, default_value_t = 6)]
    kills: u32,
    /// What decides when; by the clock when absent
    #[arg(long)]
    seed: Option<u64>,
    /// Use a program built without optimizations
    #[arg(long)]
    debug: bool,
}

/// A part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The whole life of one cluster
    Life,
    /// Many clusters at once
    Crowd,
    /// Clusters whose program is killed while they grow
    Kills,
}

impl Part {
    /// Its namespace, and its folder.
    fn name(self) -> &'static str {
        match self {
            Self::Life => "life",
            Self::Crowd => "crowd",
            Self::Kills => "kills",
        }
    }

    fn run(self, stage: Stage, args: &Args) -> Report {
        match self {
            Self::Life => life::run(stage),
            Self::Crowd => crowd::run(stage, args.clusters),
            Self::Kills => kills::run(stage, args.kills, args.seed.unwrap_or_else(Random::seed)),
        }
    }
}

/// Starts everything and drives it.
///
/// # Errors
/// When a part cannot be had or started.
pub(super) fn run(args: &Args) -> Result<Tally> {
    let program = build_program(Profile::of(args.debug))?;
    let sources = match Sources::build()? {
        Ok(sources) => sources,
        Err(reason) => {
            println!("SKIP e2e capi: {reason}");
            return Ok(Tally::one_skipped());
        }
    };
    let folder = target().join("e2e/capi");
    empty(&folder)?;
    let began = Instant::now();
    let mut management = prepare(&folder, &sources)?;
    println!("a management cluster runs after {:.0} s", began.elapsed().as_secs_f64());
    let mut stages = Vec::new();
    for part in [Part::Life, Part::Crowd, Part::Kills] {
        if args.parts.contains(&part) {
            stages.push((part, Stage::start(part.name(), &program, &management, &folder)?));
        }
    }
    let mut tally = Tally::default();
    for report in perform(stages, args)? {
        tally += report.close();
    }
    failures::tell(&management)?;
    let alive = management.check();
    if let Err(error) = &alive {
        println!("FAIL the management cluster still runs: {error:#}");
    }
    tally += Tally::one(alive.is_ok());
    if tally.failed > 0 {
        println!("logs and kubeconfigs are in {}", folder.display());
    }
    Ok(tally)
}

/// A management cluster with all managers, and the test's own definitions and rights.
fn prepare(folder: &Path, sources: &Sources) -> Result<Management> {
    let binaries = GoModule::binaries();
    let mut management = Management::start(folder, &binaries)?;
    let kubectl = management.kubectl();
    for name in ["crds/testclusters", "crds/testmachines", "crds/testmachinetemplates", "rights"] {
        let text = subject::template(&format!("{name}.yaml"))?;
        kubectl.apply(text.as_bytes()).with_context(|| name.to_owned())?;
    }
    management.add(&sources.managers(), &binaries)?;
    Ok(management)
}

/// Runs every part in a thread of its own.
fn perform(stages: Vec<(Part, Stage)>, args: &Args) -> Result<Vec<Report>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = stages
            .into_iter()
            .map(|(part, stage)| scope.spawn(move || part.run(stage, args)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked")))
            .collect()
    })
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
