//! XDP: what becomes of a frame at the edge.

use core::arch::asm;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use fakeapi_common::layout::{Address, AddressValue, Edge, LOG, Reason};
use fakeapi_common::packet::{Frame, FrameMut};
use fakeapi_common::reply;
use fakeapi_common::verdict::{Answer, Judgement, Tables, Verdict, judge};

use crate::{log, maps};

/// A frame as the driver holds it.
struct Packet {
    start: usize,
    end: usize,
}

impl Packet {
    #[inline(always)]
    fn new(ctx: &XdpContext) -> Self {
        Self { start: ctx.data(), end: ctx.data_end() }
    }

    /// The address of `N` words at `at`, if the packet holds all of them.
    #[inline(always)]
    fn locate<const N: usize>(&self, at: usize) -> Option<usize> {
        let from = self.start + bounded(at);
        (from + 2 * N <= self.end).then_some(from)
    }
}

/// The offset, in a form whose bound the verifier sees and the compiler cannot reason away.
#[inline(always)]
fn bounded(mut at: usize) -> usize {
    // SAFETY: one instruction on one register; no memory, no flags.
    unsafe { asm!("{at} &= 255", at = inout(reg) at, options(pure, nomem, nostack)) };
    at
}

impl Frame for Packet {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u16; N]> {
        let from = self.locate::<N>(at)?;
        // SAFETY: the words lie within the packet, as located; drivers align frames to words and
        // the offsets are even; any bits are a word.
        Some(unsafe { *(from as *const [u16; N]) })
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.end - self.start
    }
}

impl FrameMut for Packet {
    #[inline(always)]
    fn write<const N: usize>(&mut self, at: usize, words: [u16; N]) -> Option<()> {
        let from = self.locate::<N>(at)?;
        // SAFETY: as for reading, and nobody else looks at the packet.
        unsafe { *(from as *mut [u16; N]) = words };
        Some(())
    }
}

/// The maps, as the rules see them.
struct Kernel;

impl Tables for Kernel {
    #[inline(always)]
    fn address(&self, address: &Address) -> Option<AddressValue> {
        maps::address(address)
    }

    #[inline(always)]
    fn guarded(&self, address: &Address) -> bool {
        maps::guarded(address)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "sixteen of the bits are enough")]
    fn random(&self) -> u16 {
        // SAFETY: the helper takes nothing and touches nothing of ours.
        (unsafe { bpf_get_prandom_u32() }) as u16
    }
}

/// Judges a frame, counts it, and does what the verdict says.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the kernel's numbers here have 32 bits")]
pub(crate) fn judge_frame(ctx: &XdpContext) -> u32 {
    let link = ctx.ingress_ifindex() as u32;
    // Not in the table: the link is being given up.
    let Some(edge) = maps::link(link) else {
        return XDP_PASS;
    };
    let config = maps::config();
    let mut packet = Packet::new(ctx);
    let length = packet.length();
    let judged = judge(&packet, &Kernel, edge, config);
    if let Some(slot) = judged.slot {
        maps::count_address(slot, length as u64, judged.by_fault());
    }
    let (action, reason) = match judged.verdict {
        Verdict::Pass => (XDP_PASS, judged.reason),
        Verdict::Drop => (XDP_DROP, judged.reason),
        Verdict::Answer(answer) => send(ctx, &mut packet, &judged, answer, edge),
    };
    maps::count_reason(reason);
    if config.has(LOG) {
        log::frame(ctx, link, reason as u32, length as u32);
    }
    action
}

/// Turns the frame round; one that cannot be written is dropped, for it may be half an answer.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "no frame is near two gigabytes long"
)]
fn send(
    ctx: &XdpContext,
    packet: &mut Packet,
    judged: &Judgement,
    answer: Answer,
    edge: Edge,
) -> (u32, Reason) {
    let length = packet.length();
    let Some(answered) = reply::write(packet, judged.network, answer, edge) else {
        return (XDP_DROP, Reason::Unanswerable);
    };
    let wanted = answered.max(reply::SHORTEST);
    if wanted < length {
        // SAFETY: the context is the kernel's own. The packet is not read after this. If the
        // driver refuses, the rest stays behind the answer as padding, which every receiver skips.
        let _: i64 = unsafe { bpf_xdp_adjust_tail(ctx.ctx, wanted as i32 - length as i32) };
    }
    (XDP_TX, judged.reason)
}
