//! The address plane of one run: prepared once, told of each address, closed at exit.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::Mutex;

use super::kernel::{Kernel, Link, LinkKind};
use super::overlap::Host;
use super::owner::Owner;
use super::prefix::Prefixes;
use super::rtnetlink::Rtnetlink;
use super::secondary::{self, Secondary};
use super::{LOOPBACK_NET, Mode, NetlinkError};

/// The longest name of dummy links before their number: the kernel's names have 15 bytes.
const LINK_PREFIX_BYTES: usize = 12;

/// What the modes need to know besides the pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The addresses of clusters that exist already (from the journal). In mode `secondary` they
    /// are there after [`Plane::prepare`], and every other address on our links is gone.
    pub wanted: Vec<IpAddr>,
    /// What dummy links are called, before their number: at most 12 letters, digits or `-_.`,
    /// the last no digit.
    pub link_prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { wanted: Vec::new(), link_prefix: "fakeapi".to_owned() }
    }
}

/// Cluster addresses in the kernel, for the time of one run.
///
/// Dropping it without [`Plane::close`] leaves everything as a killed run would: the next one
/// adopts it.
#[derive(Debug)]
pub struct Plane<K = Rtnetlink> {
    mode: Mode,
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K> {
    kernel: K,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing in the kernel is ours.
    Nothing,
    Prefix {
        prefixes: Prefixes,
        _owner: Option<Owner>,
    },
    Secondary {
        links: Mutex<Secondary>,
        _owner: Option<Owner>,
    },
}

/// What becomes of addresses.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add,
    Remove,
}

impl Plane {
    /// Makes the host ready for the addresses of `pools`, in the network namespace of the calling
    /// thread; in mode `port`, `pools` is the one address as a host prefix. What a killed run
    /// left is adopted or removed.
    ///
    /// # Errors
    /// When a pool does not fit the mode or overlaps what the host has, another process owns
    /// addresses here, or the kernel refuses.
    pub async fn prepare(
        mode: Mode,
        pools: &[IpNet],
        options: &Options,
    ) -> Result<Self, NetlinkError> {
        let kernel = Rtnetlink::open().map_err(|source| NetlinkError::Open { source })?;
        let owner = match mode {
            Mode::Prefix | Mode::Secondary => Some(Owner::take()?),
            Mode::Loopback | Mode::Port => None,
        };
        Self::prepare_on(kernel, owner, mode, pools, options).await
    }
}

impl<K: Kernel> Plane<K> {
    pub(super) async fn prepare_on(
        kernel: K,
        owner: Option<Owner>,
        mode: Mode,
        pools: &[IpNet],
        options: &Options,
    ) -> Result<Self, NetlinkError> {
        refuse_unfit(mode, pools)?;
        refuse_link_prefix(&options.link_prefix)?;
        let host = read_host(&kernel).await?;
        let loopback = loopback_of(&host)?;
        if mode == Mode::Port {
            refuse_foreign(&host, pools)?;
        } else {
            let overlaps = host.overlaps(pools, &options.link_prefix);
            if !overlaps.is_empty() {
                return Err(NetlinkError::Overlap(overlaps));
            }
        }
        let state = match mode {
            Mode::Loopback | Mode::Port => State::Nothing,
            Mode::Prefix => {
                secondary::remove_left(&kernel, &host, &options.link_prefix).await?;
                let prefixes = Prefixes::prepare(&kernel, &host, pools, loopback).await?;
                State::Prefix { prefixes, _owner: owner }
            }
            Mode::Secondary => {
                // No pool wants a route in this mode: those a run in prefix mode left go.
                Prefixes::prepare(&kernel, &host, &[], loopback).await?;
                let prefix = &options.link_prefix;
                let links = Secondary::prepare(&kernel, &host, &options.wanted, prefix).await?;
                State::Secondary { links: Mutex::new(links), _owner: owner }
            }
        };
        Ok(Self { mode, shared: Arc::new(Shared { kernel, state }) })
    }

    /// The mode it was prepared in.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Makes addresses arrive here. Those that do already stay as they are.
    ///
    /// The work goes on when the caller stops waiting for it, so that what is booked and what the
    /// kernel has cannot differ.
    ///
    /// # Errors
    /// In mode `secondary`, when the kernel refuses an address; all others of the call are there.
    pub async fn add(&self, ips: &[IpAddr]) -> Result<(), NetlinkError> {
        self.change(ips, Change::Add).await
    }

