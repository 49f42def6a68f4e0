//! What listens in the pods of these tests.

use apiserver::kubelet::{Kubelet, PodConnection, PortRefused};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex, sink, split};

/// Ports 7 (echoes), 9 (counts to the end, then says how much it was) and 13 (says 500,000 bytes
/// and hangs up) of every pod.
pub(super) struct Listening;

impl Kubelet for Listening {
    fn connect(&self, namespace: &str, pod: &str, port: u16) -> Result<PodConnection, PortRefused> {
        assert_eq!((namespace, pod), ("default", "web"), "the server has checked that");
        let (ours, theirs) = duplex(4 * 1024);
        match port {
            7 => drop(tokio::spawn(echo(theirs))),
            9 => drop(tokio::spawn(count(theirs))),
            13 => drop(tokio::spawn(talk(theirs))),
            _ => return Err(PortRefused),
        }
        Ok(Box::new(ours))
    }
}

async fn echo(connection: DuplexStream) {
    let (mut read, mut write) = split(connection);
    // A client that leaves early is what some tests are about.
    if copy(&mut read, &mut write).await.is_ok() {
        drop(write.shutdown().await);
    }
}

async fn count(mut connection: DuplexStream) {
    let count = copy(&mut connection, &mut sink()).await.unwrap();
    connection.write_all(format!("{count} bytes").as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
}

async fn talk(mut connection: DuplexStream) {
    connection.write_all(&vec![b'.'; 500_000]).await.unwrap();
    connection.shutdown().await.unwrap();
    // Until the client hangs up too.
    drop(connection.read_u8().await);
}
