// SPDX-License-Identifier: MIT OR Apache-2.0
//! When switches were, and what happened in their middle.
//!
//! A switch lasts from the first instruction of the first CPU's blackout to the
//! last of the last CPU's. The module notes both ends (samples), and whoever
//! disturbs notes when he did; both read one counter. An attach that was undone
//! is a switch too: it has no sample of its own and lasts from the first CPU's
//! way in to the last one's way out.

use mercury_device::{Sample, SampleKind};

/// A stretch of time, in ticks. Something that took no time has equal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) begin: u64,
    pub(super) end: u64,
}

impl Span {
    fn meets(self, other: Self) -> bool {
        self.begin <= other.end && other.begin <= self.end
    }
}

/// The switches in a batch of samples, in the order of time.
pub(super) fn switches(samples: &[Sample]) -> Vec<Span> {
    let mut found = Vec::new();
    // CPUs that went in and are not yet known to have stayed.
    let mut open: Option<Span> = None;
    for sample in samples {
        let span = Span {
            begin: sample.begin,
            end: sample.end,
        };
        match sample.kind {
            SampleKind::AttachBlackout | SampleKind::UndoBlackout => {
                open = Some(Span {
                    begin: open.map_or(span.begin, |open| open.begin),
                    end: span.end,
                });
            }
            SampleKind::AttachSwitch | SampleKind::DetachSwitch => {
                if sample.kind == SampleKind::AttachSwitch {
                    open = None;
                }
                found.extend(open.take());
                found.push(span);
            }
            // Another attach begins: the one before was undone.
            SampleKind::PrepareBlackout => found.extend(open.take()),
            _ => {}
        }
    }
    found.extend(open);
    found.sort_by_key(|span| span.begin);
    found
}

/// How many of these were, at least in part, in the middle of a switch.
pub(super) fn in_the_middle(what: &[Span], switches: &[Span]) -> u64 {
    what.iter()
        .filter(|span| switches.iter().any(|switch| span.meets(*switch)))
        .count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: SampleKind, begin: u64, end: u64) -> Sample {
        Sample {
            sequence: 0,
            kind,
            cpu: None,
            begin,
            end,
        }
    }

    fn span(begin: u64, end: u64) -> Span {
        Span { begin, end }
    }

    #[test]
    fn an_undone_attach_is_a_switch() {
        use SampleKind::{AttachBlackout, AttachSwitch, DetachSwitch, PrepareBlackout};
        let samples = [
            sample(PrepareBlackout, 1, 2),
            sample(AttachBlackout, 10, 12),
            sample(SampleKind::UndoBlackout, 14, 16),
            sample(PrepareBlackout, 20, 22),
            sample(AttachBlackout, 30, 32),
            sample(AttachBlackout, 33, 35),
            sample(AttachSwitch, 30, 35),
            sample(DetachSwitch, 40, 45),
        ];
        assert_eq!(
            switches(&samples),
            [span(10, 16), span(30, 35), span(40, 45)]
        );
    }

    #[test]
    fn touching_counts_and_passing_by_does_not() {
        let switches = [span(10, 20), span(40, 50)];
        let what = [
            span(5, 9),
            span(5, 10),
            span(15, 15),
            span(21, 39),
            span(0, 99),
        ];
        assert_eq!(in_the_middle(&what, &switches), 3);
    }
}
