//! The loaded kernel programs: who owns them, what they are told, what they counted.
//!
//! [`Datapath`] owns two programs. `steer` (`sk_lookup`) hands every new connection to the
//! listening socket of the worker that owns its destination, so that one socket a worker serves any
//! number of addresses. `edge` (XDP), on the links it is put on, counts per address, answers for
//! addresses no interface has, and drops what no cluster could ever serve. Both are held by file
//! descriptors alone: however this process ends, nothing of ours stays attached.
//!
//! Where the kernel or the process' capabilities do not allow it, [`Datapath::probe`] says what is
//! missing and what would grant it; the program then serves without this module.

use std::fmt;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use aya::Ebpf;
use aya::maps::{Array, MapData, PerCpuArray, SockMap};
use fakeapi_common::layout;
use ipnet::IpNet;
use parking_lot::Mutex;

pub use fakeapi_common::layout::{Family, Reason};

use crate::addr::ClusterAddr;

mod edge;
mod error;
mod kernel_log;
mod link;
mod load;
mod object;
mod probe;
mod table;
mod trial;

pub use edge::{EdgeMode, EdgeOptions};
pub use error::DatapathError;
pub use probe::{Capabilities, KernelVersion, Lack};
pub use table::{Counters, Fault};
pub use trial::{Action, Trial};

use edge::Edges;
use kernel_log::KernelLog;
use load::{program, take};
use table::Table;

/// What becomes of TCP to a guarded address that no cluster holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refuse {
    /// Silence, as from an address nobody has.
    #[default]
    Drop,
    /// A reset, as from a machine where nobody listens.
    Reset,
}

/// How the programs are loaded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many destinations, and how many distinct addresses, there can be. The kernel's tables
    /// have this size, about 200 bytes an entry, from the start.
    pub max_addresses: u32,
    /// What becomes of TCP to a guarded address that no cluster holds, at an edge.
    pub refuse: Refuse,
    /// Whether an edge answers ICMP echo requests to allocated addresses.
    pub answer_ping: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_addresses: layout::DEFAULT_ADDRESSES,
            refuse: Refuse::default(),
            answer_ping: true,
        }
    }
}

/// The owner of the loaded programs. Dropping it detaches them.
pub struct Datapath {
    // Dropped in this order: first what feeds packets in, last the programs.
    edges: Mutex<Edges>,
    listeners: Mutex<SockMap<MapData>>,
    table: Mutex<Table>,
    reasons: PerCpuArray<MapData, u64>,
    config: Mutex<Array<MapData, layout::Config>>,
    log: Mutex<KernelLog>,
    programs: Mutex<Ebpf>,
}

impl Datapath {
    /// What this kernel and this process allow, without changing anything.
    pub fn probe() -> Capabilities {
        Capabilities::probe()
    }

    /// Loads the programs and attaches the steering of connections to the network namespace of the
    /// calling thread.
    ///
    /// # Minimum kernel version
    /// 5.15 is the oldest that is tested.
    ///
    /// # Errors
    /// When the kernel refuses; [`Datapath::probe`] tells what it lacks.
    pub fn load(options: Options) -> Result<Self, DatapathError> {
        let mut object = load::object(options.max_addresses)?;
        let log = KernelLog::new(&mut object)?;
        let datapath = Self {
            edges: Mutex::new(Edges::new(take(&mut object, layout::EDGES)?)),
            listeners: Mutex::new(take(&mut object, layout::LISTENERS)?),
            table: Mutex::new(Table::new(&mut object, options.max_addresses)?),
            reasons: take(&mut object, layout::REASONS)?,
            config: Mutex::new(take(&mut object, layout::CONFIG)?),
            log: Mutex::new(log),
            programs: Mutex::new(object),
        };
        datapath.configure(|config| config.flags |= options.flags())?;
        datapath.attach_steer()?;
        Ok(datapath)
    }

    fn attach_steer(&self) -> Result<(), DatapathError> {
        // Not /proc/self: that is the main thread's.
        let namespace = File::open("/proc/thread-self/ns/net").map_err(DatapathError::Namespace)?;
        let mut programs = self.programs.lock();
        let steer: &mut aya::programs::SkLookup = program(&mut programs, layout::STEER_PROGRAM)?;
        let attached = steer.attach(namespace);
        attached
            .map(|_link| ())
            .map_err(|source| DatapathError::Attach { program: layout::STEER_PROGRAM, source })
    }

    /// Puts the edge on a link: natively where the driver can, else in the generic way.
    ///
    /// On a link that has it already, the options and the link's hardware address are read anew.
    ///
    /// # Errors
    /// When there is no such link, it does not carry Ethernet, somebody else's program is on it,
    /// or the kernel would not tie the attachment to this process.
    pub fn attach_edge(&self, link: &str, options: EdgeOptions) -> Result<EdgeMode, DatapathError> {
        let link = link::find(link)?;
        let mut programs = self.programs.lock();
        let xdp = program(&mut programs, layout::EDGE_PROGRAM)?;
        self.edges.lock().attach(xdp, &link, options)
    }

