//! `cargo xtask run`: the program, built and started with data under `target/`.
//!
//! A developer gets a cluster to talk to with one command and no arguments, and what a run leaves
//! behind goes with `cargo clean`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{Profile, build_program, target};

/// What runs when nothing is asked for.
const DEFAULT: [&str; 4] = ["--clusters", "1", "--nodes", "3"];

/// How the program is built and what it is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build without optimizations
    #[arg(long)]
    debug: bool,
    /// What `fakeapi run` is told
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Becomes the program, so that signals and the exit code are its own.
///
/// # Errors
/// When it cannot be built or started; otherwise this does not return.
pub(crate) fn run(args: &Args) -> Result<()> {
    let program = build_program(Profile::of(args.debug))?;
    let folder = target().join("fakeapi");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let mut command = Command::new(&program);
    command.arg("run");
    if args.args.is_empty() {
        command.args(DEFAULT);
    } else {
        command.args(&args.args);
    }
    if !given(
        &args.args,
        &["--data-dir", "--ephemeral"],
        &["FAKEAPI_DATA_DIR", "FAKEAPI_EPHEMERAL"],
    ) {
        command.arg("--data-dir").arg(folder.join("data"));
    }
    if !given(&args.args, &["--write-kubeconfig"], &["FAKEAPI_WRITE_KUBECONFIG"]) {
        command.arg("--write-kubeconfig").arg(folder.join("kubeconfig"));
    }
    let error = command.exec();
    Err(error).with_context(|| format!("{} could not be run", program.display()))
}

/// Whether the user chose one of these options by flag or environment.
fn given(args: &[String], flags: &[&str], variables: &[&str]) -> bool {
    variables.iter().any(|name| std::env::var_os(name).is_some()) || names(args, flags)
}

fn names(args: &[String], flags: &[&str]) -> bool {
    args.iter()
        .any(|arg| flags.contains(&arg.split_once('=').map_or(arg.as_str(), |(flag, _)| flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_seen_in_both_spellings() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(names(&args("--clusters 3 --data-dir /x"), &["--data-dir"]));
        assert!(names(&args("--data-dir=/x"), &["--data-dir"]));
        assert!(!names(&args("--data-directory=/x y"), &["--data-dir"]));
        assert!(!names(&[], &["--data-dir"]));
    }
}
