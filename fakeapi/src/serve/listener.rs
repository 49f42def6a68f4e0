//! The listening sockets, and what to do when one of them cannot accept.
//!
//! A destination reaches its worker in one of three ways:
//! - steered: the kernel's `sk_lookup` program hands a connection for any virtual address to the
//!   owning worker's listener. Where that listener is bound itself does not matter, so it is on
//!   a loopback port of its own. Each has another port: sockets that share one form a reuseport
//!   group, among which the kernel would choose anew after the program did.
//! - wildcard: every worker listens on the same port of all addresses and the kernel spreads
//!   connections by their 4-tuple; most are then handed to the owning worker.
//! - by address: one listener for one destination, opened and closed at run time.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

/// Connections the kernel holds for a listener until they are accepted. The kernel cuts it down
/// to `net.core.somaxconn` (4096 by default).
pub const BACKLOG: i32 = 4_096;
/// Silence after which the kernel asks a peer whether it is there.
pub const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
/// The time between two such questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Unanswered questions after which the connection is dead.
pub const KEEPALIVE_PROBES: u32 = 3;
/// Bytes the kernel takes for a socket beyond those that are on their way. Without it a client
/// that does not read holds megabytes of kernel memory, and one that reads slowly looks the same:
/// the kernel says that there is room only when a third of those megabytes is gone. It costs no
/// throughput, since bytes on their way are not counted.
pub const UNSENT: u32 = 128 * 1024;
/// How long a worker lets a listener rest that cannot accept for want of descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often such a want is logged.
pub const ACCEPT_WARNING: Duration = Duration::from_secs(10);

/// Which connections the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Those that the kernel steers to it, by a listener a worker and family.
    Steered,
    /// All that come to this port of any address. 0 lets the kernel choose.
    Wildcard {
        /// The port.
        port: u16,
    },
    /// Those for the addresses named at run time by [`super::Server::listen`], which works in
    /// the other modes too.
    ByAddress,
}

/// The address family of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6, and nothing else.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Is told of every listener of the modes [`Listen::Steered`] and [`Listen::Wildcard`] when it
/// listens and before anything is accepted: `(worker, family, socket)`. The socket lives until
/// the server is shut down. An error ends the start.
pub type OnListener<'a> = dyn FnMut(u32, Family, BorrowedFd<'_>) -> io::Result<()> + 'a;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The kernel refused.
    #[error("cannot listen on {address}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// Why: in use, not an address of this machine, not permitted, too many descriptors.
        #[source]
        source: io::Error,
    },
    /// Whoever is told of listeners failed.
    #[error("the {family} listener of worker {worker} could not be used")]
    Hook {
        /// The worker.
        worker: u32,
        /// The family.
        family: Family,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither family is there to listen in.
    #[error("this machine has neither IPv4 nor IPv6")]
    NoFamily,
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Stopping,
}

/// Opens every worker's listeners of a mode: element `i` is worker `i`'s.
pub(super) fn open_all(
    listen: Listen,
    workers: u32,
    on_listener: &mut OnListener<'_>,
) -> Result<Vec<Vec<TcpListener>>, ListenError> {
    let mut port = match listen {
        Listen::ByAddress => return Ok((0..workers).map(|_| Vec::new()).collect()),
        Listen::Steered => 0,
        Listen::Wildcard { port } => {
            refuse_taken(port)?;
            port
        }
    };
    let mut all = Vec::new();
    for worker in 0..workers {
        let mut own = Vec::new();
        for family in [Family::V4, Family::V6] {
            let Some(listener) = open_family(listen, family, port)? else {
                continue;
            };
            if let (Listen::Wildcard { .. }, Ok(bound)) = (listen, listener.local_addr()) {
                port = bound.port();
            }
            on_listener(worker, family, listener.as_fd()).map_err(|source| ListenError::Hook {
                worker,
                family,
                source,
            })?;
            own.push(listener);
        }
        if own.is_empty() {
            return Err(ListenError::NoFamily);
        }
        all.push(own);
    }
    Ok(all)
}

