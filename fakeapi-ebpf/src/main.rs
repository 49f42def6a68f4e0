//! The kernel side: two thin entry points around the rules of `fakeapi-common`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics)]
#![expect(
    clippy::inline_always,
    reason = "a kernel of 5.15 follows packet pointers only within one function"
)]
#![expect(internal_features, reason = "the target has atomic addition, core offers it only there")]

use aya_ebpf::macros::{sk_lookup, xdp};
use aya_ebpf::programs::{SkLookupContext, XdpContext};

mod edge;
mod log;
mod maps;
mod steer;

/// Every frame that arrives at a link we were put on.
#[expect(
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "the macro makes an exported symbol of it, and gives it the context"
)]
#[xdp]
pub fn edge(ctx: XdpContext) -> u32 {
    edge::judge_frame(&ctx)
}

/// Every new connection of the network namespace.
#[expect(
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "the macro makes an exported symbol of it, and gives it the context"
)]
#[sk_lookup]
pub fn steer(ctx: SkLookupContext) -> u32 {
    steer::judge_connection(&ctx)
}

/// The verifier admits no program that could get here.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The helpers we call are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
