//! What stands behind a pod: the door through which port-forward reaches it.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection's two directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection to a port of a pod.
pub type PodConnection = Box<dyn Duplex>;

/// Nothing listens on a port of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection refused")]
pub struct PortRefused;

/// The kubelets of a cluster, as its API server reaches them.
///
/// The server has made sure that the pod exists and that the user may reach it.
pub trait Kubelet: Send + Sync {
    /// Connects to `port` of a pod.
    ///
    /// # Errors
    /// [`PortRefused`] when nothing in the pod listens there.
    fn connect(&self, namespace: &str, pod: &str, port: u16) -> Result<PodConnection, PortRefused>;
}
