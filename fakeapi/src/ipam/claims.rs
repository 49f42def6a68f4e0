//! Slots taken out of order, ahead of the cursor.
//!
//! A journal replay and clients that ask for addresses claim anywhere in a pool. A dense pool
//! remembers that in bits, in blocks that exist only where something was claimed; a pool too wide
//! for bits (most IPv6 ones) in a hash set.

use foldhash::{HashSet, HashSetExt};

/// The widest pool kept as bits: a whole IPv4 /8. Its table of blocks costs 32 KiB, and only once
/// something is claimed.
pub(super) const BITMAP_SLOTS: u128 = 1 << 24;

/// Slots a block covers: 512 bytes of bits.
const BLOCK_SLOTS: usize = 4096;
const WORDS: usize = BLOCK_SLOTS / 64;

type Block = Option<Box<[u64; WORDS]>>;

/// A set of slots, all below the size it was made for.
#[derive(Debug)]
pub(super) enum Claims {
    Bits { blocks: Vec<Block>, slots: usize },
    Set(HashSet<u128>),
}

/// Where a slot's bit is: block, word in it, mask.
fn place(slot: u128) -> Option<(usize, usize, u64)> {
    let slot = usize::try_from(slot).ok()?;
    let (block, bit) = (slot / BLOCK_SLOTS, slot % BLOCK_SLOTS);
    Some((block, bit / 64, 1 << (bit % 64)))
}

impl Claims {
    /// An empty set for slots `0..slots`.
    pub(super) fn new(slots: u128) -> Self {
        match usize::try_from(slots) {
            Ok(dense) if slots <= BITMAP_SLOTS => Self::Bits { blocks: Vec::new(), slots: dense },
            _ => Self::Set(HashSet::new()),
        }
    }

    /// Adds `slot`; false if it was there.
    pub(super) fn insert(&mut self, slot: u128) -> bool {
        match self {
            Self::Set(set) => set.insert(slot),
            Self::Bits { blocks, slots } => {
                if blocks.is_empty() {
                    blocks.resize_with(slots.div_ceil(BLOCK_SLOTS), || None);
                }
                let (block, word, mask) = place(slot).expect("a slot is below the pool's size");
                let words = blocks[block].get_or_insert_with(|| Box::new([0; WORDS]));
                let fresh = words[word] & mask == 0;
                words[word] |= mask;
                fresh
            }
        }
    }

    /// Takes `slot` out; false if it was not there.
    pub(super) fn remove(&mut self, slot: u128) -> bool {
        match self {
            Self::Set(set) => set.remove(&slot),
            Self::Bits { blocks, .. } => {
                let Some((block, word, mask)) = place(slot) else {
                    return false;
                };
                let Some(Some(words)) = blocks.get_mut(block) else {
                    return false;
                };
                let there = words[word] & mask != 0;
                words[word] &= !mask;
                there
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_sets() {
        for slots in [BITMAP_SLOTS, BITMAP_SLOTS + 1] {
            let mut claims = Claims::new(slots);
            assert_eq!(matches!(claims, Claims::Bits { .. }), slots == BITMAP_SLOTS);
            for slot in [0, 63, 64, 4095, 4096, slots - 1] {
                assert!(!claims.remove(slot));
                assert!(claims.insert(slot));
                assert!(!claims.insert(slot));
            }
            assert!(!claims.remove(1), "a neighbour in the same word");
            assert!(claims.remove(64));
            assert!(!claims.remove(64));
            assert!(claims.remove(63), "the other word kept its bit");
        }
    }

    #[test]
    fn a_wide_bitmap_costs_nothing_before_use() {
        let Claims::Bits { blocks, .. } = Claims::new(BITMAP_SLOTS) else {
            panic!("a /8 is kept as bits");
        };
        assert_eq!(blocks.capacity(), 0);
    }
}
