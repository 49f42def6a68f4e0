//! Named checks, how long each took, and what came of them.

use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::tally::Tally;

/// How often the management cluster is asked whether a check holds by now.
const PAUSE: Duration = Duration::from_millis(500);

/// How much of what is missing is told, in lines.
const TOLD: usize = 20;

/// What is missing until a check holds, a line each; nothing when it does.
pub(super) type Missing = Vec<String>;

/// A check failed, and what follows needs it. It has been told.
#[derive(Debug)]
pub(super) struct Stopped(String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not hold", self.0)
    }
}

impl std::error::Error for Stopped {}

/// The checks of a run.
#[derive(Debug, Default)]
pub(super) struct Checks {
    tally: Tally,
    times: Vec<(String, Duration)>,
}

impl Checks {
    /// A check that holds or does not.
    pub(super) fn now(&mut self, name: &str, missing: &Missing) -> bool {
        let holds = missing.is_empty();
        println!("{} {name}", if holds { "ok  " } else { "FAIL" });
        for line in missing.iter().take(TOLD) {
            println!("     {line}");
        }
        self.tally += Tally::one(holds);
        holds
    }

    /// A phase: something that comes to hold within `patience`. What follows needs it.
    ///
    /// # Errors
    /// When it does not come to hold, or cannot be looked at.
    pub(super) fn phase<F>(&mut self, name: &str, patience: Duration, missing: F) -> Result<()>
    where
        F: FnMut() -> Result<Missing>,
    {
        let took = self.soon(name, patience, missing)?;
        self.times.push((name.to_owned(), took));
        Ok(())
    }

    /// Something that comes to hold as a consequence: how long it took is of no interest to users.
    ///
    /// # Errors
    /// When it does not come to hold, or cannot be looked at.
    pub(super) fn soon<F>(
        &mut self,
        name: &str,
        patience: Duration,
        mut missing: F,
    ) -> Result<Duration>
    where
        F: FnMut() -> Result<Missing>,
    {
        let began = Instant::now();
        loop {
            let lines = missing()?;
            let took = began.elapsed();
            if lines.is_empty() {
                println!("ok   {name} ({:.1} s)", took.as_secs_f64());
                self.tally += Tally::one(true);
                return Ok(took);
            }
            if took > patience {
                let name = format!("{name}, within {} s", patience.as_secs());
                self.now(&name, &lines);
                return Err(Stopped(name).into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Something that could not be looked at: a failure of its own.
    pub(super) fn broken(&mut self, error: &anyhow::Error) {
        if !error.is::<Stopped>() {
            println!("FAIL {error:#}");
            self.tally += Tally::one(false);
        }
    }

    /// The phases and how long each took, as a table.
    pub(super) fn table(&self) -> String {
        let mut text = "| phase | seconds |\n|---|---|\n".to_owned();
        for (name, took) in &self.times {
            // A String takes whatever is written to it.
            let _ = writeln!(text, "| {name} | {:.1} |", took.as_secs_f64());
        }
        text
    }

    /// The count.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }
}
