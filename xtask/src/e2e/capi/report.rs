//! What is told of a part of the test while it runs, and how it ended.

use std::time::Instant;

use anyhow::Result;

use crate::tally::Tally;

/// The steps of one part. Each builds on the former, so after a failure the rest is left out.
#[derive(Debug)]
pub(super) struct Report {
    part: &'static str,
    tally: Tally,
}

impl Report {
    pub(super) fn new(part: &'static str) -> Self {
        Self { part, tally: Tally::default() }
    }

    /// Does a step and says how it went; what it gives, unless it or one before it failed.
    pub(super) fn step<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        let part = self.part;
        if self.tally.failed > 0 {
            println!("SKIP {part}: {name}: a step before it failed");
            self.tally += Tally::one_skipped();
            return None;
        }
        let began = Instant::now();
        let outcome = step();
        let seconds = began.elapsed().as_secs_f64();
        match &outcome {
            Ok(_) => println!("ok   {part}: {name} ({seconds:.1} s)"),
            Err(error) => println!("FAIL {part}: {name} ({seconds:.1} s): {error:#}"),
        }
        self.tally += Tally::one(outcome.is_ok());
        outcome.ok()
    }

    /// Whether nothing has failed.
    pub(super) fn well(&self) -> bool {
        self.tally.failed == 0
    }

    /// How its steps went.
    pub(super) fn close(self) -> Tally {
        self.tally
    }
}
