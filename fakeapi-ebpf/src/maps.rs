//! The maps, and the small questions the programs ask them.
//!
//! Sizes that depend on how many clusters there are come from the user side at load time.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray, SockMap};
use fakeapi_common::layout::{
    Address, AddressValue, Config, Count, DEFAULT_ADDRESSES, DestKey, DestValue, Edge, GUARDED,
    MAX_EDGES, MAX_POOLS, MAX_WORKERS, REASON_COUNT, Reason,
};

/// Bits of an address: a look-up asks for the longest prefix.
const ADDRESS_BITS: u32 = 128;

/// Destination to worker. The user side writes, `steer` reads.
#[map]
static DESTS: HashMap<DestKey, DestValue> = HashMap::with_max_entries(DEFAULT_ADDRESSES, 0);

/// Allocated addresses. The user side writes, `edge` reads.
#[map]
static ADDRESSES: HashMap<Address, AddressValue> = HashMap::with_max_entries(DEFAULT_ADDRESSES, 0);

/// Counters by slot. `edge` adds, the user side reads. Shared by the CPUs rather than one copy
/// each: with 131,072 slots the copies would cost gigabytes on a large machine, while two CPUs
/// seldom add to one cluster at once.
#[map]
static COUNTS: Array<Count> = Array::with_max_entries(DEFAULT_ADDRESSES, 0);

/// Guarded and exempt prefixes. The user side writes, both programs read.
#[map]
static POOLS: LpmTrie<Address, u32> = LpmTrie::with_max_entries(MAX_POOLS, 0);

/// Counters by reason. Both programs add, the user side reads.
#[map]
static REASONS: PerCpuArray<u64> = PerCpuArray::with_max_entries(REASON_COUNT, 0);

/// Listening sockets by worker and family. The user side writes, `steer` reads.
#[map]
pub(crate) static LISTENERS: SockMap = SockMap::with_max_entries(MAX_WORKERS * 2, 0);

/// Switches. The user side writes, both programs read.
#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, 0);

/// Links that carry `edge`. The user side writes, `edge` reads.
#[map]
static EDGES: HashMap<u32, Edge> = HashMap::with_max_entries(MAX_EDGES, 0);

#[inline(always)]
pub(crate) fn config() -> Config {
    CONFIG.get(0).copied().unwrap_or_default()
}

#[inline(always)]
pub(crate) fn link(index: u32) -> Option<Edge> {
    // SAFETY: the user side replaces values whole, and eight aligned bytes are copied out at once.
    unsafe { EDGES.get(index) }.copied()
}

#[inline(always)]
pub(crate) fn address(address: &Address) -> Option<AddressValue> {
    // SAFETY: a value may change while it is copied; either word of it is then old or new, and
    // both were valid when written.
    unsafe { ADDRESSES.get(address) }.copied()
}

#[inline(always)]
pub(crate) fn destination(key: &DestKey) -> Option<DestValue> {
    // SAFETY: four aligned bytes, copied out at once.
    unsafe { DESTS.get(key) }.copied()
}

#[inline(always)]
pub(crate) fn guarded(address: &Address) -> bool {
    POOLS.get(Key::new(ADDRESS_BITS, *address)) == Some(&GUARDED)
}

/// Counts a decision.
#[inline(always)]
pub(crate) fn count_reason(reason: Reason) {
    if let Some(count) = REASONS.get_ptr_mut(reason as u32) {
        // SAFETY: the pointer is to this CPU's own copy, and programs are not preempted by one
        // another on a CPU while they write it.
        unsafe { *count += 1 };
    }
}

/// Counts a frame for an allocated address.
#[inline(always)]
pub(crate) fn count_address(slot: u32, bytes: u64, dropped: bool) {
    let Some(count) = COUNTS.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: the pointer came out of the map, whose values are eight-byte aligned and live as long
    // as it does.
    unsafe {
        add(&raw mut (*count).packets, 1);
        add(&raw mut (*count).bytes, bytes);
        if dropped {
            add(&raw mut (*count).dropped, 1);
        }
    }
}

/// Adds to a word that every CPU adds to. The result is not asked for, so that the plain
/// instruction every kernel knows is enough. (`AtomicU64` has no arithmetic for this target.)
///
/// # Safety
/// `word` must point to an aligned word of a map value.
#[inline(always)]
unsafe fn add(word: *mut u64, amount: u64) {
    // SAFETY: promised by the caller; all CPUs use this instruction.
    let _before = unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(word, amount) };
}