/// Refuses a port that somebody listens on. Sockets that share a port share it with those of any
/// process of the same user: two servers would each get some of the other's connections.
fn refuse_taken(port: u16) -> Result<(), ListenError> {
    for ip in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
        let address = SocketAddr::new(ip, port);
        match open(address, false) {
            Err(source) if !family_is_absent(&source) => {
                return Err(ListenError::Bind { address, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// A listener of this family, or none on a machine that does not have it.
fn open_family(
    listen: Listen,
    family: Family,
    port: u16,
) -> Result<Option<TcpListener>, ListenError> {
    let wildcard = matches!(listen, Listen::Wildcard { .. });
    let address = match (family, wildcard) {
        (Family::V4, false) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        (Family::V4, true) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        (Family::V6, false) => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        (Family::V6, true) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
    };
    match open(address, wildcard) {
        Ok(listener) => Ok(Some(listener)),
        Err(source) if family_is_absent(&source) => {
            tracing::info!(%family, %source, "this machine does not have it, going on without");
            Ok(None)
        }
        Err(source) => Err(ListenError::Bind { address, source }),
    }
}

/// A listener of one address, which must be free.
pub(super) fn open_address(address: SocketAddr) -> Result<TcpListener, ListenError> {
    open(address, false).map_err(|source| ListenError::Bind { address, source })
}

/// The options of connections are set here once: an accepted socket inherits them.
fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn family_is_absent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
    )
}

/// Whose fault it is that a connection could not be accepted. None of them ends listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptFault {
    /// The connection's or the network's: the next one may be well. Linux reports here what
    /// happened to the connection before it was accepted (accept(2)).
    Connection,
    /// Ours, and it will not be better in the next moment: wait.
    Exhausted,
}

/// Sorts an error of `accept`.
pub(super) fn accept_fault(error: &io::Error) -> AcceptFault {
    match error.raw_os_error() {
        Some(
            libc::ECONNABORTED
            | libc::ECONNRESET
            | libc::EINTR
            | libc::EPERM
            | libc::EPROTO
            | libc::ENETDOWN
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ENETUNREACH
            | libc::ETIMEDOUT,
        ) => AcceptFault::Connection,
        // EMFILE, ENFILE, ENOBUFS, ENOMEM; and whatever is unknown must not spin.
        _ => AcceptFault::Exhausted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    #[test]
    fn accept_errors_are_sorted() {
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::EHOSTUNREACH] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(accept_fault(&error), AcceptFault::Connection, "{error}");
        }
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EINVAL] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(accept_fault(&error), AcceptFault::Exhausted, "{error}");
        }
    }

    #[test]
    fn an_accepted_socket_inherits_its_options() {
        let listener = open_address("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT);
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
    }

    #[test]
    fn an_address_in_use_is_named() {
        let first = open_address("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = open_address(address).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
        let ListenError::Bind { source, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn steered_listeners_have_ports_of_their_own_and_wildcards_share_one() {
        for (listen, distinct) in [(Listen::Steered, true), (Listen::Wildcard { port: 0 }, false)] {
            let mut told = Vec::new();
            let all = open_all(listen, 3, &mut |worker, family, _| {
                told.push((worker, family));
                Ok(())
            })
            .unwrap();
            assert_eq!(told.iter().filter(|(_, family)| *family == Family::V4).count(), 3);
            let mut ports: Vec<u16> =
                all.iter().map(|own| own[0].local_addr().unwrap().port()).collect();
            ports.dedup();
            assert_eq!(ports.len(), if distinct { 3 } else { 1 }, "{listen:?}");
        }
    }

    #[test]
    fn a_second_server_does_not_share_the_port_of_the_first() {
        let wildcard = |port| open_all(Listen::Wildcard { port }, 2, &mut |_, _, _| Ok(()));
        let first = wildcard(0).unwrap();
        let port = first[0][0].local_addr().unwrap().port();
        let error = wildcard(port).unwrap_err();
        let ListenError::Bind { source, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        wildcard(port).unwrap();
    }

    #[test]
    fn a_hook_that_fails_ends_the_start() {
        let error = open_all(Listen::Steered, 2, &mut |worker, _, _| {
            if worker == 1 {
                return Err(io::Error::other("the map is full"));
            }
            Ok(())
        })
        .unwrap_err();
        assert!(matches!(error, ListenError::Hook { worker: 1, .. }), "{error}");
    }
}
