//! A worker: one thread, one runtime, its own listeners, and the clusters whose address hashes
//! to it.
//!
//! All of a cluster's connections are served by one worker, so its locks are never contended.
//! With steering in the kernel a connection arrives where it belongs; without, the worker that
//! accepted it hands it over.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::Activity;
use super::conn::{self, Admitted};
use super::drain::drain;
use super::limits::{Limits, Place};
use super::listener::{ACCEPT_PAUSE, ACCEPT_WARNING, AcceptFault, accept_fault};
use super::outage::Outage;
use super::socket::{Held, Socket, reset_on_close};
use super::stats::{Refusal, WorkerStats};
use super::tls::ConfigCache;
use super::{Directory, Tenant};
use crate::addr::{ClientAddr, ClusterAddr};

/// Requests to listen or not to, waiting for a worker.
pub(super) const COMMAND_QUEUE: usize = 64;

/// Which of so many workers serves an address: the same one in every process and every run.
pub fn owner(at: ClusterAddr, workers: u32) -> u32 {
    let ip = match at.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    // FNV-1a, then a finalizer, because its high bits hardly depend on the last bytes.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in ip.octets().into_iter().chain(at.port().to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The upper half of a 32 by 32 bit product: below `workers`, without a division.
    let share = ((hash >> 32) * u64::from(workers)) >> 32;
    share as u32
}

/// A connection that has its place in the server but no tenant yet.
pub(super) struct Accepted<S> {
    tcp: S,
    at: ClusterAddr,
    client: ClientAddr,
    permit: OwnedSemaphorePermit,
}

/// What a worker is asked to do.
pub(super) enum Command {
    /// Accept from this listener too.
    Listen(std::net::TcpListener, oneshot::Sender<io::Result<()>>),
    /// Close the listener of this address; tells whether there was one.
    Unlisten(SocketAddr, oneshot::Sender<bool>),
}

/// The ends of a worker's queues that are its own.
pub(super) struct Inbox {
    pub(super) handed_over: mpsc::Receiver<Accepted<StdStream>>,
    pub(super) commands: mpsc::Receiver<Command>,
}

/// One worker's state, shared by its tasks.
pub(super) struct Worker<D: Directory> {
    pub(super) index: u32,
    pub(super) limits: Arc<Limits>,
    pub(super) directory: Arc<D>,
    /// Places of the whole server.
    pub(super) places: Arc<Semaphore>,
    /// How to hand a connection to each worker.
    pub(super) workers: Arc<[mpsc::Sender<Accepted<StdStream>>]>,
    pub(super) stats: Arc<WorkerStats>,
    pub(super) configs: ConfigCache,
    pub(super) tracker: TaskTracker,
    pub(super) draining: CancellationToken,
}

impl<D: Directory> Worker<D> {
    /// Serves until the server drains, and then until the drain is over. Answers how much of what
    /// is tracked is there still, to be cut.
    pub(super) async fn run(
        self: Arc<Self>,
        listeners: Vec<std::net::TcpListener>,
        mut inbox: Inbox,
    ) -> usize {
        let mut accepting = HashMap::new();
        for listener in listeners {
            if let Err(error) = self.listen(&mut accepting, listener) {
                tracing::error!(worker = self.index, %error, "a listener cannot be used");
            }
        }
        loop {
            tokio::select! {
                () = self.draining.cancelled() => break,
                Some(accepted) = inbox.handed_over.recv() => self.receive(accepted),
                Some(command) = inbox.commands.recv() => self.obey(&mut accepting, command).await,
            }
        }
        for (_, task) in accepting {
            stop(task).await;
        }
        inbox.handed_over.close();
        while let Ok(accepted) = inbox.handed_over.try_recv() {
            self.receive(accepted);
        }
        drain(self.index, &self.tracker, self.limits.drain).await
    }

    async fn obey(
        self: &Arc<Self>,
        accepting: &mut HashMap<SocketAddr, JoinHandle<()>>,
        command: Command,
    ) {
        // A caller that no longer waits for the answer has no use for it.
        match command {
            Command::Listen(listener, done) => {
                let _ = done.send(self.listen(accepting, listener));
            }
            Command::Unlisten(address, done) => {
                let task = accepting.remove(&address);
                let was_there = task.is_some();
                if let Some(task) = task {
                    stop(task).await;
                }
                let _ = done.send(was_there);
            }
        }
    }

    fn listen(
        self: &Arc<Self>,
        accepting: &mut HashMap<SocketAddr, JoinHandle<()>>,
        listener: std::net::TcpListener,
    ) -> io::Result<()> {
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(Arc::clone(self).accept_all(listener));
        accepting.insert(address, task);
        Ok(())
    }

    /// Accepts for as long as it is polled; no error ends it.
    async fn accept_all(self: Arc<Self>, listener: TcpListener) {
        let mut warned: Option<Instant> = None;
        loop {
            let error = match listener.accept().await {
                Ok((tcp, client)) => {
                    self.accepted(tcp, ClientAddr(client));
                    continue;
                }
                Err(error) => error,
            };
            self.stats.accept_failed();
            if accept_fault(&error) == AcceptFault::Connection {
                tracing::debug!(%error, "a connection was gone before it was accepted");
                continue;
            }
            if warned.is_none_or(|at| at.elapsed() >= ACCEPT_WARNING) {
                warned = Some(Instant::now());
                tracing::warn!(worker = self.index, %error, "cannot accept, trying on");
            }
            sleep(ACCEPT_PAUSE).await;
        }
    }

