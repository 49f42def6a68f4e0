//! The listener of the control port: accepts within a bound, and stops in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use super::connection;
use super::control::{Control, MetricsText};
use super::limits::Limits;
use crate::register::Registrar;

/// How long accepting rests when the machine has no descriptor or memory left.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// The control port, being served. Dropping it cuts every connection; [`ControlServer::shutdown`]
/// is the orderly way.
#[derive(Debug)]
pub struct ControlServer {
    address: SocketAddr,
    control: Arc<Control>,
    connections: TaskTracker,
    accepting: JoinHandle<()>,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// How a [`ControlServer`] came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every request under way was answered.
    Drained,
    /// The deadline passed before.
    Cut {
        /// Connections that were cut.
        connections: usize,
        /// Changes still under way; they go on as long as the runtime does.
        writes: usize,
    },
}

impl ControlServer {
    /// Serves the control port on `listener` by tasks of the current tokio runtime.
    ///
    /// `metrics` gives the text of `/metrics` whenever that is asked for; it must not block.
    ///
    /// # Errors
    /// The listener cannot be made non-blocking or has no address.
    ///
    /// # Panics
    /// Outside a tokio runtime, and when `limits.header_bytes` is less than 8192.
    pub fn start(
        listener: std::net::TcpListener,
        registrar: Arc<dyn Registrar>,
        metrics: MetricsText,
        limits: Limits,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let control = Arc::new(Control::new(registrar, metrics, limits));
        let connections = TaskTracker::new();
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let acceptor = Acceptor {
            listener,
            control: Arc::clone(&control),
            connections: connections.clone(),
            stop: stop.clone(),
            cut: cut.clone(),
        };
        info!(%address, "control port is served");
        Ok(Self {
            address,
            control,
            connections,
            accepting: tokio::spawn(acceptor.run()),
            stop,
            cut,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, lets the requests under way finish, and after `deadline` cuts
    /// what is left.
    pub async fn shutdown(mut self, deadline: Duration) -> Stopped {
        self.stop.cancel();
        if let Err(failure) = (&mut self.accepting).await {
            error!(%failure, "accepting on the control port had failed");
        }
        self.connections.close();
        self.control.writes.close();
        let drained = async {
            self.connections.wait().await;
            self.control.writes.wait().await;
        };
        if tokio::time::timeout(deadline, drained).await.is_ok() {
            info!("control port is drained");
            return Stopped::Drained;
        }
        let (connections, writes) = (self.connections.len(), self.control.writes.len());
        warn!(connections, writes, "control port is cut at its deadline");
        Stopped::Cut { connections, writes }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}

struct Acceptor {
    listener: TcpListener,
    control: Arc<Control>,
    connections: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Acceptor {
    async fn run(self) {
        let free = Arc::new(Semaphore::new(self.control.limits.connections));
        let stop = self.stop.clone();
        let accepting = async {
            loop {
                let permit =
                    Arc::clone(&free).acquire_owned().await.expect("nobody closes this semaphore");
                let stream = self.accept().await;
                let serving = connection::serve(
                    Arc::clone(&self.control),
                    stream,
                    self.stop.clone(),
                    self.cut.clone(),
                );
                self.connections.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
        };
        stop.run_until_cancelled(accepting).await;
    }

    /// The next connection; an error to accept never ends the listener.
    async fn accept(&self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) if is_clients(&error) => debug!(%error, "a client gave up connecting"),
                Err(error) => {
                    warn!(%error, "control port cannot accept, resting");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }
}

/// Whether an accept error is of the one connection, not of the machine.
fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
