//! The one door for developers.

mod e2e;
mod ebpf;
mod generate;
mod image;
mod libraries;
mod lint;
mod run;
mod tally;
mod test;
mod vm;
mod workspace;

use clap::{Parser, Subcommand};

/// The one door for developers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the program and run it; without arguments: one cluster of three nodes
    Run(run::Args),
    /// Run every test that this machine can run, and sum them up
    Test(test::Args),
    /// Use the running program as real clients do
    #[command(subcommand)]
    E2e(e2e::Command),
    /// Check format and lints as CI does
    Lint,
    /// Build the committed kernel object, or check that it is what the sources give
    Ebpf {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
    /// Regenerate the Kubernetes data embedded in the `apiserver` crate
    Gen(generate::Args),
    /// Write the container image as an archive, without a container engine
    Image(image::Args),
    /// Run the kernel tests in virtual machines with Debian's kernels
    Vm {
        /// Kernel series, such as 6.1
        #[arg(default_values = ["6.1", "6.12"])]
        versions: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Test(args) => test::run(&args),
        Command::E2e(command) => e2e::run(&command),
        Command::Lint => lint::run()?.close(),
        Command::Ebpf { check } => ebpf::run(check),
        Command::Gen(args) => generate::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Vm { versions } => vm::run(&versions),
    }
}
