//! The one door for developers.

mod generate;

use clap::{Parser, Subcommand};

/// The one door for developers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Regenerate the Kubernetes data embedded in the `apiserver` crate
    Gen(generate::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Gen(args) => generate::run(&args),
use clap::Parser;

mod ebpf;

#[derive(Parser)]
enum Task {
    /// Builds the committed kernel object, or checks that it is what the sources give.
    Ebpf {
        /// Compare instead of writing.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Ebpf { check } => ebpf::run(check),
    }
}
