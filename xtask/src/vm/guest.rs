//! One boot: start QEMU, stream its console, wait for the verdict.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a guest may take from start to power-off.
const DEADLINE: Duration = Duration::from_mins(15);

/// How long a guest may go on printing after it said that it is lost: the stack trace.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// All that can be emulated but one: after CMPXCHG16B, QEMU 7.2 (Debian 12) at times leaves garbage
/// in the flags register. Linux 6.12 uses that instruction in its allocator and then dies of a
/// double fault, most often within seconds; without the feature it takes another way.
const EMULATED_CPU: &str = "max,cx16=off";

/// What the kernel is told: a panic ends the machine instead of hanging it.
const COMMAND_LINE: &str = "console=ttyS0 rdinit=/init panic=-1 oops=panic loglevel=4";

/// Console lines waiting to be printed.
const LINES: usize = 256;

/// What the kernel prints when it cannot go on.
const PANICS: [&str; 2] = ["Kernel panic - not syncing", "Attempted to kill init"];

/// What the guest's first process said at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    success: bool,
    counts: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.success { "success" } else { "failure" };
        write!(f, "{word}: {}", self.counts)
    }
}

impl Verdict {
    /// Whether every test passed and at least one ran.
    pub(super) fn is_success(&self) -> bool {
        self.success
    }

    /// Reads `vm: success 12 passed 0 failed 1 skipped`.
    fn parse(line: &str) -> Option<Self> {
        let (word, counts) = line.strip_prefix("vm: ")?.split_once(' ')?;
        let success = match word {
            "success" => true,
            "failure" => false,
            _ => return None,
        };
        Some(Self { success, counts: counts.to_owned() })
    }
}

/// The running machine; killed when dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It has ended by itself in the good case, and killing it then fails: both are fine.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Boots the kernel with the archive as its disk and waits for its end.
///
/// # Errors
/// When QEMU does not start, the guest panics, exceeds the deadline or ends without a verdict.
pub(super) fn boot(version: &str, kernel: &Path, initramfs: &Path) -> Result<Verdict> {
    let accel = std::env::var("FAKEAPI_VM_ACCEL").unwrap_or_else(|_| "tcg".to_owned());
    eprintln!("vm {version}: booting with {accel}");
    let cpu = if accel == "tcg" { EMULATED_CPU } else { "host" };
    let machine = format!("-accel {accel} -cpu {cpu} -smp 2 -m 1024 -no-reboot -nic none");
    let mut command = Command::new("qemu-system-x86_64");
    command.args(machine.split(' '));
    command.args("-display none -monitor none -serial stdio".split(' '));
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    command.args(["-append", COMMAND_LINE]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut machine = Machine(command.spawn().context("could not start QEMU")?);
    let console = machine.0.stdout.take().context("the console is a pipe")?;
    let lines = read_lines(console);
    watch(version, &lines, Instant::now() + DEADLINE)
}

/// Reads the console on a thread of its own, which ends with the machine.
fn read_lines(console: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES);
    std::thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n') {
            let Ok(line) = line else { return };
            if sender.send(clean(&line)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A console line without what would reset the user's terminal: the firmware clears the screen.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut kept = String::new();
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        if next != '\u{1b}' {
            kept.extend(Some(next).filter(|next| !next.is_control()));
        } else if chars.next_if_eq(&'[').is_some() {
            // A sequence ends with its first letter.
            while chars.next().is_some_and(|part| !part.is_ascii_alphabetic()) {}
        } else {
            chars.next();
        }
    }
    kept
}

fn watch(version: &str, lines: &Receiver<String>, mut deadline: Instant) -> Result<Verdict> {
    let mut verdict = None;
    let mut panic: Option<String> = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                println!("{version} | {line}");
                verdict = Verdict::parse(&line).or(verdict);
                if panic.is_none() && PANICS.iter().any(|text| line.contains(text)) {
                    deadline = Instant::now() + LAST_WORDS;
                    panic = Some(line);
                }
            }
            Err(RecvTimeoutError::Timeout) if panic.is_none() => {
                bail!("the guest did not end within {} s", DEADLINE.as_secs());
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    match (panic, verdict) {
        (Some(line), _) => bail!("the guest's kernel panicked: {line}"),
        (None, Some(verdict)) => Ok(verdict),
        (None, None) => bail!("the guest ended without a verdict"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(lines: &[&str], deadline: Duration) -> Result<Verdict> {
        let (sender, receiver) = sync_channel(LINES);
        for line in lines {
            sender.send((*line).to_owned()).unwrap();
        }
        drop(sender);
        watch("test", &receiver, Instant::now() + deadline)
    }

    #[test]
    fn only_a_verdict_line_is_a_verdict() {
        let minute = Duration::from_mins(1);
        let line = "vm: success 12 passed 0 failed 1 skipped";
        let verdict = watched(&["boot", line, "power off"], minute).unwrap();
        assert_eq!(verdict.to_string(), "success: 12 passed 0 failed 1 skipped");
        let verdict = watched(&["vm: failure 1 passed 2 failed 0 skipped"], minute).unwrap();
        assert!(!verdict.is_success());
        let error = watched(&["it says vm: success"], minute).unwrap_err().to_string();
        assert_eq!(error, "the guest ended without a verdict");
        let panic = "[ 1.0] Kernel panic - not syncing: no init";
        let error = watched(&[panic, line], minute).unwrap_err().to_string();
        assert!(error.contains("no init"), "{error}");
    }

    #[test]
    fn a_silent_guest_meets_its_deadline() {
        let (sender, receiver) = sync_channel::<String>(LINES);
        let error = watch("test", &receiver, Instant::now()).unwrap_err().to_string();
        assert_eq!(error, "the guest did not end within 900 s");
        drop(sender);
    }

    #[test]
    fn the_terminal_is_safe() {
        assert_eq!(clean(b"\x1bc\x1b[?7l\x1b[2Jhello\r"), "hello");
    }
}
