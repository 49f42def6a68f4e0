//! Steps as text: a command and what it must do, in the form of a transcript.
//!
//! ```text
//! ## what this step shows
//! $ kubectl get nodes -o name | head -1
//! > (a command may go on in further lines)
//! ? 0                    the exit code, 0 when it is not told
//! within 10              try again until everything holds, for that many seconds
//! | node/demo-0          the whole of standard output, line by line
//! ~ ^node/               what both outputs together must match, a regular expression (multi-line)
//! !~ (?i)error           and what not
//! lacks what is missing  known not to hold yet: counted as skipped, and a failure once it holds
//! ```
//!
//! Blank lines and lines that begin with `# ` say nothing to the runner.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use regex::{Regex, RegexBuilder};

/// One command and what is expected of it.
#[derive(Debug)]
pub(super) struct Step {
    /// What it shows.
    pub(super) name: String,
    /// What `bash` is given.
    pub(super) command: String,
    /// How long it is tried again.
    pub(super) within: Duration,
    /// What the program is known to lack for it.
    pub(super) lacks: Option<String>,
    exit: i32,
    stdout: Option<Vec<String>>,
    patterns: Vec<(Regex, bool)>,
}

/// What a command did.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The exit code; none after a signal.
    pub(super) exit: Option<i32>,
    /// Standard output.
    pub(super) stdout: String,
    /// Standard error.
    pub(super) stderr: String,
}

impl Step {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            command: String::new(),
            within: Duration::ZERO,
            lacks: None,
            exit: 0,
            stdout: None,
            patterns: Vec::new(),
        }
    }

    /// What of the expectation does not hold, a line each; empty when all does.
    pub(super) fn faults(&self, outcome: &Outcome) -> Vec<String> {
        let mut faults = Vec::new();
        if outcome.exit != Some(self.exit) {
            let got = outcome.exit.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            faults.push(format!("ended with {got}, expected {}", self.exit));
        }
        if let Some(expected) = &self.stdout {
            let got: Vec<&str> = outcome.stdout.lines().map(str::trim_end).collect();
            if got != *expected {
                faults.push(format!("standard output is not\n{}", expected.join("\n")));
            }
        }
        let both = format!("{}{}", outcome.stdout, outcome.stderr);
        for (pattern, wanted) in &self.patterns {
            if pattern.is_match(&both) != *wanted {
                let word = if *wanted { "not matched" } else { "matched" };
                faults.push(format!("{word}: {pattern}"));
            }
        }
        faults
    }

    fn expects_something(&self) -> bool {
        self.exit != 0 || self.stdout.is_some() || !self.patterns.is_empty()
    }

    /// Takes one line of the step's text.
    fn take(&mut self, line: &str) -> Result<()> {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "$" => {
                ensure!(self.command.is_empty(), "a second command in one step");
                rest.clone_into(&mut self.command);
            }
            ">" => {
                ensure!(!self.command.is_empty(), "a command goes on that has not begun");
                self.command.push('\n');
                self.command.push_str(rest);
            }
            "?" => self.exit = rest.trim().parse()?,
            "within" => self.within = Duration::from_secs(rest.trim().parse()?),
            "lacks" => {
                ensure!(!rest.trim().is_empty(), "what is lacking has to be told");
                self.lacks = Some(rest.trim().to_owned());
            }
            "|" => self.stdout.get_or_insert_default().push(rest.trim_end().to_owned()),
            "~" => self.patterns.push((pattern(rest)?, true)),
            "!~" => self.patterns.push((pattern(rest)?, false)),
            _ => bail!("{mark:?} begins no line of a step"),
        }
        Ok(())
    }
}

fn pattern(text: &str) -> Result<Regex> {
    ensure!(!text.is_empty(), "an empty pattern matches everything");
    Ok(RegexBuilder::new(text).multi_line(true).build()?)
}

/// Reads a file of steps.
///
/// # Errors
/// When it is none; the error names the line.
pub(super) fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line == "#" || line.starts_with("# ") {
            continue;
        }
        let context = || format!("line {}: {line}", number + 1);
        if let Some(name) = line.strip_prefix("## ") {
            steps.push(Step::new(name));
            continue;
        }
        let step =
            steps.last_mut().context("a line before the first step").with_context(context)?;
        step.take(line).with_context(context)?;
    }
    for step in &steps {
        ensure!(!step.command.is_empty(), "step {:?} has no command", step.name);
        ensure!(step.expects_something(), "step {:?} expects nothing", step.name);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(exit: i32, stdout: &str, stderr: &str) -> Outcome {
        Outcome { exit: Some(exit), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    #[test]
    fn every_expectation_is_checked() {
        let text =
            "# a file\n\n## first\n$ cat <<X\n> a\n> X\n? 1\nwithin 3\n| a\n| b\n~ ^b$\n!~ bad\n";
        let steps = parse(text).unwrap();
        let [step] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!(step.command, "cat <<X\na\nX");
        assert_eq!(step.within, Duration::from_secs(3));
        assert_eq!(step.faults(&outcome(1, "a  \nb\n", "")), Vec::<String>::new());
        for (exit, stdout, stderr) in [(0, "a\nb\n", ""), (1, "a\n", "b\n"), (1, "a\nb\n", "bad")] {
            assert_eq!(
                step.faults(&outcome(exit, stdout, stderr)).len(),
                1,
                "{stdout:?} {stderr:?}"
            );
        }
    }

    #[test]
    fn a_step_that_proves_nothing_is_refused() {
        for (bad, why) in [
            ("$ x", "before the first step"),
            ("## a\n~ b", "has no command"),
            ("## a\n$ true", "expects nothing"),
            ("## a\n$ true\n~ ", "matches everything"),
            ("## a\n$ true\n$ true", "second command"),
            ("## a\n> true", "has not begun"),
            ("## a\n$ true\n= b", "begins no line"),
            ("## a\n$ true\nlacks ", "has to be told"),
        ] {
            let error = format!("{:#}", parse(bad).unwrap_err());
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }
}
