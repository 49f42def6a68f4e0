//! What the operator may ask of the running program: to end, to end at once, to log more.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::kernel::switch_log;
use crate::datapath::Datapath;

/// The exit code of a program that a second signal ended.
const AT_ONCE: i32 = 130;

/// The signals. From when they are taken, none kills the program half-way through its start.
pub(super) struct Signals {
    end: CancellationToken,
    switch: Signal,
}

impl Signals {
    /// Takes SIGTERM and SIGINT, which ask for an orderly end (and the second one for one at
    /// once), and SIGUSR1, which switches the log of the kernel programs on and off.
    pub(super) fn take() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let switch = signal(SignalKind::user_defined1())?;
        let end = CancellationToken::new();
        let first = end.clone();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            first.cancel();
            either(&mut terminate, &mut interrupt).await;
            warn!("a second signal: ending at once");
            std::process::exit(AT_ONCE);
        });
        Ok(Self { end, switch })
    }

    /// Returns when an end was asked for.
    pub(super) async fn end(&self) {
        self.end.cancelled().await;
    }

    /// Obeys until an end is asked for.
    pub(super) async fn obey(mut self, datapath: Option<&Datapath>) {
        loop {
            tokio::select! {
                () = self.end.cancelled() => return,
                _ = self.switch.recv() => switch_log(datapath),
            }
        }
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
