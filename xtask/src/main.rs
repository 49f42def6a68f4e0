//! The one door for developers.

mod ebpf;
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
    /// Build the committed kernel object, or check that it is what the sources give
    Ebpf {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Gen(args) => generate::run(&args),
        Command::Ebpf { check } => ebpf::run(check),
    }
}
