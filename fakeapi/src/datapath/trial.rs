//! The kernel's own facility to run a program on a frame without a network.

use aya::programs::{TestRun as _, TestRunOptions, Xdp};

use super::DatapathError;

/// More than any frame a trial can give back.
const LONGEST_FRAME: usize = 4_096;

/// What the edge decided about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It would be given to the stack.
    Pass,
    /// It would be dropped.
    Drop,
    /// It would be sent back out of the link it came from.
    SendBack,
    /// The program ended in a way it should not (the kernel's number for it).
    Other(u32),
}

/// The outcome of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What was decided.
    pub action: Action,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
}

pub(super) fn run(program: &Xdp, frame: &[u8]) -> Result<Trial, DatapathError> {
    let mut out = vec![0; LONGEST_FRAME];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        ..TestRunOptions::default()
    };
    let result = program.test_run(options).map_err(DatapathError::Trial)?;
    out.truncate(result.data_size_out as usize);
    let action = match result.return_value {
        1 => Action::Drop,
        2 => Action::Pass,
        3 => Action::SendBack,
        other => Action::Other(other),
    };
    Ok(Trial { action, frame: out })
}
