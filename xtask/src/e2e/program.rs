//! The program under test: started on addresses nobody else uses, asked, and stopped in order.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::http::Connection;
use crate::workspace::has;

/// How long the program may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is asked whether it is.
const PAUSE: Duration = Duration::from_millis(20);

/// How much of the log's end is shown after a failure, in lines.
const LOG_LINES: usize = 30;

/// Pools to choose from: the second number of 127.x.0.0/16. Within the loopback network, away
/// from the program's default pool (127.64.0.0/10), which a developer may be using.
const POOLS: std::ops::Range<u32> = 128..255;

/// A running program. Dropped without [`stop`](Self::stop), it is killed.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    launch: Launch,
}

/// How a program is started, and started again: at the same addresses with the same data.
#[derive(Debug)]
struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    control: SocketAddr,
    log: PathBuf,
}

impl Launch {
    /// Starts it; what it says goes to the end of the log.
    ///
    /// Where `setpriv` is, the kernel ends it with the thread that calls this, so that a test
    /// that is itself killed leaves nothing behind.
    fn spawn(&self) -> Result<Child> {
        let output = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = if has("setpriv") {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command
            .args(&self.arguments)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} could not be run", self.program.display()))
    }
}

impl Program {
    /// Starts `program` with its data and log in `folder`, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error has the end of its log.
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self> {
        Self::start_with(program, folder, &[])
    }

    /// The same with more flags.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error has the end of its log.
    pub(super) fn start_with(program: &Path, folder: &Path, flags: &[&OsStr]) -> Result<Self> {
        let control = free_port()?;
        let log = folder.join("fakeapi.log");
        File::create(&log)?;
        let data = folder.join("data");
        let (pool, own) = (free_pool()?, control.to_string());
        let arguments = ["run", "--kernel", "auto", "--mode", "loopback", "--drain-seconds", "5"]
            .into_iter()
            .chain(["--pool", &pool, "--control-address", &own, "--data-dir"])
            .map(OsStr::new)
            .chain([data.as_os_str()])
            .chain(flags.iter().copied())
            .map(OsStr::to_owned)
            .collect();
        let launch = Launch { program: program.to_owned(), arguments, control, log };
        let mut program = Self { child: launch.spawn()?, launch };
        program.wait_until_ready()?;
        Ok(program)
    }

    /// Kills it as `kill -9` does and starts it again, with the same data at the same addresses.
    ///
    /// # Errors
    /// When it does not come back; the error has the end of its log.
    pub(super) fn kill_and_restart(&mut self) -> Result<()> {
        self.kill()?;
        self.restart()
    }

    /// Kills it as `kill -9` does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts one that was killed, with the same data at the same addresses.
    ///
    /// # Errors
    /// When it does not come back; the error has the end of its log.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.child = self.launch.spawn()?;
        self.wait_until_ready()
    }

    /// Where clusters are registered.
    pub(super) fn control(&self) -> SocketAddr {
        self.launch.control
    }

    /// Memory that is in RAM, in KiB.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(super) fn resident_kib(&self) -> Result<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        number.context("/proc/PID/status has no readable VmRSS")
    }

    /// The end of the log.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.launch.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Asks the program to end and waits for it.
    ///
    /// # Errors
    /// When it does not end in time, or with anything but success.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().try_into()?);
        kill(pid, Signal::SIGTERM).context("the program could not be asked to end")?;
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < until, "the program did not end\n{}", self.log_tail());
            std::thread::sleep(PAUSE);
        };
        ensure!(
            ExitStatus::success(&status),
            "the program ended with {status}\n{}",
            self.log_tail()
        );
        Ok(())
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let asked = Connection::open(self.launch.control)
                .and_then(|mut c| c.request("GET", "/readyz", ""));
            let Err(error) = asked else { return Ok(()) };
            if let Some(status) = self.child.try_wait()? {
                bail!("the program ended with {status}\n{}", self.log_tail());
            }
            if Instant::now() > until {
                return Err(error.context(format!("not ready in time\n{}", self.log_tail())));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that was free a moment ago.
fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port of 127.0.0.1 is free")?;
    Ok(listener.local_addr()?)
}

/// How many pools this program has looked at: one that it gave away is not free any more.
static LOOKED_AT: AtomicU32 = AtomicU32::new(0);

/// A pool nobody serves: programs of several sessions may run on one machine.
fn free_pool() -> Result<String> {
    let size = POOLS.end - POOLS.start;
    for _ in 0..size {
        let attempt = LOOKED_AT.fetch_add(1, Ordering::Relaxed);
        let number = POOLS.start + (std::process::id() + attempt) % size;
        let first: [SocketAddr; 2] =
            [format!("127.{number}.0.0:6443").parse()?, format!("127.{number}.0.1:6443").parse()?];
        if TcpListener::bind(&first[..]).is_ok() && std::net::TcpStream::connect(first[1]).is_err()
        {
            return Ok(format!("127.{number}.0.0/16"));
        }
    }
    bail!("every pool of loopback is served already")
}
