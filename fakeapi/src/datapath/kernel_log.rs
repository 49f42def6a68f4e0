//! The reader of the kernel side's log.
//!
//! The ring has one owner: a thread that lives while the log is on, and is waited for when it is
//! switched off or the datapath is dropped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use super::DatapathError;

/// How often the ring is emptied; it holds 128 KiB, some hundred lines.
const DRAIN_EVERY: Duration = Duration::from_millis(20);

type Ring = EbpfLogger<ToProgramLog>;

/// Passes lines to whatever logger the program has at that moment.
struct ToProgramLog;

impl Log for ToProgramLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && log::logger().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            log::logger().log(record);
        }
    }

    fn flush(&self) {
        log::logger().flush();
    }
}

/// The log ring: at rest, or with the thread that reads it.
pub(super) struct KernelLog {
    resting: Option<Ring>,
    reader: Option<Reader>,
}

struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Ring>,
}

impl std::fmt::Debug for KernelLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelLog").field("reading", &self.reader.is_some()).finish_non_exhaustive()
    }
}

impl KernelLog {
    pub(super) fn new(object: &mut Ebpf) -> Result<Self, DatapathError> {
        let ring = EbpfLogger::init_with_logger(object, ToProgramLog)
            .map_err(|error| DatapathError::Log(io::Error::other(error)))?;
        Ok(Self { resting: Some(ring), reader: None })
    }

    /// Whether it is being read.
    pub(super) fn is_on(&self) -> bool {
        self.reader.is_some()
    }

    /// Starts the reader unless it runs.
    pub(super) fn start(&mut self) -> Result<(), DatapathError> {
        let Some(ring) = self.resting.take() else {
            return Ok(());
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (hand, taken) = std::sync::mpsc::channel::<Ring>();
        let until = Arc::clone(&stop);
        // The ring is handed over after the thread exists, so that a failure keeps it here.
        let spawned = thread::Builder::new().name("kernel-log".to_owned()).spawn(move || {
            let ring = taken.recv().expect("the starter sends the ring before it returns");
            read(ring, &until)
        });
        match spawned {
            Ok(thread) => {
                hand.send(ring).expect("the reader waits for the ring");
                self.reader = Some(Reader { stop, thread });
                Ok(())
            }
            Err(error) => {
                self.resting = Some(ring);
                Err(DatapathError::Log(error))
            }
        }
    }

    /// Stops the reader, if it runs, after it has read what is there.
    pub(super) fn stop(&mut self) {
        let Some(Reader { stop, thread }) = self.reader.take() else {
            return;
        };
        stop.store(true, Ordering::Release);
        thread.thread().unpark();
        match thread.join() {
            Ok(ring) => self.resting = Some(ring),
            Err(_panic) => log::error!("the reader of the kernel log panicked; the log stays off"),
        }
    }
}

impl Drop for KernelLog {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read(mut ring: Ring, stop: &AtomicBool) -> Ring {
    loop {
        // Read the flag first: what was written before it was set is then still drained.
        let last = stop.load(Ordering::Acquire);
        ring.flush();
        if last {
            return ring;
        }
        thread::park_timeout(DRAIN_EVERY);
    }
}
