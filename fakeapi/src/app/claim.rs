//! Two programs in one network namespace must not give the same addresses: the kernel would
//! bring all connections to one of them, and the other's clusters would be dead without a word.
//!
//! A claim is the name of an abstract socket: its scope is the network namespace, as that of
//! addresses is, everybody can read it, and it goes with the process however that ends.

use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;

use super::options::RunOptions;
use crate::netlink::{Choice, Mode};

/// How the names of claims begin.
const PREFIX: &str = "fakeapi-claim/";

/// Where the names of all sockets of the network namespace are.
const SOCKETS: &str = "/proc/net/unix";

/// The claims of this process; they end when it is dropped.
#[derive(Debug)]
pub(super) struct Claims {
    _sockets: Vec<UnixDatagram>,
}

/// Claims the addresses and ports that clusters may get.
///
/// # Errors
/// When another program has claimed some of them.
pub(super) fn claim(options: &RunOptions, choice: &Choice) -> Result<Claims> {
    let mut sockets = Vec::new();
    let mut own = Vec::new();
    for wanted in wanted(options, choice) {
        // The process id keeps overlapping claims of one program apart in the list.
        let name = format!("{PREFIX}{}/{}", wanted.text(), std::process::id());
        let address = SocketAddr::from_abstract_name(&name)?;
        let socket = UnixDatagram::bind_addr(&address)
            .with_context(|| format!("{} cannot be claimed", wanted.text()))?;
        sockets.push(socket);
        own.push((name, wanted));
    }
    let listed = std::fs::read_to_string(SOCKETS)
        .with_context(|| format!("{SOCKETS} tells who else is here and cannot be read"))?;
    for name in listed.lines().filter_map(|line| line.rsplit(' ').next()?.strip_prefix('@')) {
        let Some(theirs) = Range::of_name(name) else { continue };
        let is_own = own.iter().any(|(known, _)| known == name);
        if let Some((_, ours)) = own.iter().find(|(_, ours)| !is_own && ours.overlaps(&theirs)) {
            let (ours, theirs) = (ours.text(), theirs.text());
            bail!("{ours} overlaps {theirs}, which is in use by another fakeapi of this machine");
        }
    }
    Ok(Claims { _sockets: sockets })
}

fn wanted(options: &RunOptions, choice: &Choice) -> Vec<Range> {
    if let (Mode::Port, Some(ip)) = (choice.mode, options.ip) {
        return vec![Range { pool: IpNet::from(ip), ports: options.ports.0.clone() }];
    }
    let port = options.secure_port;
    choice.pools.iter().map(|pool| Range { pool: *pool, ports: port..=port }).collect()
}

/// Addresses, and ports of each.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    pool: IpNet,
    ports: RangeInclusive<u16>,
}

impl Range {
    fn text(&self) -> String {
        format!("{}:{}-{}", self.pool, self.ports.start(), self.ports.end())
    }

    /// The range in a socket's name, if it is a claim.
    fn of_name(name: &str) -> Option<Self> {
        let (text, _process) = name.strip_prefix(PREFIX)?.rsplit_once('/')?;
        let (pool, ports) = text.rsplit_once(':')?;
        let (first, last) = ports.split_once('-')?;
        Some(Self { pool: pool.parse().ok()?, ports: first.parse().ok()?..=last.parse().ok()? })
    }

    fn overlaps(&self, other: &Self) -> bool {
        let ports =
            self.ports.start() <= other.ports.end() && other.ports.start() <= self.ports.end();
        ports && (self.pool.contains(&other.pool) || other.pool.contains(&self.pool))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(pool: &str, ports: RangeInclusive<u16>) -> Range {
        Range { pool: pool.parse().unwrap(), ports }
    }

    #[test]
    fn a_claim_is_read_back_from_its_name() {
        for claimed in [range("127.1.0.0/16", 6443..=6443), range("fd00::/64", 1..=65_535)] {
            let name = format!("{PREFIX}{}/17", claimed.text());
            assert_eq!(Range::of_name(&name), Some(claimed));
        }
        for foreign in ["", "/tmp/x", "fakeapi-claim/", "fakeapi-claim/10.0.0.0/8/1"] {
            assert_eq!(Range::of_name(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn ranges_overlap_in_addresses_and_ports() {
        let one = range("10.0.0.0/16", 100..=200);
        for (other, overlaps) in [
            (range("10.0.0.0/8", 200..=300), true),
            (range("10.0.7.1/32", 150..=150), true),
            (range("10.0.0.0/16", 201..=300), false),
            (range("10.1.0.0/16", 100..=200), false),
            (range("fd00::/64", 100..=200), false),
        ] {
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (overlaps, overlaps));
        }
    }
}
