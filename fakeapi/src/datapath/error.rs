//! What can go wrong between this program and the kernel.

use std::io;
use std::net::IpAddr;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// A request to the kernel side that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatapathError {
    /// The maps could not be made.
    #[error("could not create the kernel tables")]
    Object(#[source] EbpfError),
    /// The embedded object is not the one this program was written for.
    #[error("the kernel object has no usable `{name}`")]
    Contract {
        /// The map or program.
        name: &'static str,
    },
    /// The verifier refused a program.
    #[error("the kernel's verifier rejected `{program}`: {reason}")]
    Rejected {
        /// The program.
        program: &'static str,
        /// The last lines of the verifier's log.
        reason: String,
        /// What the system call answered.
        source: io::Error,
    },
    /// A program could not be loaded for another reason.
    #[error("could not load `{program}`")]
    Load {
        /// The program.
        program: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// The network namespace of this thread could not be opened.
    #[error("could not open this thread's network namespace")]
    Namespace(#[source] io::Error),
    /// A program could not be attached.
    #[error("could not attach `{program}`")]
    Attach {
        /// The program.
        program: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// The edge could not be put on a link.
    #[error("could not attach the edge to {link}")]
    AttachEdge {
        /// The link.
        link: String,
        /// Why.
        source: ProgramError,
    },
    /// Somebody else's XDP program is on the link.
    #[error("{link} carries another XDP program; detach it first (`ip link set {link} xdp off`)")]
    LinkTaken {
        /// The link.
        link: String,
    },
    /// The kernel can attach, but not so that it ends with this process.
    #[error("this kernel cannot tie the edge on {link} to this process (it lacks XDP links)")]
    NotOwnable {
        /// The link.
        link: String,
    },
    /// There is no such link.
    #[error("there is no link {link}")]
    NoSuchLink {
        /// The link.
        link: String,
    },
    /// The link does not carry Ethernet frames.
    #[error("{link} does not carry Ethernet frames")]
    NotEthernet {
        /// The link.
        link: String,
    },
    /// The kernel would not tell about a link.
    #[error("could not ask about {link}")]
    Link {
        /// The link.
        link: String,
        /// Why.
        source: io::Error,
    },
    /// A table could not be read or written.
    #[error("could not use the kernel table {map}")]
    Table {
        /// The table.
        map: &'static str,
        /// Why.
        source: MapError,
    },
    /// Every entry of a table is taken.
    #[error("the kernel table {map} is full with {entries} entries")]
    Full {
        /// The table.
        map: &'static str,
        /// How many it holds.
        entries: u32,
    },
    /// The address is no cluster's.
    #[error("{0} is not allocated")]
    NotAllocated(IpAddr),
    /// There cannot be such a worker.
    #[error("there is no worker {worker}; the kernel tables know {workers}")]
    NoSuchWorker {
        /// The worker's number.
        worker: u32,
        /// How many there can be.
        workers: u32,
    },
    /// The reader of the kernel's log could not be set up.
    #[error("could not set up the kernel log")]
    Log(#[source] io::Error),
    /// The kernel could not try the edge on a frame.
    #[error("could not try the edge on a frame")]
    Trial(#[source] ProgramError),
}
