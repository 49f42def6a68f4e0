//! Lines into the log ring, when the user side switched them on.

use aya_ebpf::programs::{SkLookupContext, XdpContext};
use aya_log_ebpf::debug;

/// One line for a frame: which link, why, how long.
#[inline(never)]
pub(crate) fn frame(ctx: &XdpContext, link: u32, reason: u32, length: u32) {
    debug!(ctx, "edge link={} reason={} bytes={}", link, reason, length);
}

/// One line for a connection: which port, why.
#[inline(never)]
pub(crate) fn connection(ctx: &SkLookupContext, port: u32, reason: u32) {
    debug!(ctx, "steer port={} reason={}", port, reason);
}
