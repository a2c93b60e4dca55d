// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found for one requirement.

use crate::abi;
use crate::codes::{Outcome, Requirement};
use core::fmt;

/// One requirement, what was read for it, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which requirement.
    pub requirement: Requirement,
    /// Whether it holds.
    pub outcome: Outcome,
    /// The CPU that it was read on, if it is of one CPU.
    pub cpu: Option<u32>,
    /// The error number that it stands for; 0 if it passed.
    pub errno: i32,
    /// The raw value that was read.
    pub read: u64,
    /// What `read & mask` would have to be.
    pub expected: u64,
    /// The bits of `read` that were looked at; 0 if no number was read.
    pub mask: u64,
    /// What was read and where from, in words; may be empty.
    pub detail: String,
}

impl Verdict {
    /// A verdict in words only, on no CPU: what user space can find out itself.
    #[must_use]
    pub fn in_words(requirement: Requirement, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            requirement,
            outcome,
            cpu: None,
            errno: 0,
            read: 0,
            expected: 0,
            mask: 0,
            detail: detail.into(),
        }
    }

    /// Whether a number was read, or only words are there.
    #[must_use]
    pub const fn has_value(&self) -> bool {
        self.mask != 0 || self.read != 0
    }
}

impl From<&abi::Verdict> for Verdict {
    fn from(raw: &abi::Verdict) -> Self {
        Self {
            requirement: Requirement::from_code(raw.requirement),
            outcome: Outcome::from_code(raw.outcome),
            cpu: u32::try_from(raw.cpu).ok(),
            errno: raw.error,
            read: raw.read,
            expected: raw.expected,
            mask: raw.mask,
            detail: text(&raw.detail),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.requirement)?;
        if let Some(cpu) = self.cpu {
            write!(formatter, " on cpu {cpu}")?;
        }
        write!(formatter, ": {}", self.outcome)?;
        if !self.detail.is_empty() {
            write!(formatter, ": {}", self.detail)?;
        }
        if self.has_value() {
            write!(formatter, " (read {:#x}", self.read)?;
            if self.mask != 0 {
                write!(
                    formatter,
                    ", expected {:#x} in the bits {:#x}",
                    self.expected, self.mask
                )?;
            }
            write!(formatter, ")")?;
        }
        Ok(())
    }
}

/// A C string in a fixed field. A missing NUL ends it at the field's end, and
/// control characters become spaces: it will stand on a terminal.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end])
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Zero;

    #[test]
    fn a_raw_verdict_is_read_without_trust() {
        let mut raw = abi::Verdict::ZERO;
        raw.requirement = 999;
        raw.cpu = -1;
        raw.detail = [b'x'; 88];
        raw.detail[3] = 0x1b;
        let verdict = Verdict::from(&raw);
        assert_eq!(verdict.requirement, Requirement::Unknown(999));
        assert_eq!(verdict.cpu, None);
        assert_eq!(verdict.detail.len(), 88);
        assert!(!verdict.detail.contains('\u{1b}'));
        assert_eq!(verdict.requirement.to_string(), "unknown-999");
    }
}
