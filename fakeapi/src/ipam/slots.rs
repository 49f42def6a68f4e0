//! Pure allocation over numbered slots `0..count`; addresses and ports are put on top.
//!
//! Slots below the cursor are used or in the queue of released ones; slots from the cursor on are
//! free unless claimed ahead. So a pool that is used in order costs one integer however wide it
//! is, and each operation is O(1): stepping over a claimed slot is paid for by its claim.

use super::claims::Claims;
use super::released::Released;

/// Which slots of one range are used.
#[derive(Debug)]
pub(super) struct Slots {
    count: u128,
    cursor: u128,
    ahead: Claims,
    released: Released,
    used: u128,
    withheld: u128,
}

impl Slots {
    pub(super) fn new(count: u128) -> Self {
        Self {
            count,
            cursor: 0,
            ahead: Claims::new(count),
            released: Released::new(),
            used: 0,
            withheld: 0,
        }
    }

    /// Slots in use.
    pub(super) fn used(&self) -> u128 {
        self.used
    }

    /// The range: slot numbers are below it.
    pub(super) fn count(&self) -> u128 {
        self.count
    }

    /// Slots that can be in use at once.
    pub(super) fn capacity(&self) -> u128 {
        self.count - self.withheld
    }

    /// Takes `slot` out of the range for good, before anything was taken. The caller never
    /// releases it.
    pub(super) fn withhold(&mut self, slot: u128) {
        if self.claim(slot) {
            self.used -= 1;
            self.withheld += 1;
        }
    }

    /// Takes the next slot that was never used.
    pub(super) fn take_fresh(&mut self) -> Option<u128> {
        if self.cursor >= self.count {
            return None;
        }
        let slot = self.cursor;
        self.cursor += 1;
        self.skip_claimed();
        self.used += 1;
        Some(slot)
    }

    /// Takes the slot that was released the longest ago.
    pub(super) fn take_released(&mut self) -> Option<u128> {
        let slot = self.released.pop()?;
        self.used += 1;
        Some(slot)
    }

    /// Takes exactly `slot`; false if it is used.
    pub(super) fn claim(&mut self, slot: u128) -> bool {
        assert!(slot < self.count, "the caller checked that the slot is in the range");
        let free =
            if slot < self.cursor { self.released.take(slot) } else { self.ahead.insert(slot) };
        if free {
            self.used += 1;
            self.skip_claimed();
        }
        free
    }

    /// Gives `slot` back; false if it was not used.
    pub(super) fn release(&mut self, slot: u128) -> bool {
        let was_used =
            if slot < self.cursor { self.released.push(slot) } else { self.ahead.remove(slot) };
        if was_used {
            self.used -= 1;
        }
        was_used
    }

    /// Keeps the invariant that the slot at the cursor is free.
    fn skip_claimed(&mut self) {
        while self.cursor < self.count && self.ahead.remove(self.cursor) {
            self.cursor += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_ahead_is_stepped_over_and_comes_back_last() {
        let mut slots = Slots::new(4);
        assert!(slots.claim(1));
        assert!(!slots.claim(1));
        assert_eq!(slots.take_fresh(), Some(0));
        assert_eq!(slots.take_fresh(), Some(2));
        assert!(slots.release(1));
        assert!(!slots.release(1));
        assert!(slots.release(0));
        assert_eq!(slots.take_fresh(), Some(3));
        assert_eq!(slots.take_fresh(), None);
        assert_eq!(slots.take_released(), Some(1));
        assert_eq!(slots.take_released(), Some(0));
        assert_eq!(slots.take_released(), None);
        assert_eq!(slots.used(), 4);
    }

    #[test]
    fn a_replay_in_order_moves_the_cursor() {
        let mut slots = Slots::new(1 << 24);
        for slot in 0..10_000 {
            assert!(slots.claim(slot));
        }
        assert_eq!(slots.cursor, 10_000);
        assert_eq!(slots.take_fresh(), Some(10_000));
    }
}
