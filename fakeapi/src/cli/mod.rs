//! The command line.
//!
//! Everything but starting the program itself is a client of the control port: what a person can
//! do here, a script can do with curl, and the program sees no difference.
//!
//! A command that is not a client is a variant of its own in [`Command`]; [`ControlCommand`] holds
//! the clients.

mod args;
mod behaviour;
mod entry;
mod error;
mod execute;
mod output;
mod table;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use args::{
    AuthorityArgs, ClusterArg, ControlCommand, EtcdCommand, FaultArgs, FaultMode, MemberArg,
    NodeAddArgs, NodeCommand, NodeHealthArg, RegisterArgs,
};
pub use behaviour::{BehaviourCommand, OutageArg, SetArgs};
pub use error::CliError;
pub use output::{Format, Screen};

use crate::app::RunOptions;
use crate::client::Client;
use crate::fkas::with_causes;
use crate::manage::ReconcileCommand;

/// Impersonates many Kubernetes clusters on one machine, each at a virtual address of its own.
#[derive(Clone, Debug, Parser)]
#[command(name = "fakeapi", version, arg_required_else_help = true)]
pub struct Cli {
    /// The control port of a running fakeapi.
    #[arg(
        long,
        global = true,
        env = "FAKEAPI_SERVER",
        default_value = "http://127.0.0.1:3333",
        value_name = "URL"
    )]
    pub server: String,

    /// How answers are shown.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Format,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can be told to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serves clusters until a signal says to stop.
    Run(Box<RunOptions>),

    /// Keeps the clusters behind a control port as a management cluster says.
    Reconcile(Box<ReconcileCommand>),

    /// Asks a running fakeapi.
    #[command(flatten)]
    Control(ControlCommand),

    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

impl Cli {
    /// Asks the control port and shows what it says on standard output.
    ///
    /// # Errors
    /// The server cannot be asked or refuses, a file cannot be read, or the output is gone. A
    /// reader that has seen enough (`| head`) is no error.
    pub async fn ask(
        server: &str,
        format: Format,
        command: ControlCommand,
    ) -> Result<(), CliError> {
        let client = Client::new(server)?;
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let mut screen = Screen::new(BufWriter::new(stdout), format, terminal);
        let outcome = match execute::execute(&client, command, &mut screen).await {
            Ok(()) => screen.flush().map_err(CliError::from),
            failed => failed,
        };
        match outcome {
            Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Writes the completion script for `shell`.
    ///
    /// # Errors
    /// The output is gone.
    pub fn completions(shell: Shell, out: &mut dyn Write) -> Result<(), CliError> {
        // The generator panics where a write fails, so it writes to memory.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Self::command(), "fakeapi", &mut script);
        Ok(out.write_all(&script)?)
    }
}

/// Says on standard error, in one line, why a command failed, and gives the exit code: 0 done,
/// 1 failed, 2 wrong usage (as clap's own).
pub fn exit_code(outcome: Result<(), CliError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fakeapi: {}", with_causes(&error));
            ExitCode::from(error.code())
        }
    }
}
