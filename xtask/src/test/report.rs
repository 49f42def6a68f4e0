//! libtest's output: what it counts, and what of it is worth showing.

use crate::tally::Tally;

/// What a run has told so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    passed: usize,
    failed: usize,
    ignored: usize,
    skips: usize,
    section: Section,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    /// One line a test.
    #[default]
    Tests,
    /// What passing tests printed.
    Successes,
    /// What failing tests printed, and the rest.
    Failures,
}

impl Report {
    /// Takes one line; whether it should be shown.
    pub(super) fn read(&mut self, line: &str) -> bool {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.section = Section::Tests;
            self.passed += number_before(counts, "passed");
            self.failed += number_before(counts, "failed");
            self.ignored += number_before(counts, "ignored");
            return number_before(counts, "passed") + number_before(counts, "failed") > 0;
        }
        if line.starts_with("SKIP ") {
            self.skips += 1;
            return true;
        }
        match line {
            "successes:" => self.section = Section::Successes,
            "failures:" => self.section = Section::Failures,
            _ => {}
        }
        match self.section {
            Section::Tests => is_news(line),
            Section::Successes => false,
            Section::Failures => true,
        }
    }

    /// The sum; an ignored test and one that printed `SKIP` are skipped.
    pub(super) fn tally(&self) -> Tally {
        let skips = self.skips.min(self.passed);
        Tally { passed: self.passed - skips, failed: self.failed, skipped: skips + self.ignored }
    }
}

/// Whether a line outside the sections says more than that a test passed or how many there are.
fn is_news(line: &str) -> bool {
    let passed = line.starts_with("test ") && line.ends_with(" ok");
    let head = line.starts_with("running ");
    !(line.trim().is_empty() || passed || head)
}

/// The number before `word` in `ok. 3 passed; 0 failed; ...`, zero when it is not there.
fn number_before(counts: &str, word: &str) -> usize {
    let mut parts = counts.split([';', '.']).map(str::trim);
    let number = |part: &str| part.strip_suffix(word)?.trim().parse().ok();
    parts.find_map(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 4 tests
test a ... ok
test b ... ok
test c ... FAILED
test d ... ignored, needs a moon

successes:

---- b stdout ----
SKIP b: no moon
something else

successes:
    a
    b

failures:

---- c stdout ----
thread 'c' panicked

failures:
    c

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.1s
running 1 test
test e ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";

    #[test]
    fn the_runners_counts_are_summed_and_skips_are_no_passes() {
        let mut report = Report::default();
        for line in OUTPUT.lines() {
            report.read(line);
        }
        assert_eq!(report.tally(), Tally { passed: 2, failed: 1, skipped: 2 });
    }

    #[test]
    fn failures_and_skips_are_shown_and_passes_are_not() {
        let mut report = Report::default();
        let shown: Vec<_> = OUTPUT.lines().filter(|line| report.read(line)).collect();
        let has = |text: &str| shown.iter().any(|line| line.contains(text));
        assert!(has("test c ... FAILED") && has("thread 'c' panicked") && has("SKIP b: no moon"));
        assert!(has("test d ... ignored, needs a moon"));
        assert!(!has("test a") && !has("something else") && !has("0 passed"));
    }
}
