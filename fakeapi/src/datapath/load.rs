//! Loading: the object into the kernel, a refusal into words.

use aya::maps::Map;
use aya::programs::{Program, ProgramError, SkLookup, Xdp};
use aya::{Ebpf, EbpfLoader};
use fakeapi_common::layout;

use super::DatapathError;
use super::object::OBJECT;

/// How much of the verifier's log an error carries: its last lines name the fault.
const VERIFIER_LINES: usize = 8;

/// Makes the maps and loads both programs; attaches nothing.
pub(super) fn object(max_addresses: u32) -> Result<Ebpf, DatapathError> {
    let mut object = EbpfLoader::new()
        .map_max_entries(layout::DESTS, max_addresses)
        .map_max_entries(layout::ADDRESSES, max_addresses)
        .map_max_entries(layout::COUNTS, max_addresses)
        .load(OBJECT)
        .map_err(DatapathError::Object)?;
    let steer: &mut SkLookup = program(&mut object, layout::STEER_PROGRAM)?;
    steer.load().map_err(|error| explain(layout::STEER_PROGRAM, error))?;
    let edge: &mut Xdp = program(&mut object, layout::EDGE_PROGRAM)?;
    edge.load().map_err(|error| explain(layout::EDGE_PROGRAM, error))?;
    Ok(object)
}

/// A program of the object by name and type.
pub(super) fn program<'a, P>(
    object: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut P, DatapathError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = object.program_mut(name).ok_or(DatapathError::Contract { name })?;
    program.try_into().map_err(|_: ProgramError| DatapathError::Contract { name })
}

/// Takes a map out of the object by name and type.
pub(super) fn take<M>(object: &mut Ebpf, name: &'static str) -> Result<M, DatapathError>
where
    M: TryFrom<Map>,
{
    let map = object.take_map(name).ok_or(DatapathError::Contract { name })?;
    M::try_from(map).map_err(|_| DatapathError::Contract { name })
}

fn explain(program: &'static str, error: ProgramError) -> DatapathError {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => DatapathError::Rejected {
            program,
            reason: last_lines(&verifier_log.to_string()),
            source: io_error,
        },
        source => DatapathError::Load { program, source },
    }
}

fn last_lines(log: &str) -> String {
    let log = log.trim_end_matches(['\0', '\n', ' ']);
    if log.is_empty() {
        return "it gave no reason".to_owned();
    }
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(VERIFIER_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_cut_to_its_end() {
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let log = lines.join("\n");
        let cut = last_lines(&log);
        assert_eq!(cut.lines().count(), VERIFIER_LINES);
        assert!(cut.ends_with("line 99"));
    }

    #[test]
    fn an_empty_log_is_said_to_be_empty() {
        assert_eq!(last_lines("\n\0"), "it gave no reason");
    }
}
