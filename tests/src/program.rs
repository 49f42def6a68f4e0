//! The program as a child process.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::control::Control;
use crate::slot::Slot;
use crate::{Access, binary};

/// How long the program may take until it serves: a debug build on a busy machine.
const START: Duration = Duration::from_mins(1);

/// How long it may take to end.
const END: Duration = Duration::from_secs(40);

/// How often its state is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How a program is started. Restarts keep it: the slot, the data, the arguments.
#[derive(Clone, Debug)]
pub struct Setup {
    slot: Arc<Slot>,
    home: Arc<TempDir>,
    args: Vec<OsString>,
    kernel: &'static str,
    pool: bool,
}

impl Setup {
    /// A slot and a data directory of its own, no kernel side.
    ///
    /// # Errors
    /// When there is no free slot or no temporary directory.
    pub fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("fakeapi-it-").tempdir()?;
        Ok(Self {
            slot: Arc::new(Slot::take()?),
            home: Arc::new(home),
            args: Vec::new(),
            kernel: "off",
            pool: true,
        })
    }

    /// Another one at the same addresses and port, with data of its own.
    ///
    /// # Errors
    /// When there is no temporary directory.
    pub fn rival(&self) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("fakeapi-it-").tempdir()?;
        Ok(Self { home: Arc::new(home), ..self.clone() })
    }

    /// With further arguments.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// With the kernel side.
    #[must_use]
    pub fn with_kernel(self) -> Self {
        Self { kernel: "on", ..self }
    }

    /// Without `--pool`, for arguments that say something else.
    #[must_use]
    pub fn without_pool(self) -> Self {
        Self { pool: false, ..self }
    }

    /// The addresses and the port of this run.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A directory of its own, beside the data.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn command(&self, ready: &Path, log: fs::File) -> Result<Command> {
        let mut command = Command::new(binary::path()?);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("FAKEAPI_") || text == "POD_IP" || text.starts_with("KUBECONFIG") {
                command.env_remove(name);
            }
        }
        command.args(["run", "--kernel", self.kernel, "--control-address", "127.0.0.1:0"]);
        command.arg("--ready-file").arg(ready).arg("--data-dir").arg(self.data_dir());
        command.args(["--secure-port", &self.slot.port().to_string()]);
        if self.pool {
            command.args(["--pool", &self.slot.pool()]);
        }
        command.args(&self.args);
        command.env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Starts the program and kills it after this time, wherever it is then.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn interrupted(&self, after: Duration) -> Result<()> {
        let log = fs::File::create(self.home().join("log-interrupted"))?;
        let mut child = self.command(&self.home().join("ready-interrupted"), log)?.spawn()?;
        std::thread::sleep(after);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts the program and waits until it serves.
    ///
    /// # Errors
    /// When it ends instead, with what it said, or does not serve in time.
    pub async fn start(&self) -> Result<Program> {
        let number = fs::read_dir(self.home())?.count();
        let ready = self.home().join(format!("ready-{number}"));
        let log = self.home().join(format!("log-{number}"));
        let child = self.command(&ready, fs::File::create(&log)?)?.spawn()?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut program =
            Program { setup: self.clone(), child, log, control: Control::new(unknown) };
        let deadline = Instant::now() + START;
        loop {
            if let Ok(text) = fs::read_to_string(&ready) {
                let said: serde_json::Value = serde_json::from_str(&text)?;
                let at = said["control"].as_str().context("the ready file names no address")?;
                program.control = Control::new(at.parse()?);
                return Ok(program);
            }
            if let Some(status) = program.child.try_wait()? {
                bail!("{status}: {}", program.log());
            }
            if Instant::now() > deadline {
                bail!("not ready after {START:?}: {}", program.log());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Program {
    setup: Setup,
    child: Child,
    log: PathBuf,
    control: Control,
}

impl Program {
    /// Starts one with these further arguments.
    ///
    /// # Errors
    /// As [`Setup::start`].
    pub async fn start(args: &[&str]) -> Result<Self> {
        Setup::new()?.args(args.iter().copied()).start().await
    }

    /// How it was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Its control endpoint.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Access to a cluster by the kubeconfig that the program gives.
    ///
    /// # Errors
    /// When the program gives none, or one that cannot be used.
    pub async fn access(&self, cluster: &str) -> Result<Access> {
        Access::from_kubeconfig(&self.control.kubeconfig(cluster).await?)
    }

    /// What it has said so far, on stdout and stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Ends it as a power cut would, and says how to start it again.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> Result<Setup> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.setup.clone())
    }

    /// Ends it in order; with its exit status.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.ended().await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + END;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("still there after {END:?}: {}", self.log());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Of a process that has ended already nothing is left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the program said:\n{}", self.log());
        }
    }
}