    /// Sees to it that a new connection gets to the worker that serves its address.
    fn accepted(self: &Arc<Self>, tcp: TcpStream, client: ClientAddr) {
        self.stats.accepted();
        let at = match tcp.local_addr() {
            Ok(at) => ClusterAddr::from(at),
            Err(error) => {
                tracing::debug!(%client, %error, "a connection has no local address any more");
                return self.refuse(&tcp, Refusal::Gone);
            }
        };
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            return self.refuse(&tcp, Refusal::ServerFull);
        };
        let accepted = Accepted { tcp, at, client, permit };
        let workers = u32::try_from(self.workers.len()).expect("they were counted in a u32");
        let owner = owner(at, workers);
        if owner == self.index {
            self.admit(accepted);
        } else {
            self.hand_over(accepted, owner);
        }
    }

    fn hand_over(&self, accepted: Accepted<TcpStream>, owner: u32) {
        let Accepted { tcp, at, client, permit } = accepted;
        let tcp = match tcp.into_std() {
            Ok(tcp) => tcp,
            Err(error) => {
                tracing::warn!(%client, %error, "a connection could not leave its worker");
                return self.stats.refused(Refusal::Gone);
            }
        };
        let accepted = Accepted { tcp, at, client, permit };
        match self.workers[owner as usize].try_send(accepted) {
            Ok(()) => self.stats.handed_over(),
            Err(TrySendError::Full(accepted)) => {
                self.refuse(&accepted.tcp, Refusal::HandOverFull);
            }
            Err(TrySendError::Closed(accepted)) => {
                self.refuse(&accepted.tcp, Refusal::Draining);
            }
        }
    }

    fn receive(self: &Arc<Self>, accepted: Accepted<StdStream>) {
        let Accepted { tcp, at, client, permit } = accepted;
        match TcpStream::from_std(tcp) {
            Ok(tcp) => self.admit(Accepted { tcp, at, client, permit }),
            Err(error) => {
                tracing::warn!(%client, %error, "a connection could not enter its worker");
                self.stats.refused(Refusal::Gone);
            }
        }
    }

    /// Begins to serve a connection whose address is ours, if somebody is there and has a place.
    fn admit(self: &Arc<Self>, accepted: Accepted<TcpStream>) {
        let Accepted { tcp, at, client, permit } = accepted;
        if self.draining.is_cancelled() {
            return self.refuse(&tcp, Refusal::Draining);
        }
        let Some(tenant) = self.directory.tenant(at) else {
            return self.refuse(&tcp, Refusal::UnknownAddress);
        };
        if tenant.outage().now() == Some(Outage::Refuse) {
            return self.refuse(&tcp, Refusal::Outage);
        }
        let Some(place) = Place::take(&tenant, self.limits.connections_per_cluster) else {
            return self.refuse(&tcp, Refusal::ClusterFull);
        };
        self.stats.opened();
        let held = Held {
            _server: permit,
            _cluster: place,
            _drain: self.tracker.token(),
            stats: Arc::clone(&self.stats),
        };
        let activity = Activity::new();
        let stall = self.limits.write_stall;
        let admitted = Admitted {
            socket: Socket::new(tcp, Arc::clone(&activity), stall, held),
            activity,
            tenant,
            at,
            client,
        };
        tokio::spawn(conn::serve(Arc::clone(self), admitted));
    }

    /// The connection is reset when the caller drops it.
    fn refuse(&self, tcp: &impl AsFd, why: Refusal) {
        self.stats.refused(why);
        reset_on_close(tcp);
    }
}

/// Ends a listener's task; when this returns, its port is free.
async fn stop(task: JoinHandle<()>) {
    task.abort();
    if let Err(error) = task.await
        && error.is_panic()
    {
        tracing::error!(%error, "a listener's task had ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> ClusterAddr {
        ClusterAddr(text.parse().unwrap())
    }

    #[test]
    fn the_owner_of_an_address_never_changes() {
        // These are what every process must answer: the kernel's table is filled with them.
        let cases = [("10.0.0.1:6443", 8), ("10.0.0.2:6443", 8), ("[fd00::1]:443", 8)];
        let owners: Vec<u32> = cases.iter().map(|(text, n)| owner(at(text), *n)).collect();
        assert_eq!(owners, [2, 2, 1]);
        assert_eq!(
            owner(ClusterAddr::from(at("[::ffff:10.0.0.1]:6443").0), 8),
            owner(at("10.0.0.1:6443"), 8)
        );
    }

    #[test]
    fn addresses_spread_evenly() {
        for workers in [1, 2, 3, 7, 64] {
            let mut counts = vec![0_u32; workers as usize];
            for i in 0..20_000_u32 {
                let ip = std::net::Ipv4Addr::from(0x0a40_0000 + i);
                counts[owner(ClusterAddr((ip, 6443).into()), workers) as usize] += 1;
            }
            let fair = 20_000 / workers;
            for count in counts {
                assert!(
                    count.abs_diff(fair) <= fair / 5 + 10,
                    "{count} of {fair}, {workers} workers"
                );
            }
        }
    }
}
