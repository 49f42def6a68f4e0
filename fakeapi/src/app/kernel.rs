//! The kernel side: loaded where it can be had, and what is lacking said once.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use anyhow::{Result, bail};
use tracing::{info, warn};

use super::options::{Kernel, RunOptions};
use crate::datapath::{self, Datapath, EdgeOptions, Refuse};
use crate::netlink::{Choice, Mode};
use crate::serve::listener::Family;

/// Loads the kernel side and puts its edges on the links that were named.
pub(super) fn load(options: &RunOptions, choice: &Choice) -> Result<Option<Arc<Datapath>>> {
    if options.kernel == Kernel::Off {
        if !options.edges.is_empty() {
            bail!("--edge needs the kernel side, which --kernel off forbids");
        }
        info!("the kernel side is off: ordinary listeners take the connections");
        return Ok(None);
    }
    let must = options.kernel == Kernel::On || !options.edges.is_empty();
    let datapath = match try_load(options) {
        Ok(datapath) => datapath,
        Err(error) if must => return Err(error.context("the kernel side cannot be had")),
        Err(error) => {
            warn!("without the kernel side, ordinary listeners take the connections: {error:#}");
            return Ok(None);
        }
    };
    datapath.set_kernel_log(options.kernel_log)?;
    guard(&datapath, choice)?;
    for link in &options.edges {
        let mode = datapath.attach_edge(link, EdgeOptions { neighbours: options.neighbours })?;
        info!(link, %mode, "packets are judged at the edge");
    }
    info!("the kernel steers connections to the workers that own them");
    Ok(Some(Arc::new(datapath)))
}

/// Loads the programs where the kernel and this process can have them.
fn try_load(options: &RunOptions) -> Result<Datapath> {
    let capabilities = Datapath::probe();
    capabilities.steer?;
    capabilities.edge?;
    Ok(Datapath::load(datapath::Options {
        max_addresses: options.max_addresses,
        refuse: if options.reset { Refuse::Reset } else { Refuse::Drop },
        answer_ping: true,
    })?)
}

/// Pools are guarded at the edges; the one address of port mode is the host's own.
fn guard(datapath: &Datapath, choice: &Choice) -> Result<()> {
    if choice.mode != Mode::Port {
        for pool in &choice.pools {
            datapath.guard(*pool)?;
        }
    }
    Ok(())
}

/// Tells the kernel which socket a worker listens on.
pub(super) fn place(
    datapath: &Datapath,
    worker: u32,
    family: Family,
    socket: BorrowedFd<'_>,
) -> io::Result<()> {
    let family = match family {
        Family::V4 => datapath::Family::V4,
        Family::V6 => datapath::Family::V6,
    };
    datapath.place_listener(worker, family, socket).map_err(io::Error::other)
}

/// Switches the log of the kernel programs on, or off again.
pub(super) fn switch_log(datapath: Option<&Datapath>) {
    let Some(datapath) = datapath else {
        warn!("there is no kernel side whose log could be switched");
        return;
    };
    let on = !datapath.kernel_log();
    match datapath.set_kernel_log(on) {
        Ok(()) => info!(on, "the log of the kernel programs is switched"),
        Err(error) => warn!(%error, "the log of the kernel programs cannot be switched"),
    }
}
