//! What this kernel and this process allow, and what would grant the rest.

use std::fmt;
use std::fs;

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{is_map_supported, is_program_supported};

/// The oldest kernel the programs are tested on.
const OLDEST: KernelVersion = KernelVersion { major: 5, minor: 15 };

/// Bits of the effective capability set (`linux/capability.h`).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// A kernel's version, as far as features follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl KernelVersion {
    /// The running kernel's.
    pub fn running() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/sys/kernel/osrelease").ok()?)
    }

    fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a part of the datapath cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The process may not.
    #[error(
        "this process lacks {missing}; run as root, or grant it (`setcap cap_bpf,cap_perfmon,cap_net_admin+ep`, \
         or `capabilities: {{add: [BPF, PERFMON, NET_ADMIN]}}` in a pod)"
    )]
    Capability {
        /// The capabilities that are missing.
        missing: String,
    },
    /// The kernel does not know a kind of program or table.
    #[error("this kernel has no {what}; it needs {option} and {OLDEST} or newer")]
    Kernel {
        /// What is missing.
        what: &'static str,
        /// The kernel option that brings it.
        option: &'static str,
    },
    /// The capabilities are there, and the kernel refuses all the same.
    #[error("the kernel refuses {what}: {reason} (a seccomp or LSM rule may forbid bpf(2))")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What it answered.
        reason: String,
    },
}

/// What can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The running kernel, if it tells.
    pub kernel: Option<KernelVersion>,
    /// Whether programs can judge frames at links (XDP).
    pub edge: Result<(), Lack>,
    /// Whether programs can hand connections to sockets (`sk_lookup`).
    pub steer: Result<(), Lack>,
}

impl Capabilities {
    /// Whether [`Datapath::load`](super::Datapath::load) can be expected to work.
    pub fn complete(&self) -> bool {
        self.edge.is_ok() && self.steer.is_ok()
    }

    pub(super) fn probe() -> Self {
        let kernel = KernelVersion::running();
        if let Err(lack) = privileges() {
            return Self { kernel, edge: Err(lack.clone()), steer: Err(lack) };
        }
        let tables = table(MapType::Hash, "BPF tables", "CONFIG_BPF_SYSCALL")
            .and_then(|()| table(MapType::LpmTrie, "prefix tables", "CONFIG_BPF_SYSCALL"))
            .and_then(|()| table(MapType::RingBuf, "BPF rings", "CONFIG_BPF_SYSCALL"));
        let edge = tables
            .clone()
            .and_then(|()| kind(ProgramType::Xdp, "XDP", "CONFIG_BPF_SYSCALL and CONFIG_NET"));
        let steer = tables
            .and_then(|()| table(MapType::SockMap, "socket tables", "CONFIG_BPF_STREAM_PARSER"))
            .and_then(|()| kind(ProgramType::SkLookup, "sk_lookup", "CONFIG_BPF_SYSCALL"));
        Self { kernel, edge, steer }
    }
}

fn privileges() -> Result<(), Lack> {
    // A kernel without /proc is judged by what it answers to the probes.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match missing(&status) {
        Some(missing) => Err(Lack::Capability { missing }),
        None => Ok(()),
    }
}

/// The capabilities a process with this status lacks.
fn missing(status: &str) -> Option<String> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    let has = |bit: u32| effective & (1 << bit) != 0;
    let mut missing = Vec::new();
    // Without CAP_PERFMON the verifier forbids pointer arithmetic that a parser of packets needs.
    for (bit, name) in [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")] {
        if !has(bit) && !has(CAP_SYS_ADMIN) {
            missing.push(name);
        }
    }
    if !has(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    (!missing.is_empty()).then(|| missing.join(" and "))
}

fn table(kind: MapType, what: &'static str, option: &'static str) -> Result<(), Lack> {
    match is_map_supported(kind) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Lack::Kernel { what, option }),
        Err(error) => refused(what, option, &error.io_error),
    }
}

fn kind(kind: ProgramType, what: &'static str, option: &'static str) -> Result<(), Lack> {
    match is_program_supported(kind) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Lack::Kernel { what, option }),
        Err(aya::programs::ProgramError::SyscallError(error)) => {
            refused(what, option, &error.io_error)
        }
        Err(error) => Err(Lack::Refused { what, reason: error.to_string() }),
    }
}

fn refused(what: &'static str, option: &'static str, error: &std::io::Error) -> Result<(), Lack> {
    if error.raw_os_error() == Some(libc::ENOSYS) {
        return Err(Lack::Kernel { what, option });
    }
    Err(Lack::Refused { what, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        let version = |major, minor| Some(KernelVersion { major, minor });
        assert_eq!(KernelVersion::parse("6.18.44-fc-v657\n"), version(6, 18));
        assert_eq!(KernelVersion::parse("5.15-rc3"), version(5, 15));
        assert_eq!(KernelVersion::parse("linux"), None);
        assert!(version(5, 9) < version(5, 15));
    }

    #[test]
    fn missing_capabilities_are_named() {
        let status = |bits: u64| missing(&format!("Name:\tx\nCapEff:\t{bits:016x}\n"));
        assert_eq!(status(0).as_deref(), Some("CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN"));
        let bpf = 1 << CAP_BPF | 1 << CAP_PERFMON;
        assert_eq!(status(bpf).as_deref(), Some("CAP_NET_ADMIN"));
        assert_eq!(status(bpf | 1 << CAP_NET_ADMIN), None);
        assert_eq!(status(1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN), None);
    }

    #[test]
    fn a_lack_tells_what_grants_it() {
        let lack = Lack::Capability { missing: "CAP_BPF".to_owned() };
        assert!(lack.to_string().contains("add: [BPF, PERFMON, NET_ADMIN]"), "{lack}");
    }
}