    /// Stops addresses from arriving here. Those that do not are gone already. Finishes like
    /// [`Plane::add`].
    ///
    /// # Errors
    /// In mode `secondary`, when the kernel refuses; all others of the call are gone.
    pub async fn remove(&self, ips: &[IpAddr]) -> Result<(), NetlinkError> {
        self.change(ips, Change::Remove).await
    }

    async fn change(&self, ips: &[IpAddr], change: Change) -> Result<(), NetlinkError> {
        let State::Secondary { .. } = self.shared.state else {
            return Ok(());
        };
        let (shared, ips) = (Arc::clone(&self.shared), ips.to_vec());
        finish(async move {
            let State::Secondary { links, .. } = &shared.state else {
                return Ok(());
            };
            let mut links = links.lock().await;
            match change {
                Change::Add => links.add(&shared.kernel, &ips).await,
                Change::Remove => links.remove(&shared.kernel, &ips).await,
            }
        })
        .await
    }

    /// Ends the run. Unless told to `keep` them, routes and links of ours are removed; kept ones
    /// are adopted by the next run.
    ///
    /// # Errors
    /// When the kernel refuses to remove one; the others are gone.
    pub async fn close(self, keep: bool) -> Result<(), NetlinkError> {
        if keep {
            return Ok(());
        }
        let kernel = &self.shared.kernel;
        match &self.shared.state {
            State::Nothing => Ok(()),
            State::Prefix { prefixes, .. } => prefixes.remove(kernel).await,
            State::Secondary { links, .. } => links.lock().await.remove_links(kernel).await,
        }
    }
}

/// Runs a change to its end in a task of its own, whatever becomes of the caller.
async fn finish(
    change: impl Future<Output = Result<(), NetlinkError>> + Send + 'static,
) -> Result<(), NetlinkError> {
    match tokio::spawn(change).await {
        Ok(outcome) => outcome,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(source) => Err(NetlinkError::Interrupted { source }),
        },
    }
}

async fn read_host<K: Kernel>(kernel: &K) -> Result<Host, NetlinkError> {
    let failed = |what| move |source| NetlinkError::Dump { what, source };
    Ok(Host {
        links: kernel.links().await.map_err(failed("links"))?,
        addresses: kernel.addresses().await.map_err(failed("addresses"))?,
        routes: kernel.routes().await.map_err(failed("routes"))?,
    })
}

fn loopback_of(host: &Host) -> Result<Link, NetlinkError> {
    let loopback = host.links.iter().find(|link| link.kind == LinkKind::Loopback);
    match loopback {
        None => Err(NetlinkError::Loopback { state: "missing" }),
        Some(link) if !link.up => Err(NetlinkError::Loopback { state: "down" }),
        Some(link) => Ok(link.clone()),
    }
}

fn refuse_unfit(mode: Mode, pools: &[IpNet]) -> Result<(), NetlinkError> {
    let misfit = |pool: &IpNet| match mode {
        Mode::Loopback if matches!(pool, IpNet::V6(_)) => {
            Some("IPv6 has one loopback address only; use prefix mode")
        }
        Mode::Loopback if !LOOPBACK_NET.contains(pool) => {
            Some("only 127.0.0.0/8 is local by itself; use prefix mode")
        }
        Mode::Secondary if LOOPBACK_NET.contains(pool) => {
            Some("127.0.0.0/8 is local by itself; use loopback mode")
        }
        Mode::Port if pools.len() != 1 || pool.prefix_len() != pool.max_prefix_len() => {
            Some("it takes exactly one address")
        }
        _ => None,
    };
    match pools.iter().find_map(|pool| misfit(pool).map(|why| (*pool, why))) {
        Some((pool, why)) => Err(NetlinkError::Unfit { mode, pool, why }),
        None => Ok(()),
    }
}

/// A number follows the prefix, so one that ends in a digit would be ambiguous.
fn refuse_link_prefix(prefix: &str) -> Result<(), NetlinkError> {
    let is_fit = (1..=LINK_PREFIX_BYTES).contains(&prefix.len())
        && prefix.chars().all(|part| part.is_ascii_alphanumeric() || "-_.".contains(part))
        && !prefix.ends_with(|last: char| last.is_ascii_digit());
    if is_fit { Ok(()) } else { Err(NetlinkError::LinkPrefix { prefix: prefix.to_owned() }) }
}

fn refuse_foreign(host: &Host, pools: &[IpNet]) -> Result<(), NetlinkError> {
    match pools.iter().map(IpNet::addr).find(|ip| !host.is_local(*ip)) {
        Some(ip) => Err(NetlinkError::NotLocal { ip }),
        None => Ok(()),
    }
}
