//! One owner of marked routes and links a network namespace.
//!
//! A killed run cannot clean up, so the next one takes over whatever carries our mark. That is
//! only right if nobody is alive to own it. An abstract Unix socket tells: its name belongs to
//! the network namespace, exactly as routes and links do, and the kernel frees it with the
//! process.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::NetlinkError;

/// The lock's name.
const NAME: &str = "fakeapi/address-plane";

/// Held for as long as this process owns the namespace's marked routes and links.
#[derive(Debug)]
pub(super) struct Owner {
    _socket: UnixDatagram,
}

impl Owner {
    /// Takes the ownership in the calling thread's network namespace.
    pub(super) fn take() -> Result<Self, NetlinkError> {
        let bound = SocketAddr::from_abstract_name(NAME)
            .and_then(|address| UnixDatagram::bind_addr(&address));
        match bound {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => {
                Err(NetlinkError::AnotherProcess)
            }
            Err(source) => Err(NetlinkError::Lock { source }),
        }
    }
}
