//! The links that carry the edge program, and who holds them.

use std::collections::HashMap;
use std::fmt;

use aya::maps::{HashMap as KernelMap, MapData};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use fakeapi_common::layout;

use super::DatapathError;
use super::link::Link;
use super::table::table_error;

/// How the edge behaves on one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeOptions {
    /// Answer ARP and neighbour solicitations for allocated addresses: needed where the network
    /// does not route the pool to this machine.
    pub neighbours: bool,
}

/// How the kernel runs the edge on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeMode {
    /// In the driver, before the kernel makes a packet of the frame.
    Native,
    /// In the network stack: for any driver, at a lower speed.
    Generic,
}

impl fmt::Display for EdgeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// The links we are on.
#[derive(Debug)]
pub(super) struct Edges {
    links: HashMap<String, Held>,
    map: KernelMap<MapData, u32, layout::Edge>,
}

/// A link we are on; closing its descriptor takes us off.
#[derive(Debug)]
struct Held {
    index: u32,
    mode: EdgeMode,
    _descriptor: FdLink,
}

impl Edges {
    pub(super) fn new(map: KernelMap<MapData, u32, layout::Edge>) -> Self {
        Self { links: HashMap::new(), map }
    }

    pub(super) fn attach(
        &mut self,
        program: &mut Xdp,
        link: &Link,
        options: EdgeOptions,
    ) -> Result<EdgeMode, DatapathError> {
        let EdgeOptions { neighbours } = options;
        let flags = if neighbours { layout::ANSWER_NEIGHBOURS } else { 0 };
        let value = layout::Edge { mac: link.mac.into(), flags };
        let known = self.links.get(&link.name).filter(|held| held.index == link.index);
        let mode = known.map(|held| held.mode);
        // Before the program runs: it passes everything on links that are not in the table.
        self.map
            .insert(link.index, value, 0)
            .map_err(|source| table_error(layout::EDGES, layout::MAX_EDGES, source))?;
        if let Some(mode) = mode {
            return Ok(mode);
        }
        match hold(program, link) {
            Ok(held) => {
                let mode = held.mode;
                // A link of that name that was deleted and made again has another index.
                match self.links.insert(link.name.clone(), held) {
                    Some(gone) if gone.index != link.index => self.forget(gone.index)?,
                    _ => {}
                }
                Ok(mode)
            }
            Err(error) => {
                self.forget(link.index)?;
                Err(error)
            }
        }
    }

    pub(super) fn detach(&mut self, link: &str) -> Result<(), DatapathError> {
        match self.links.remove(link) {
            Some(held) => self.forget(held.index),
            None => Ok(()),
        }
    }

    fn forget(&mut self, index: u32) -> Result<(), DatapathError> {
        self.map
            .remove(&index)
            .map_err(|source| table_error(layout::EDGES, layout::MAX_EDGES, source))
    }
}

/// Attaches natively if the driver can, else generically.
///
/// A veth can run the program natively but drops the frames it sends back unless its peer runs
/// one too (or has GRO on), and our answers would be lost: generic is right for it.
fn hold(program: &mut Xdp, link: &Link) -> Result<Held, DatapathError> {
    if !link.veth {
        match attach(program, link, XdpMode::Driver) {
            Err(DatapathError::AttachEdge { .. }) => {}
            decided => return decided,
        }
    }
    attach(program, link, XdpMode::Skb)
}

fn attach(program: &mut Xdp, link: &Link, mode: XdpMode) -> Result<Held, DatapathError> {
    let failed = |source| match os_error(&source) {
        Some(libc::EBUSY | libc::EEXIST) => DatapathError::LinkTaken { link: link.name.clone() },
        _ => DatapathError::AttachEdge { link: link.name.clone(), source },
    };
    let id = program.attach_to_if_index(link.index, mode).map_err(failed)?;
    let taken = program.take_link(id).map_err(failed)?;
    // Anything but a descriptor would outlive us; dropping it here takes it off again.
    let descriptor = FdLink::try_from(taken)
        .map_err(|_| DatapathError::NotOwnable { link: link.name.clone() })?;
    let mode = if mode == XdpMode::Driver { EdgeMode::Native } else { EdgeMode::Generic };
    Ok(Held { index: link.index, mode, _descriptor: descriptor })
}

fn os_error(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(call) => call.io_error.raw_os_error(),
        _ => None,
    }
}
