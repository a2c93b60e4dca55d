// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exit codes: one for each thing that a script may want to tell apart.
//!
//! A refusal exits with 10 plus the requirement's number in the contract, so
//! the codes are as stable as the contract is.

use crate::advice;
use mercury_device::{Requirement, State};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Success,
    /// Something that has no code of its own.
    Failure,
    /// The command line was wrong (clap exits with this itself).
    Usage,
    /// There is no device.
    NoDevice,
    /// Tool and module speak different versions.
    Protocol,
    /// CPUs are in different states.
    Mixed,
    /// A switch was under way.
    Switching,
    /// Nothing failed, but something could not be evaluated.
    Undecided,
    /// A proof contradicts itself, or the expectation.
    Unproven,
    /// A requirement does not hold.
    Refused(Requirement),
}

/// What stands between the plain codes and the requirements.
const REFUSALS: u32 = 10;

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NoDevice => 3,
            Self::Protocol => 4,
            Self::Mixed => 5,
            Self::Switching => 6,
            Self::Undecided => 7,
            Self::Unproven => 8,
            // A requirement of the future has no sentence, but a code. What
            // cannot be one (the shell uses 126 and above) is a failure.
            Self::Refused(requirement) => match requirement.code() {
                0 => 1,
                number => u8::try_from(number.saturating_add(REFUSALS))
                    .ok()
                    .filter(|&code| code < 126)
                    .unwrap_or(1),
            },
        }
    }

    /// When the program ends so.
    fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done; check: every requirement holds; status: native or attached",
            Self::Failure => "an error without a code of its own",
            Self::Usage => "wrong command line",
            Self::NoDevice => "no /dev/mercury: the module is not loaded",
            Self::Protocol => "this tool and the loaded module are of different versions",
            Self::Mixed => "status, prove: some CPUs are guests and some are not",
            Self::Switching => "status: an attach or detach is under way, CPUs were not asked",
            Self::Undecided => "check: nothing failed, but something could not be evaluated",
            Self::Unproven => "prove: a CPU contradicts itself or --expect",
            Self::Refused(requirement) => advice::of(requirement).holds,
        }
    }

    /// Every one there is.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let plain = [
            Self::Success,
            Self::Failure,
            Self::Usage,
            Self::NoDevice,
            Self::Protocol,
            Self::Mixed,
            Self::Switching,
            Self::Undecided,
            Self::Unproven,
        ];
        let refusals = Requirement::ALL
            .iter()
            .filter(|&&one| one != Requirement::None);
        plain
            .into_iter()
            .chain(refusals.map(|&requirement| Self::Refused(requirement)))
    }

    /// How `status` ends.
    pub(crate) fn of_state(state: State) -> Self {
        match state {
            State::Native | State::Attached => Self::Success,
            State::Mixed => Self::Mixed,
            State::Switching => Self::Switching,
            State::Unknown(_) => Self::Failure,
        }
    }
}

/// The table of exit codes for `--help`.
pub(crate) fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    let mut refusals = false;
    for exit in Exit::all() {
        if matches!(exit, Exit::Refused(_)) && !refusals {
            text += "Refused, nothing was changed, because this does not hold:\n";
            refusals = true;
        }
        text += &format!("  {:>2}  {}\n", exit.code(), exit.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_used_once() {
        let mut seen = BTreeSet::new();
        for exit in Exit::all() {
            assert!(
                seen.insert(exit.code()),
                "exit code {} twice ({exit:?})",
                exit.code()
            );
        }
        assert_eq!(seen.len(), 9 + Requirement::ALL.len() - 1);
    }

    #[test]
    fn refusals_begin_at_eleven() {
        assert_eq!(Exit::Refused(Requirement::Extension).code(), 11);
        assert_eq!(Exit::Refused(Requirement::Free).code(), 13);
        assert_eq!(Exit::Refused(Requirement::Supported).code(), 32);
        assert_eq!(Exit::Refused(Requirement::Unknown(50)).code(), 60);
        assert_eq!(Exit::Refused(Requirement::Unknown(u32::MAX)).code(), 1);
        assert_eq!(Exit::Refused(Requirement::None).code(), 1);
    }

    #[test]
    fn the_documentation_lists_every_code() {
        let document = include_str!("../../../../docs/json.md");
        for exit in Exit::all() {
            let row = format!("\n| {} | ", exit.code());
            assert!(
                document.contains(&row),
                "exit code {} is not in docs/json.md",
                exit.code()
            );
        }
    }
}
