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
    }
}
