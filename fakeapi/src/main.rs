//! The fakeapi program: its command line, its log, its exit code.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use fakeapi::app;
use fakeapi::cli::{self, Cli, Command};
use tokio::runtime;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let Cli { server, output, command } = Cli::of_this_process();
    match command {
        Command::Run(options) => run(app::run(*options)),
        Command::Reconcile(command) => run(app::reconcile(&server, *command)),
        Command::Completions { shell } => {
            cli::exit_code(Cli::completions(shell, &mut io::stdout()))
        }
        Command::Control(command) => {
            match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => cli::exit_code(runtime.block_on(Cli::ask(&server, output, command))),
                Err(error) => failed(&error.into()),
            }
        }
    }
}

fn run(program: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    log();
    let outcome = runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(program));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("fakeapi: {error:#}");
    ExitCode::FAILURE
}

/// Logs to stderr, so that what a user asked for stands alone on stdout.
///
/// `RUST_LOG` says what is logged; without it, FKAS's `DEBUG=true` is understood.
fn log() {
    let debug = std::env::var("DEBUG").is_ok_and(|value| value == "true");
    let level = if debug { "debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}
