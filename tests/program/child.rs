//! The binary as a child process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fakeapi_tests::binary;
use fakeapi_tests::namespace::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::control::Control;

/// From the start of the process until it answers on its control port, many clusters included.
const START: Duration = Duration::from_mins(1);
/// From SIGTERM to the end of the process.
const STOP: Duration = Duration::from_secs(40);
/// How often a state that is waited for is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Where a program keeps its data and its log, beyond its life.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }
}

/// A running program. A test that fails shows the end of its log.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    pub(crate) control: Control,
}

impl Program {
    /// Runs it in a namespace, with its data in `home`, until it answers.
    pub(crate) fn start(at: &Arc<Namespace>, home: &Home, arguments: &str) -> Self {
        let log = home.log();
        let mut command = Command::new(binary::path().unwrap());
        command
            .arg("run")
            .args(arguments.split_whitespace())
            .arg("--data-dir")
            .arg(home.0.path().join("data"))
            .env_clear()
            .stdout(append(&log))
            .stderr(append(&log));
        // A child begins in the namespace of the thread that makes it.
        let child = at.run(move || command.spawn().unwrap());
        let mut program = Self { child, log, control: Control::of(Arc::clone(at)) };
        let deadline = Instant::now() + START;
        while !program.control.is_ready() {
            if let Some(status) = program.child.try_wait().unwrap() {
                panic!("the program ended: {status}");
            }
            assert!(Instant::now() < deadline, "the program does not answer");
            std::thread::sleep(LOOK);
        }
        program
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no code of its own runs any more.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the orderly end.
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + STOP;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(30)..];
            eprintln!("the end of the program's log:\n{}", tail.join("\n"));
        }
        // Both fail when the child is gone already, as it is after `kill` and `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}
