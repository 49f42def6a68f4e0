//! What can go wrong between us and the kernel's network configuration.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Mode;
use super::overlap::Overlap;

/// A failure of the address plane.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No netlink socket.
    #[error("could not open a netlink socket")]
    Open {
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A list of links, addresses or routes could not be read.
    #[error("could not read the host's {what}")]
    Dump {
        /// What was to be read.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Another process owns routes or links of ours in this network namespace.
    #[error(
        "another fakeapi manages addresses in this network namespace; give one process all the \
         pools, or each a network namespace of its own"
    )]
    AnotherProcess,
    /// The lock that tells whether another process is there could not be taken.
    #[error("could not take the lock of this network namespace's address plane")]
    Lock {
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Pools that take addresses from the host or its routes.
    #[error("{}", list(.0))]
    Overlap(Vec<Overlap>),
    /// The loopback link is down or missing: nothing can be delivered locally.
    #[error("the loopback link is {state}; set it up with `ip link set lo up`")]
    Loopback {
        /// `down` or `missing`.
        state: &'static str,
    },
    /// A pool that the mode cannot serve.
    #[error("mode {mode} cannot serve pool {pool}: {why}")]
    Unfit {
        /// The mode asked for.
        mode: Mode,
        /// The pool.
        pool: IpNet,
        /// What the mode needs, and which mode would do.
        why: &'static str,
    },
    /// Mode `port` with an address no packet for which arrives here.
    #[error("{ip} is not an address of this host")]
    NotLocal {
        /// The address.
        ip: IpAddr,
    },
    /// A name for dummy links that the kernel or we could not tell apart from others.
    #[error("{prefix:?} cannot name links: 1 to 12 letters, digits or -_., the last no digit")]
    LinkPrefix {
        /// The name before the number.
        prefix: String,
    },
    /// More addresses than there may be dummy links for.
    #[error("secondary mode keeps at most {limit} addresses; use prefix mode for more")]
    TooMany {
        /// The most that fit.
        limit: usize,
    },
    /// A link with our name that we did not make.
    #[error("link {link} exists and is no dummy link; remove or rename it")]
    ForeignLink {
        /// Its name.
        link: String,
    },
    /// The kernel has no dummy driver.
    #[error(
        "could not add dummy link {link}: this kernel has no dummy driver (CONFIG_DUMMY; \
         `modprobe dummy` loads the module); prefix mode does without"
    )]
    NoDummyDriver {
        /// The link that was to be made.
        link: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A link could not be made, set up or removed.
    #[error("could not {verb} link {link}")]
    Link {
        /// What was tried.
        verb: &'static str,
        /// The link's name.
        link: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A pool's route could not be added or removed.
    #[error("could not {verb} local route {pool} on {link}")]
    Route {
        /// What was tried.
        verb: &'static str,
        /// The route's destination.
        pool: IpNet,
        /// The link's name.
        link: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Addresses could not be added to or removed from a link.
    #[error("could not {verb} {ip} {} {link}{}", preposition(.verb), and_more(*.others))]
    Address {
        /// What was tried.
        verb: &'static str,
        /// The first address concerned.
        ip: IpAddr,
        /// The link's name.
        link: String,
        /// How many more were refused in the same call.
        others: usize,
        /// The kernel's answer for the first.
        #[source]
        source: io::Error,
    },
    /// The runtime was shut down while a change was on its way.
    #[error("the program stopped before the kernel had answered")]
    Interrupted {
        /// What ended the task.
        #[source]
        source: tokio::task::JoinError,
    },
}

fn list(overlaps: &[Overlap]) -> String {
    overlaps.iter().map(Overlap::to_string).collect::<Vec<_>>().join("; ")
}

fn preposition(verb: &str) -> &'static str {
    if verb == "remove" { "from" } else { "to" }
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}
