// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records of the log, and the sentences they stand for.
//!
//! The ring holds codes and numbers only; the sentences are those of
//! `mercury-hal`. Here they are put together.

use crate::abi;
use crate::codes::Origin;
use mercury_hal::event::{Event, Level};

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// From 1, without gaps; a reader that fell behind sees a jump.
    pub sequence: u64,
    /// Time-stamp counter.
    pub ticks: u64,
    /// The event's code.
    pub code: u16,
    /// 1 error, 2 warning, 3 information, 4 detail.
    pub level: u8,
    /// Who wrote it.
    pub origin: Origin,
    /// On which CPU, if on one.
    pub cpu: Option<u32>,
    /// Meaning by event.
    pub arguments: [u64; 5],
}

impl Record {
    /// The event, if this version knows it.
    #[must_use]
    pub const fn event(&self) -> Option<Event> {
        Event::from_code(self.code)
    }

    /// How much it matters; a level of the future counts as an error, so that
    /// it is never filtered away unseen.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self.level {
            2 => Level::Warning,
            3 => Level::Information,
            4 => Level::Detail,
            _ => Level::Error,
        }
    }

    /// The sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.event().map_or_else(
            || format!("event {} ({:#x?})", self.code, self.arguments).replace([',', '\n'], ""),
            |event| sentence(event.text(), Some(&self.arguments)),
        )
    }
}

impl From<&abi::Record> for Record {
    fn from(raw: &abi::Record) -> Self {
        Self {
            sequence: raw.sequence,
            ticks: raw.ticks,
            code: raw.event,
            level: raw.level,
            origin: Origin::from_code(raw.origin),
            cpu: (raw.cpu != abi::NO_CPU).then_some(raw.cpu),
            arguments: raw.arguments,
        }
    }
}

/// Puts arguments into an event's sentence: `{0}` becomes hexadecimal, `{0d}`
/// decimal and signed (a CPU of -1 means none). Without arguments, and for
/// places that do not exist, a question mark stands there.
#[must_use]
pub fn sentence(text: &str, arguments: Option<&[u64]>) -> String {
    let mut result = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        result.push_str(before);
        let Some((place, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        let (index, decimal) = place
            .strip_suffix('d')
            .map_or((place, false), |index| (index, true));
        let value = index
            .parse::<usize>()
            .ok()
            .and_then(|index| arguments.and_then(|arguments| arguments.get(index)));
        match value {
            Some(value) if decimal => result.push_str(&value.cast_signed().to_string()),
            Some(value) => result.push_str(&format!("{value:#x}")),
            None => result.push('?'),
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_decimal_and_missing() {
        let arguments = [0x1000, 8, u64::MAX];
        assert_eq!(
            sentence("at {0}, {1d} bytes", Some(&arguments)),
            "at 0x1000, 8 bytes"
        );
        assert_eq!(
            sentence("cpu {2d}, {2}", Some(&arguments)),
            "cpu -1, 0xffffffffffffffff"
        );
        assert_eq!(sentence("{7} and {0d}", Some(&arguments)), "? and 4096");
        assert_eq!(sentence("code {0d}.", None), "code ?.");
        assert_eq!(sentence("open {0", Some(&arguments)), "open 0");
    }

    #[test]
    fn every_sentence_can_be_put_together() {
        for &event in Event::ALL {
            let text = sentence(event.text(), Some(&[1, 2, 3, 4, 5]));
            assert!(!text.contains(['{', '}', '?']), "{event:?}: {text}");
        }
    }

    #[test]
    fn an_unknown_event_shows_its_numbers() {
        let mut raw: abi::Record = abi::Zero::ZERO;
        raw.event = 999;
        raw.arguments[1] = 0xabc;
        let record = Record::from(&raw);
        assert_eq!(record.event(), None);
        let text = record.sentence();
        assert!(text.contains("999") && text.contains("0xabc"), "{text}");
        assert!(!text.contains('\n'));
    }
}
