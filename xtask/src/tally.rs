//! Counts of checks, and the closing line every command of this program ends with.

use std::fmt;
use std::ops::AddAssign;

use anyhow::{Result, ensure};

/// How many checks passed, failed and could not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Checks that held.
    pub(crate) passed: usize,
    /// Checks that did not.
    pub(crate) failed: usize,
    /// Checks that could not run here; each has said why.
    pub(crate) skipped: usize,
}

impl Tally {
    /// One check and how it ended.
    pub(crate) fn one(passed: bool) -> Self {
        Self { passed: usize::from(passed), failed: usize::from(!passed), skipped: 0 }
    }

    /// One check that could not run.
    pub(crate) fn one_skipped() -> Self {
        Self { skipped: 1, ..Self::default() }
    }

    /// Prints the closing line.
    ///
    /// # Errors
    /// When a check failed, or none did anything.
    pub(crate) fn close(self) -> Result<()> {
        println!("{self}");
        ensure!(self.failed == 0, "{} checks failed", self.failed);
        ensure!(self != Self::default(), "no check ran");
        Ok(())
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_or_nothing_at_all_is_an_error() {
        assert!(Tally::one(true).close().is_ok());
        assert!(Tally::one_skipped().close().is_ok());
        assert!(Tally::default().close().is_err());
        let mut sum = Tally::one(true);
        sum += Tally::one(false);
        sum += Tally::one_skipped();
        assert_eq!(sum.to_string(), "1 passed, 1 failed, 1 skipped");
        assert!(sum.close().is_err());
    }
}
