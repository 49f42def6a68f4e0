//! The one door for developers.

mod ebpf;
mod generate;
mod vm;

use clap::{Parser, Subcommand};

/// The one door for developers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the committed kernel object, or check that it is what the sources give
    Ebpf {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
    /// Regenerate the Kubernetes data embedded in the `apiserver` crate
    Gen(generate::Args),
    /// Run the kernel tests in virtual machines with Debian's kernels
    Vm {
        /// Kernel series, such as 6.1
        #[arg(default_values = ["6.1", "6.12"])]
        versions: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Ebpf { check } => ebpf::run(check),
        Command::Gen(args) => generate::run(&args),
        Command::Vm { versions } => vm::run(&versions),
    }
}
