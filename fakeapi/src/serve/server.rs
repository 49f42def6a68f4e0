//! The server as a whole: its workers, started together and drained together.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Directory;
use super::drain::DrainReport;
use super::limits::Limits;
use super::listener::{self, Listen, ListenError, OnListener};
use super::stats::{Stats, WorkerStats};
use super::tls::ConfigCache;
use super::worker::{Accepted, COMMAND_QUEUE, Command, Inbox, Worker, owner};
use crate::addr::ClusterAddr;

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The number of workers; [`Config::workers_of_this_machine`] is one a core.
    pub workers: NonZeroU32,
    /// Which connections are taken.
    pub listen: Listen,
    /// Every bound.
    pub limits: Limits,
}

impl Config {
    /// One worker a core that this process may use, as cgroups and affinity say.
    pub fn workers_of_this_machine() -> io::Result<NonZeroU32> {
        let cores = thread::available_parallelism()?;
        Ok(NonZeroU32::try_from(cores).unwrap_or(NonZeroU32::MAX))
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no listener.
    #[error("the server cannot listen")]
    Listen(#[from] ListenError),
    /// A worker could not be made.
    #[error("worker {worker} cannot start")]
    Worker {
        /// The worker.
        worker: u32,
        /// Why: threads or descriptors are lacking.
        #[source]
        source: io::Error,
    },
}

/// A running server. Dropping it stops it without waiting for anything.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    commands: Vec<mpsc::Sender<Command>>,
    stats: Vec<Arc<WorkerStats>>,
    /// What each worker has under way.
    trackers: Vec<TaskTracker>,
    threads: Vec<JoinHandle<usize>>,
    draining: CancellationToken,
}

impl Server {
    /// Opens the listeners, tells `on_listener` of each, then starts the workers. It blocks for
    /// as long as `on_listener` does and needs no runtime.
    pub fn start<D: Directory>(
        config: &Config,
        directory: &Arc<D>,
        on_listener: &mut OnListener<'_>,
    ) -> Result<Self, StartError> {
        let workers = config.workers.get();
        let listeners = listener::open_all(config.listen, workers, on_listener)?;
        let addresses =
            listeners.iter().flatten().filter_map(|listener| listener.local_addr().ok()).collect();
        let mut server = Self {
            addresses,
            commands: Vec::new(),
            stats: Vec::new(),
            trackers: Vec::new(),
            threads: Vec::new(),
            draining: CancellationToken::new(),
        };
        let (senders, inboxes): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::channel(config.limits.hand_over_queue.get())).unzip();
        let shared = Shared {
            limits: Arc::new(config.limits.clone()),
            places: Arc::new(Semaphore::new(config.limits.connections.min(Semaphore::MAX_PERMITS))),
            senders: senders.into(),
        };
        for ((index, own), handed_over) in (0..).zip(listeners).zip(inboxes) {
            let (command, commands) = mpsc::channel(COMMAND_QUEUE);
            let worker = server.worker(index, &shared, directory);
            server.commands.push(command);
            let inbox = Inbox { handed_over, commands };
            let thread = spawn(worker, own, inbox)
                .map_err(|source| StartError::Worker { worker: index, source })?;
            server.threads.push(thread);
        }
        Ok(server)
    }

    fn worker<D: Directory>(
        &mut self,
        index: u32,
        shared: &Shared,
        directory: &Arc<D>,
    ) -> Worker<D> {
        let stats = Arc::new(WorkerStats::default());
        self.stats.push(Arc::clone(&stats));
        let tracker = TaskTracker::new();
        self.trackers.push(tracker.clone());
        let workers = shared.senders.len();
        let configs = shared.limits.tls_configs.get().div_ceil(workers);
        Worker {
            index,
            limits: Arc::clone(&shared.limits),
            directory: Arc::clone(directory),
            places: Arc::clone(&shared.places),
            workers: Arc::clone(&shared.senders),
            stats,
            configs: ConfigCache::new(configs.try_into().expect("a ceiling of more than zero")),
            tracker,
            draining: self.draining.clone(),
        }
    }

    /// The addresses of the listeners that [`Config::listen`] asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What became of all connections until now.
    pub fn stats(&self) -> Stats {
        Stats::sum(self.stats.iter().map(Arc::as_ref))
    }

    /// Takes connections to this address too, on the worker that owns it. Answers the address
    /// that was bound, which differs for port 0.
    pub async fn listen(&self, at: ClusterAddr) -> Result<ClusterAddr, ListenError> {
        let refused = |source| ListenError::Bind { address: at.0, source };
        let listener = listener::open_address(at.0)?;
        let bound = ClusterAddr::from(listener.local_addr().map_err(refused)?);
        let (done, outcome) = oneshot::channel();
        self.command(bound, Command::Listen(listener, done)).await?;
        match outcome.await {
            Ok(listening) => listening.map(|()| bound).map_err(refused),
            Err(_) => Err(ListenError::Stopping),
        }
    }

    /// Closes the listener of this address; when it returns, the port is free. Connections that
    /// are open stay so. Answers whether there was one.
    pub async fn unlisten(&self, at: ClusterAddr) -> Result<bool, ListenError> {
        let (done, outcome) = oneshot::channel();
        self.command(at, Command::Unlisten(at.0, done)).await?;
        outcome.await.map_err(|_| ListenError::Stopping)
    }

    async fn command(&self, at: ClusterAddr, command: Command) -> Result<(), ListenError> {
        let workers = u32::try_from(self.commands.len()).expect("they were counted in a u32");
        let owner = &self.commands[owner(at, workers) as usize];
        owner.send(command).await.map_err(|_| ListenError::Stopping)
    }

    /// Drains all workers at once, for [`Limits::drain`] at the most, and ends their threads.
    pub async fn shutdown(mut self) -> DrainReport {
        let open: usize = self.trackers.iter().map(TaskTracker::len).sum();
        tracing::info!(open, "draining");
        self.draining.cancel();
        let threads = std::mem::take(&mut self.threads);
        let cut = match tokio::task::spawn_blocking(move || join(threads)).await {
            Ok(cut) => cut,
            Err(error) => {
                tracing::error!(%error, "the workers could not be waited for");
                open
            }
        };
        let finished = open.saturating_sub(cut);
        if cut == 0 {
            tracing::info!(finished, "drained");
        } else {
            tracing::warn!(finished, cut, "drained by force");
        }
        DrainReport { finished, cut }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.draining.cancel();
    }
}

/// What all workers have in common.
struct Shared {
    limits: Arc<Limits>,
    places: Arc<Semaphore>,
    senders: Arc<[mpsc::Sender<Accepted<TcpStream>>]>,
}

/// Starts a worker's thread. Its runtime is made here, so that a failure is the caller's to know.
fn spawn<D: Directory>(
    worker: Worker<D>,
    listeners: Vec<TcpListener>,
    inbox: Inbox,
) -> io::Result<JoinHandle<usize>> {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(format!("worker-{}", worker.index)).spawn(move || {
        let cut = runtime.block_on(Arc::new(worker).run(listeners, inbox));
        // Cuts what is left; work on the blocking pool is not waited for.
        runtime.shutdown_background();
        cut
    })
}

/// How much all of them cut.
fn join(threads: Vec<JoinHandle<usize>>) -> usize {
    let mut sum = 0;
    for thread in threads {
        if let Ok(cut) = thread.join() {
            sum += cut;
        } else {
            tracing::error!("a worker had panicked");
        }
    }
    sum
}
