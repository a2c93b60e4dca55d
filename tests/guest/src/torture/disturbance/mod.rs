// SPDX-License-Identifier: MIT OR Apache-2.0
//! What disturbs: one file each, behind one trait.
//!
//! A disturbance is prepared once, acts again and again in the rounds that it is
//! dealt to, and says at the end what it has to show. What is wrong it says at
//! once, by an error. One that this machine cannot have says why, and is left
//! out by name.

mod compaction;
mod time;

use super::switches::Span;
use crate::probe::Probe;
use anyhow::Result;
use fastrand::Rng;

/// What of the machine a disturbance may need to know.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) cpus: Vec<u32>,
    /// Two runs must be alike: nothing that waits for the host.
    pub(super) repeatable: bool,
    pub(super) probe: Option<Probe>,
    pub(super) ticks_per_microsecond: u64,
}

/// What became of one operation.
#[derive(Debug)]
pub(super) enum Act {
    /// Done; it lasted as long as the call.
    Done,
    /// The kernel would not now, which is its right.
    Refused,
    /// Done, so many operations, and these are the moments that matter.
    At(Vec<Span>),
}

/// Refusals of a switch that a disturbance explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excuse {
    /// It attaches and detaches itself, or takes the module away. Left out
    /// where the same is done natively.
    Meddles,
    /// It puts the machine to sleep.
    Sleeps,
    /// It leaves no memory.
    TakesMemory,
}

/// One that disturbs.
pub(super) trait Disturbance: Send {
    /// One operation.
    fn act(&mut self, draw: &mut Rng) -> Result<Act>;

    /// The end: puts back what it changed, and says what there is to say.
    fn finish(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Ready, or why this machine cannot have it.
pub(super) type Prepared = Result<std::result::Result<Box<dyn Disturbance>, String>>;

/// An entry of the catalogue.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) excuse: Option<Excuse>,
    pub(super) prepare: fn(&Place) -> Prepared,
}

const fn kind(name: &'static str, prepare: fn(&Place) -> Prepared) -> Kind {
    Kind {
        name,
        excuse: None,
        prepare,
    }
}

impl Kind {
    const fn excusing(mut self, excuse: Excuse) -> Self {
        self.excuse = Some(excuse);
        self
    }
}

/// All of them. A new one comes last: the seed deals by place.
pub(super) const KINDS: &[Kind] = &[
    kind("compaction", compaction::prepare),
    kind("time", time::prepare),
];

/// Ready.
fn ready(disturbance: impl Disturbance + 'static) -> Prepared {
    Ok(Ok(Box::new(disturbance)))
}

/// This machine cannot have it.
fn cannot(why: impl Into<String>) -> Prepared {
    Ok(Err(why.into()))
}
