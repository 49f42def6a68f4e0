//! The queue of released slots: first in, first out, yet any member can be taken from the middle.
//!
//! A client may ask for exactly the address another one just gave back, and a queue with stale
//! entries would then either grow without bound or lose its order. So this one is a doubly
//! linked list threaded through a hash map: every operation is O(1), and nothing is ever stale.

use foldhash::{HashMap, HashMapExt};

/// The end of the list. No slot has this number: a pool holds at most `u128::MAX` slots.
const NONE: u128 = u128::MAX;

#[derive(Clone, Copy, Debug)]
struct Neighbours {
    before: u128,
    after: u128,
}

/// Slots that were used once and are free again, the longest-free one first.
#[derive(Debug)]
pub(super) struct Released {
    links: HashMap<u128, Neighbours>,
    oldest: u128,
    newest: u128,
}

impl Released {
    pub(super) fn new() -> Self {
        Self { links: HashMap::new(), oldest: NONE, newest: NONE }
    }

    fn contains(&self, slot: u128) -> bool {
        self.links.contains_key(&slot)
    }

    /// Puts `slot` at the end; false if it was queued already.
    pub(super) fn push(&mut self, slot: u128) -> bool {
        if self.contains(slot) {
            return false;
        }
        self.links.insert(slot, Neighbours { before: self.newest, after: NONE });
        match self.links.get_mut(&self.newest) {
            Some(last) => last.after = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
        true
    }

    /// Takes the slot that has been free the longest.
    pub(super) fn pop(&mut self) -> Option<u128> {
        let slot = self.oldest;
        self.take(slot).then_some(slot)
    }

    /// Takes `slot` wherever it stands; false if it was not queued.
    pub(super) fn take(&mut self, slot: u128) -> bool {
        let Some(Neighbours { before, after }) = self.links.remove(&slot) else {
            return false;
        };
        match self.links.get_mut(&before) {
            Some(earlier) => earlier.after = after,
            None => self.oldest = after,
        }
        match self.links.get_mut(&after) {
            Some(later) => later.before = before,
            None => self.newest = before,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_when_the_middle_and_the_ends_are_taken() {
        let mut queue = Released::new();
        for slot in [5, 1, 9, 3] {
            assert!(queue.push(slot));
        }
        assert!(!queue.push(9), "queued twice");
        assert!(queue.take(9));
        assert!(!queue.take(9));
        assert!(queue.take(5), "the oldest");
        assert!(queue.take(3), "the newest");
        assert!(queue.push(9), "comes back at the end");
        assert_eq!(queue.pop(), Some(1));
        assert_eq!(queue.pop(), Some(9));
        assert_eq!(queue.pop(), None);
        assert!(queue.links.is_empty());
        assert!(queue.push(7), "an emptied queue works again");
        assert_eq!(queue.pop(), Some(7));
    }
}
