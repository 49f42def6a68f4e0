//! `cargo xtask e2e kubectl`: the steps in `tests/clients/kubectl`, run by the real thing.
//!
//! A file is a theme. Each has a cluster of its own with three nodes, a folder of its own to work
//! in, and sees nothing of the others, so one theme's failure is not the next one's.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::http::Connection;
use super::program::Program;
use super::steps::{self, Outcome, Step};
use crate::tally::Tally;
use crate::workspace::{Profile, build_program, has, root, target};

/// How long one command may take, in seconds; `timeout` ends it.
const STEP_SECONDS: &str = "60";

/// How long to wait before a step is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// How many nodes a theme's cluster has.
const NODES: u32 = 3;

/// What of the steps is run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only files whose name contains this
    filter: Option<String>,
    /// Use the program as it is released
    #[arg(long)]
    release: bool,
    /// Also show what passing steps printed
    #[arg(long)]
    verbose: bool,
}

/// One file of steps.
struct Theme {
    name: String,
    steps: Vec<Step>,
}

/// Starts the program and runs every theme against it.
///
/// # Errors
/// When the program cannot be had, or a file of steps is not one.
pub(super) fn run(args: &Args) -> Result<Tally> {
    let themes = themes(args.filter.as_deref())?;
    ensure!(!themes.is_empty(), "no file of steps has that in its name");
    let missing: Vec<_> =
        ["kubectl", "openssl", "curl", "bash"].into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        println!("SKIP e2e kubectl: not on the path: {}", missing.join(", "));
        return Ok(Tally::one_skipped());
    }
    let program = build_program(Profile::of(!args.release))?;
    let folder = target().join("e2e/kubectl");
    empty(&folder)?;
    let program = Program::start(&program, &folder)?;
    let mut tally = Tally::default();
    for theme in &themes {
        tally += run_theme(theme, &folder.join(&theme.name), program.control(), args.verbose)?;
    }
    if tally.failed > 0 {
        println!("the end of the program's log:\n{}", program.log_tail());
        println!("what the steps left is in {}", folder.display());
    }
    let stopped = program.stop();
    match &stopped {
        Ok(()) => println!("ok   the program ends in order"),
        Err(error) => println!("FAIL the program ends in order: {error:#}"),
    }
    tally += Tally::one(stopped.is_ok());
    Ok(tally)
}

/// The files of steps, by name.
fn themes(filter: Option<&str>) -> Result<Vec<Theme>> {
    let folder = root().join("tests/clients/kubectl");
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "steps"));
    files.sort();
    let mut themes = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if filter.is_none_or(|part| name.contains(part)) {
            let text = fs::read_to_string(&file)?;
            let steps = steps::parse(&text).with_context(|| file.display().to_string())?;
            themes.push(Theme { name, steps });
        }
    }
    Ok(themes)
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn run_theme(theme: &Theme, folder: &Path, control: SocketAddr, verbose: bool) -> Result<Tally> {
    let began = Instant::now();
    fs::create_dir_all(folder)?;
    let cluster = theme.name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let kubeconfig = make_cluster(control, cluster)?;
    fs::write(folder.join("kubeconfig"), kubeconfig)?;
    println!("==> {}", theme.name);
    let mut tally = Tally::default();
    for step in &theme.steps {
        let (faults, outcome) = run_step(step, folder, control, cluster)?;
        tally += tell(step, &faults, &outcome, verbose);
    }
    println!("    {tally} in {:.1} s", began.elapsed().as_secs_f64());
    Ok(tally)
}

/// Registers `e2e/NAME` with nodes `NAME-0` (the control plane) and on; its kubeconfig.
fn make_cluster(control: SocketAddr, name: &str) -> Result<String> {
    let mut http = Connection::open(control)?;
    http.request("POST", "/register", &format!(r#"{{"namespace":"e2e","cluster":"{name}"}}"#))?;
    for number in 0..NODES {
        let labels = if number == 0 {
            r#"{"cluster.x-k8s.io/control-plane":""}"#
        } else {
            r#"{"tier":"worker"}"#
        };
        let node = format!(
            r#"{{"namespace":"e2e","cluster":"{name}","nodeName":"{name}-{number}","providerID":"fake:///{number}","labels":{labels}}}"#
        );
        http.request("PUT", "/updateNode", &node)?;
    }
    http.request("GET", &format!("/kubeconfig?resource=e2e/{name}"), "")
}

/// Runs a step until it holds or its time is over.
fn run_step(
    step: &Step,
    folder: &Path,
    control: SocketAddr,
    cluster: &str,
) -> Result<(Vec<String>, Outcome)> {
    let until = Instant::now() + step.within;
    loop {
        let outcome = run_command(step, folder, control, cluster)?;
        let faults = step.faults(&outcome);
        if faults.is_empty() || step.lacks.is_some() || Instant::now() >= until {
            return Ok((faults, outcome));
        }
        std::thread::sleep(PAUSE);
    }
}

/// What every command finds: a kubeconfig, the control port, its cluster's name, a home of its
/// own, and in the file `vars` what former steps left there.
fn run_command(step: &Step, folder: &Path, control: SocketAddr, cluster: &str) -> Result<Outcome> {
    let script = format!("[ ! -e vars ] || . ./vars\n{}", step.command);
    let output = Command::new("timeout")
        .args([STEP_SECONDS, "bash", "-c", &script])
        .current_dir(folder)
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("HOME", folder)
        .env("CONTROL", control.to_string())
        .env("C", cluster)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("DEBUG")
        .stdin(Stdio::null())
        .output()
        .context("timeout could not be run")?;
    Ok(Outcome {
        exit: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Says how a step went, and counts it. A step that is known to fail and does not is a failure:
/// else its mark would outlive what it tells.
fn tell(step: &Step, faults: &[String], outcome: &Outcome, verbose: bool) -> Tally {
    let holds = faults.is_empty();
    let tally = match &step.lacks {
        Some(what) if holds => {
            println!("FAIL {}: holds, but is marked as lacking {what}", step.name);
            return Tally::one(false);
        }
        Some(what) => {
            println!("SKIP {}: lacks {what}", step.name);
            Tally::one_skipped()
        }
        None => {
            println!("{} {}", if holds { "ok  " } else { "FAIL" }, step.name);
            Tally::one(holds)
        }
    };
    if verbose || tally.failed > 0 {
        show(step, faults, outcome);
    }
    tally
}

fn show(step: &Step, faults: &[String], outcome: &Outcome) {
    println!("     $ {}", step.command.replace('\n', "\n     > "));
    for text in [&outcome.stdout, &outcome.stderr] {
        text.lines().for_each(|line| println!("     | {line}"));
    }
    for fault in faults {
        println!("     - {}", fault.replace('\n', "\n       "));
    }
}
