//! Numbers that look random and can be had again: a hash of what they are for, not a state that
//! every draw changes.
//!
//! Draw `n` of a seed is the n-th number of the generator `SplitMix64` (Steele, Lea, Flood: "Fast
//! splittable pseudorandom number generators", 2014), which can be computed without the ones
//! before it. So draws need no lock, and their order does not matter.

/// What `SplitMix64` adds for each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// FNV-1a's prime.
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// Two to the power of minus 53: what a `f64` tells apart between 0 and 1.
const UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

/// What a series of numbers follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The seed that a user names.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)))
    }

    /// The seed of a part of what this one is for.
    #[must_use]
    pub fn of(self, part: &str) -> Self {
        // The length goes in too: "ab", "c" is not "a", "bc".
        let start = self.0 ^ (part.len() as u64).wrapping_mul(STEP);
        Self(mix(part
            .bytes()
            .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))))
    }

    /// The seed of the n-th of many.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self(self.draw(n))
    }

    /// The n-th number.
    pub fn draw(self, n: u64) -> u64 {
        mix(self.0.wrapping_add(n.wrapping_add(1).wrapping_mul(STEP)))
    }

    /// The n-th number, as one that is at least 0 and less than 1.
    #[expect(clippy::cast_precision_loss, reason = "the upper 53 bits fit a f64")]
    pub fn unit(self, n: u64) -> f64 {
        (self.draw(n) >> 11) as f64 * UNIT
    }
}

/// `SplitMix64`'s finalizer.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_known_one() {
        // The first numbers of SplitMix64 with the state 1234567, as its reference gives them.
        let numbers: Vec<u64> = (0..3).map(|n| Seed(1_234_567).draw(n)).collect();
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn parts_have_seeds_of_their_own() {
        let seed = Seed::new(1);
        assert_ne!(seed.of("ab").of("c"), seed.of("a").of("bc"));
        assert_ne!(seed.of(""), seed);
        assert_ne!(seed.of("a"), Seed::new(2).of("a"));
        assert_eq!(seed.of("a").nth(3), Seed::new(1).of("a").nth(3));
    }

    #[test]
    fn units_fill_their_range_evenly() {
        let seed = Seed::new(0);
        let mut counts = [0_u32; 10];
        for n in 0..100_000 {
            let unit = seed.unit(n);
            assert!((0.0..1.0).contains(&unit));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
            let tenth = (unit * 10.0) as usize;
            counts[tenth] += 1;
        }
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 500), "{counts:?}");
    }
}
