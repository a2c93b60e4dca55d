// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a boot ended. A script that fails and a guest that dies are different
//! things, and keep apart up to the rig's own exit code.

use super::request::Ending;
use std::fmt;

/// The rig's exit code when it failed itself: nothing booted.
pub(crate) const RIG_FAILED: u8 = 120;

/// How a boot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The script ended with this status.
    Status(u8),
    /// QEMU ended without a status, for this reason.
    Died(String),
    /// The guest's kernel panicked.
    Panicked,
    /// Nothing came from the guest for too long.
    Stalled,
    /// It went on for longer than its budget.
    OverBudget,
}

/// What is known when QEMU has ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The status that came on the clean channel.
    pub(crate) status: Option<u8>,
    /// The ending that the guest announced.
    pub(crate) expected: Option<(Ending, u8)>,
    /// The reason that the monitor gave for the end.
    pub(crate) shutdown: Option<String>,
    /// Whether the kernel's log holds a panic.
    pub(crate) panicked: bool,
}

impl Verdict {
    /// Judges an end that QEMU came to by itself.
    pub(crate) fn of(facts: &Facts) -> Self {
        if let Some(status) = facts.status {
            return Self::Status(status);
        }
        let reason = facts.shutdown.as_deref().unwrap_or("no reason given");
        if let Some((ending, status)) = facts.expected {
            let came = match ending {
                Ending::Reset => reason == "guest-reset" && !facts.panicked,
                Ending::Shutdown => reason == "guest-shutdown" && !facts.panicked,
                Ending::Panic => facts.panicked,
            };
            if came {
                return Self::Status(status);
            }
        }
        if facts.panicked {
            return Self::Panicked;
        }
        Self::Died(reason.to_owned())
    }

    /// The rig's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Status(status) => *status,
            Self::Died(_) => 121,
            Self::Panicked => 122,
            Self::Stalled => 123,
            Self::OverBudget => 124,
        }
    }

    /// One word or number, for target/run/status.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Died(_) => "died".into(),
            Self::Panicked => "panicked".into(),
            Self::Stalled => "stalled".into(),
            Self::OverBudget => "over-budget".into(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(to, "status {status}"),
            Self::Died(reason) => write!(
                to,
                "the guest died: QEMU ended ({reason}) before the script did"
            ),
            Self::Panicked => write!(to, "the guest's kernel panicked"),
            Self::Stalled => write!(to, "the guest hangs: nothing came from it for too long"),
            Self::OverBudget => write!(to, "the guest took longer than its budget"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(
        status: Option<u8>,
        expected: Option<(Ending, u8)>,
        shutdown: &str,
        panicked: bool,
    ) -> Facts {
        Facts {
            status,
            expected,
            shutdown: Some(shutdown.to_owned()),
            panicked,
        }
    }

    #[test]
    fn a_status_is_the_verdict() {
        assert_eq!(
            Verdict::of(&facts(Some(3), None, "guest-shutdown", false)),
            Verdict::Status(3)
        );
    }

    #[test]
    fn an_end_without_one_is_a_death() {
        assert_eq!(
            Verdict::of(&facts(None, None, "guest-shutdown", false)),
            Verdict::Died("guest-shutdown".into())
        );
        assert_eq!(
            Verdict::of(&facts(None, None, "guest-reset", true)),
            Verdict::Panicked
        );
    }

    #[test]
    fn an_announced_end_must_come_as_announced() {
        let reset = Some((Ending::Reset, 0));
        assert_eq!(
            Verdict::of(&facts(None, reset, "guest-reset", false)),
            Verdict::Status(0)
        );
        assert_ne!(
            Verdict::of(&facts(None, reset, "guest-shutdown", false)),
            Verdict::Status(0)
        );
        assert_eq!(
            Verdict::of(&facts(None, reset, "guest-reset", true)),
            Verdict::Panicked
        );
        let panic = Some((Ending::Panic, 5));
        assert_eq!(
            Verdict::of(&facts(None, panic, "guest-reset", true)),
            Verdict::Status(5)
        );
        assert_ne!(
            Verdict::of(&facts(None, panic, "guest-reset", false)),
            Verdict::Status(5)
        );
    }

    #[test]
    fn kinds_of_failure_have_codes_of_their_own() {
        let mut codes: Vec<u8> = [
            Verdict::Died(String::new()),
            Verdict::Panicked,
            Verdict::Stalled,
            Verdict::OverBudget,
        ]
        .iter()
        .map(Verdict::exit_code)
        .collect();
        codes.push(RIG_FAILED);
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 5);
    }
}