    /// Takes the edge off a link; a link without it is left as it is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn detach_edge(&self, link: &str) -> Result<(), DatapathError> {
        self.edges.lock().detach(link)
    }

    /// Makes `socket`, which must be listening, the one that gets a worker's connections.
    ///
    /// The socket stays the caller's; when it is closed, connections for the worker are refused.
    ///
    /// # Errors
    /// When the worker's number is beyond [`layout::MAX_WORKERS`] or the kernel refuses the socket.
    pub fn place_listener(
        &self,
        worker: u32,
        family: Family,
        socket: BorrowedFd<'_>,
    ) -> Result<(), DatapathError> {
        if worker >= layout::MAX_WORKERS {
            return Err(DatapathError::NoSuchWorker { worker, workers: layout::MAX_WORKERS });
        }
        let index = layout::listener_index(worker, family);
        self.listeners
            .lock()
            .set(index, &socket, 0)
            .map_err(|source| DatapathError::Table { map: layout::LISTENERS, source })
    }

    /// Declares that the addresses of a prefix are clusters' or nobody's.
    ///
    /// # Errors
    /// When there are [`layout::MAX_POOLS`] prefixes already, or the kernel refuses.
    pub fn guard(&self, prefix: IpNet) -> Result<(), DatapathError> {
        self.table.lock().set_pool(prefix, layout::GUARDED)
    }

    /// Leaves a prefix inside a guarded one alone: the machine's own address, or a gateway's.
    ///
    /// # Errors
    /// As for [`Datapath::guard`].
    pub fn exempt(&self, prefix: IpNet) -> Result<(), DatapathError> {
        self.table.lock().set_pool(prefix, layout::EXEMPT)
    }

    /// Takes back [`Datapath::guard`] or [`Datapath::exempt`]; an unknown prefix is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn unguard(&self, prefix: IpNet) -> Result<(), DatapathError> {
        self.table.lock().remove_pool(prefix)
    }

    /// Allocates a destination: connections to it go to `worker`. Doing so again moves it.
    ///
    /// # Errors
    /// When the tables are full, the worker cannot exist, or the kernel refuses.
    pub fn allow(&self, addr: ClusterAddr, worker: u32) -> Result<(), DatapathError> {
        self.table.lock().allow(addr, worker)
    }

    /// Allocates many destinations, all or none.
    ///
    /// # Errors
    /// As for [`Datapath::allow`]; destinations that were new are then gone again.
    pub fn allow_many(
        &self,
        many: impl IntoIterator<Item = (ClusterAddr, u32)>,
    ) -> Result<(), DatapathError> {
        self.table.lock().allow_many(many)
    }

    /// Takes a destination back; one that is not allocated is no error. Established connections
    /// live on. With the last port of an address its counters and its fault are gone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn revoke(&self, addr: ClusterAddr) -> Result<(), DatapathError> {
        self.table.lock().revoke(addr)
    }

    /// Sets what an edge does to packets for an allocated address.
    ///
    /// # Errors
    /// When the address is not allocated, or the kernel refuses.
    pub fn set_fault(&self, ip: IpAddr, fault: Fault) -> Result<(), DatapathError> {
        self.table.lock().set_fault(ip, fault)
    }

    /// What the edges saw for an allocated address.
    ///
    /// # Errors
    /// When the address is not allocated, or the kernel refuses.
    pub fn counters(&self, ip: IpAddr) -> Result<Counters, DatapathError> {
        self.table.lock().counters(ip)
    }

    /// How many frames and connections were treated in which way, over all links.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn reasons(&self) -> Result<Vec<(Reason, u64)>, DatapathError> {
        let count = |reason: Reason| {
            let each = self.reasons.get(&(reason as u32), 0);
            each.map(|each| (reason, each.iter().sum()))
                .map_err(|source| DatapathError::Table { map: layout::REASONS, source })
        };
        Reason::ALL.into_iter().map(count).collect()
    }

    /// Whether the kernel side's own log is on.
    pub fn kernel_log(&self) -> bool {
        self.log.lock().is_on()
    }

    /// Switches the kernel side's own log, a line a decision, into this program's log.
    ///
    /// Off after [`Datapath::load`]. Meant for looking at one problem: it costs every packet.
    ///
    /// # Errors
    /// When the kernel refuses, or no thread can be made to read the log.
    pub fn set_kernel_log(&self, on: bool) -> Result<(), DatapathError> {
        let mut log = self.log.lock();
        if on {
            log.start()?;
            return self.configure(|config| config.flags |= layout::LOG);
        }
        self.configure(|config| config.flags &= !layout::LOG)?;
        log.stop();
        Ok(())
    }

    /// Asks the kernel what the edge would make of a frame that arrived at the loopback link of
    /// this thread's namespace, on which an edge must be.
    ///
    /// It is the loaded program that answers, with the tables as they are; it counts, too.
    ///
    /// # Errors
    /// When the kernel cannot try programs, or refuses the frame (it must be 14 bytes or longer).
    pub fn try_edge(&self, frame: &[u8]) -> Result<Trial, DatapathError> {
        trial::run(program(&mut self.programs.lock(), layout::EDGE_PROGRAM)?, frame)
    }

    fn configure(&self, change: impl FnOnce(&mut layout::Config)) -> Result<(), DatapathError> {
        let failed = |source| DatapathError::Table { map: layout::CONFIG, source };
        let mut map = self.config.lock();
        let mut config = map.get(&0, 0).map_err(failed)?;
        change(&mut config);
        map.set(0, config, 0).map_err(failed)
    }
}

impl fmt::Debug for Datapath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datapath")
            .field("edges", &self.edges)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl Options {
    fn flags(self) -> u32 {
        let Self { max_addresses: _, refuse, answer_ping } = self;
        let mut flags = 0;
        if refuse == Refuse::Reset {
            flags |= layout::REFUSE_WITH_RESET;
        }
        if answer_ping {
            flags |= layout::ANSWER_PING;
        }
        flags
    }
}
