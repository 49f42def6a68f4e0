//! The fakeapi program: its command line, its log, its exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fakeapi::app::{self, RunOptions};
use tracing_subscriber::EnvFilter;

/// Impersonate many Kubernetes clusters on one machine, each at an address of its own.
#[derive(Parser)]
#[command(name = "fakeapi", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve clusters until a signal says to stop
    Run(Box<RunOptions>),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => run(*options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fakeapi: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: RunOptions) -> anyhow::Result<()> {
    log();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(app::run(options))
}

/// Logs to stderr, so that what a user asked for stands alone on stdout.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
