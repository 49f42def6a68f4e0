//! The few things asked of the kernel, as a trait, so that what is decided from its answers is
//! tested without one.

use std::future::Future;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

/// The kernel's index of a network link.
pub type LinkIndex = u32;

/// The routing table the kernel looks into first: what is delivered to this machine.
pub const TABLE_LOCAL: u32 = 255;
/// The routing table of ordinary routes.
pub const TABLE_MAIN: u32 = 254;

/// A network link as dumped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: LinkIndex,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// What it is.
    pub kind: LinkKind,
}

/// The kinds of links the address plane tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// The loopback link.
    Loopback,
    /// A link of the dummy driver.
    Dummy,
    /// Anything else.
    Other,
}

/// An address of a link, with the prefix length it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The link that has it.
    pub link: LinkIndex,
    /// The address itself (host bits kept) and its subnet.
    pub net: IpNet,
}

/// A route as dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it is for.
    pub destination: IpNet,
    /// The table it stands in.
    pub table: u32,
    /// Who made it (`rtm_protocol`).
    pub protocol: u8,
    /// Whether it delivers to this machine (`RTN_LOCAL`).
    pub local: bool,
    /// The link it leads to; none for unreachable and multipath routes.
    pub link: Option<LinkIndex>,
}

/// Whether something is put into the kernel or taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Put in.
    Add,
    /// Taken out.
    Remove,
}

impl Change {
    /// The verb of an error message.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }

    /// Whether the kernel's refusal says that the change had been made before.
    pub(super) fn is_done_already(self, cause: &io::Error) -> bool {
        let code = cause.raw_os_error();
        match self {
            Self::Add => code == Some(libc::EEXIST),
            Self::Remove => matches!(code, Some(libc::EADDRNOTAVAIL | libc::ESRCH | libc::ENODEV)),
        }
    }
}

/// One address the kernel did not take or give.
#[derive(Debug)]
pub struct Refusal {
    /// The address.
    pub ip: IpAddr,
    /// The kernel's answer.
    pub cause: io::Error,
}

/// The kernel's network configuration of one network namespace.
///
/// An `io::Error` is the kernel's own code, or says that no answer came.
pub trait Kernel: Send + Sync + 'static {
    /// All links.
    fn links(&self) -> impl Future<Output = io::Result<Vec<Link>>> + Send;

    /// All addresses of all links.
    fn addresses(&self) -> impl Future<Output = io::Result<Vec<Address>>> + Send;

    /// The IPv4 and IPv6 routes of all tables.
    fn routes(&self) -> impl Future<Output = io::Result<Vec<Route>>> + Send;

    /// Makes a dummy link, and sets it up.
    fn add_dummy(&self, name: &str) -> impl Future<Output = io::Result<LinkIndex>> + Send;

    /// Removes a link with all its addresses.
    fn remove_link(&self, link: LinkIndex) -> impl Future<Output = io::Result<()>> + Send;

    /// Sets a link up.
    fn set_up(&self, link: LinkIndex) -> impl Future<Output = io::Result<()>> + Send;

    /// Adds or removes a route of table local that delivers all of `pool` to this machine,
    /// marked with our own protocol number.
    fn change_local_route(
        &self,
        change: Change,
        pool: IpNet,
        loopback: LinkIndex,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Adds or removes single addresses (/32, /128) of one link, many a system call, and tells
    /// each that was refused. All that could be done is done.
    ///
    /// # Errors
    /// When the kernel did not answer at all; what was done is then unknown.
    fn change_addresses(
        &self,
        change: Change,
        link: LinkIndex,
        ips: &[IpAddr],
    ) -> impl Future<Output = io::Result<Vec<Refusal>>> + Send;
}
