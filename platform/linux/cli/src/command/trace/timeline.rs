// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recording as spans and marks on lanes: one lane for each CPU, one for the machine.
//!
//! A blackout is measured by the module; within it the image notes the moment at which
//! it has built the CPU's guest state and is about to enter (`Entered`), or lets it go
//! (`Left`, `Undone`). That divides a blackout in two phases. Spans on one lane are
//! nested or apart, never crossed: that is what the readers of such files want.

use super::file::{Mark, Recording};
use mercury_device::{Event, ExitReason, SampleKind};
use mercury_hal::call::Request;
use std::collections::BTreeSet;

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Machine,
    Cpu(u32),
}

/// Something that took time; microseconds from the first thing recorded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) lane: Lane,
    pub(super) name: &'static str,
    pub(super) begin: f64,
    pub(super) end: f64,
    /// A phase of a blackout, which is a span of its own around it.
    pub(super) inner: bool,
    /// The kind of sample that it is of.
    pub(super) kind: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instant {
    pub(super) lane: Lane,
    pub(super) name: String,
    pub(super) at: f64,
    pub(super) message: String,
    /// Matters as much as an error does.
    pub(super) grave: bool,
}

/// All of it, in order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    pub(super) lanes: Vec<Lane>,
    pub(super) spans: Vec<Span>,
    pub(super) instants: Vec<Instant>,
    pub(super) title: String,
    pub(super) lost: u64,
}

impl Timeline {
    pub(super) fn new(recording: &Recording) -> Self {
        let times = recording.records.iter().map(|mark| mark.ticks);
        let origin = times
            .chain(recording.samples.iter().map(|step| step.begin))
            .min()
            .unwrap_or(0);
        let khz = recording.tsc_khz.max(1) as f64;
        let time = |ticks: u64| ticks.saturating_sub(origin) as f64 * 1000.0 / khz;
        let mut spans = Vec::new();
        for step in &recording.samples {
            let Some(kind) = kind(&step.kind) else {
                continue;
            };
            let lane = step.cpu.map_or(Lane::Machine, Lane::Cpu);
            let end = step.end.max(step.begin);
            let mut add = |name, begin, end, inner| {
                spans.push(Span {
                    lane,
                    name,
                    begin: time(begin),
                    end: time(end),
                    inner,
                    kind: kind.code(),
                });
            };
            add(name(kind), step.begin, end, false);
            if let Some((first, second, middle)) =
                phases(kind, step.cpu, step.begin, end, recording)
            {
                add(first, step.begin, middle, true);
                add(second, middle, end, true);
            }
        }
        let instants: Vec<Instant> = recording
            .records
            .iter()
            .map(|mark| Instant {
                lane: mark.cpu.map_or(Lane::Machine, Lane::Cpu),
                name: title(mark),
                at: time(mark.ticks),
                message: mark.message.clone(),
                grave: mark.level <= 2,
            })
            .collect();
        let lanes: BTreeSet<Lane> = spans
            .iter()
            .map(|span| span.lane)
            .chain(instants.iter().map(|instant| instant.lane))
            .collect();
        let mut timeline = Self {
            lanes: lanes.into_iter().collect(),
            spans,
            instants,
            title: format!("mercury {} ({})", recording.version, recording.backend),
            lost: recording.lost,
        };
        // The longer of two that begin together stands around the other.
        timeline.spans.sort_by(|one, other| {
            (one.begin, -one.end, one.inner)
                .partial_cmp(&(other.begin, -other.end, other.inner))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        timeline
            .instants
            .sort_by(|one, other| one.at.total_cmp(&other.at));
        timeline
    }
}

fn kind(name: &str) -> Option<SampleKind> {
    SampleKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == Some(name))
}

const fn name(kind: SampleKind) -> &'static str {
    match kind {
        SampleKind::AttachBlackout => "blackout, going in",
        SampleKind::DetachBlackout => "blackout, going out",
        SampleKind::PrepareBlackout => "preparation step",
        SampleKind::UndoBlackout => "blackout, taken out again",
        SampleKind::AttachCall => "attach",
        SampleKind::DetachCall => "detach",
        SampleKind::AttachSwitch => "switch, going in",
        SampleKind::DetachSwitch => "switch, going out",
        SampleKind::Unknown(_) => "step",
    }
}

/// The two phases of a blackout, and the moment between them, in ticks.
fn phases(
    kind: SampleKind,
    cpu: Option<u32>,
    begin: u64,
    end: u64,
    recording: &Recording,
) -> Option<(&'static str, &'static str, u64)> {
    let (events, first, second): (&[Event], _, _) = match kind {
        SampleKind::AttachBlackout => (&[Event::Entered], "door, checks", "guest state, entry"),
        SampleKind::DetachBlackout | SampleKind::UndoBlackout => {
            (&[Event::Left, Event::Undone], "asking", "way out")
        }
        _ => return None,
    };
    let mark = recording.records.iter().find(|mark| {
        mark.cpu == cpu
            && (begin..=end).contains(&mark.ticks)
            && Event::from_code(mark.code).is_some_and(|event| events.contains(&event))
    })?;
    Some((first, second, mark.ticks))
}

/// A mark's name; of an exit its reason, of a hypercall which one.
fn title(mark: &Mark) -> String {
    let Some(event) = Event::from_code(mark.code) else {
        return format!("event {}", mark.code);
    };
    if event != Event::Exit {
        return crate::command::log::event_name(event);
    }
    let [reason, call, ..] = mark.arguments;
    let reason = ExitReason::from_code(u32::try_from(reason).unwrap_or(u32::MAX));
    let request = Request::decode(mercury_hal::call::BASE.wrapping_add(call), 0)
        .filter(|_| reason == ExitReason::Hypercall);
    request.map_or_else(
        || format!("exit: {reason}"),
        |request| {
            let name = format!("{request:?}").to_lowercase();
            let name = name.split('(').next().unwrap_or_default();
            format!("exit: {reason} {name}")
        },
    )
}
