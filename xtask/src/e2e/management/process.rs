//! A process that ends with the test, whatever ends the test.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How often a process is asked whether it is ready.
const PAUSE: Duration = Duration::from_millis(100);

/// How much of a log's end is shown after a failure, in lines.
const LOG_LINES: usize = 20;

/// A running process with a log. Dropped, its whole group is killed.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with its output in `folder/NAME.log`.
    ///
    /// It is told by the kernel to end when the thread that calls this ends, so that a test that
    /// is itself killed leaves nothing behind: call it from a thread that lives as long as the
    /// test.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(super) fn start<I>(name: &str, program: &Path, folder: &Path, adapt: I) -> Result<Self>
    where
        I: FnOnce(&mut Command),
    {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("no {}", log.display()))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        adapt(&mut command);
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("setpriv could not be run for {}", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// With the end of its log.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended with {status}\n{}", self.name, self.log_tail()),
            None => Ok(()),
        }
    }

    /// Asks `ready` until it succeeds.
    ///
    /// # Errors
    /// When the process ends or `patience` is over, with the last answer and the end of the log.
    pub(super) fn wait<F>(&mut self, patience: Duration, mut ready: F) -> Result<()>
    where
        F: FnMut() -> Result<()>,
    {
        let until = Instant::now() + patience;
        loop {
            let Err(error) = ready() else { return Ok(()) };
            self.check()?;
            if Instant::now() > until {
                let log = self.log_tail();
                return Err(error.context(format!("{} is not ready in time\n{log}", self.name)));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = log.lines().collect();
        format!(
            "{}\n(from {})",
            lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"),
            self.log.display()
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Each fails only when the process has ended, which is what is wanted.
        if let Ok(pid) = self.child.id().try_into() {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// A port of loopback that was free a moment ago.
///
/// # Errors
/// When none is.
pub(super) fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port of 127.0.0.1 is free")?;
    Ok(listener.local_addr()?)
}
