//! The Internet checksum (RFC 1071) and its update in place (RFC 1624).
//!
//! Headers we only change are updated, not summed again: a packet that arrived corrupted then
//! stays recognisably corrupted instead of being given a valid sum.

/// Adds words, given in network order, to a running sum.
#[inline(always)]
pub fn add<const N: usize>(mut sum: u32, words: &[u16; N]) -> u32 {
    let mut at = 0;
    while at < N {
        sum += u32::from(u16::from_be(words[at]));
        at += 1;
    }
    sum
}

/// Folds a running sum into the value the checksum field carries.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "sixteen bits are left")]
pub fn finish(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    let twice = (once & 0xffff) + (once >> 16);
    !(twice & 0xffff) as u16
}

/// The checksum field after one covered word changed from `old` to `new` (RFC 1624, equation 3).
#[inline(always)]
pub fn update(field: u16, old: u16, new: u16) -> u16 {
    finish(u32::from(!field) + u32::from(!old) + u32::from(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of RFC 1071, section 3.
    #[test]
    fn sums_the_example_of_the_rfc() {
        let words = [0x0001, 0xf203, 0xf4f5, 0xf6f7].map(u16::to_be);
        assert_eq!(finish(add(0, &words)), !0xddf2);
    }

    #[test]
    fn an_update_equals_a_fresh_sum() {
        let words = [0u16, 1, 0x00ff, 0x0800, 0x4001, 0x7fff, 0xfffe, 0xffff];
        for old in words {
            for new in words {
                let sum = |word: u16| finish(add(0, &[0x1234, word].map(u16::to_be)));
                assert_eq!(update(sum(old), old, new), sum(new), "{old:#06x} -> {new:#06x}");
            }
        }
    }
}
