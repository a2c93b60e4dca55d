// SPDX-License-Identifier: MIT OR Apache-2.0
//! What disturbs: one file each, behind one trait.
//!
//! A disturbance is prepared once, acts again and again in the rounds that it is
//! dealt to, and says at the end what it has to show. What is wrong it says at
//! once, by an error. One that this machine cannot have says why, and is left
//! out by name.

mod affinity;
mod asking;
mod backtrace;
mod compaction;
mod disk;
mod forks;
mod ftrace;
mod hotplug;
mod huge_pages;
mod kprobes;
mod merging;
mod modules;
mod monitor_nmi;
mod network;
mod next_kernel;
mod nmi;
mod out_of_memory;
mod rival;
mod sleep;
mod stress;
mod time;
mod unload;
mod victim;

use super::switches::Span;
use crate::probe::Probe;
use anyhow::Result;
use fastrand::Rng;
use nix::errno::Errno;

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
    kind("hot-plug", hotplug::prepare),
    kind("backtrace", backtrace::prepare),
    kind("nmi", nmi::prepare),
    kind("monitor-nmi", monitor_nmi::prepare),
    kind("kprobes", kprobes::prepare),
    kind("ftrace", ftrace::prepare),
    kind("modules", modules::prepare),
    kind("huge-pages", huge_pages::prepare),
    kind("merging", merging::prepare),
    kind("affinity", affinity::prepare),
    kind("asking", asking::prepare),
    kind("forks", forks::prepare),
    kind("out-of-memory", out_of_memory::prepare).excusing(Excuse::TakesMemory),
    kind("sleep", sleep::prepare).excusing(Excuse::Sleeps),
    kind("rival", rival::prepare).excusing(Excuse::Meddles),
    kind("killed", victim::prepare_kill).excusing(Excuse::Meddles),
    kind("signalled", victim::prepare_signal).excusing(Excuse::Meddles),
    kind("unload", unload::prepare).excusing(Excuse::Meddles),
    kind("disk", disk::prepare),
    kind("network", network::prepare),
    kind("stress-ng", stress::prepare),
    kind("kexec", next_kernel::prepare),
];

/// Whether there was no memory for it.
pub(super) fn out_of_memory(error: &anyhow::Error) -> bool {
    let cause = error.root_cause();
    cause.downcast_ref::<Errno>() == Some(&Errno::ENOMEM)
        || cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::OutOfMemory)
}

/// Ready.
fn ready(disturbance: impl Disturbance + 'static) -> Prepared {
    Ok(Ok(Box::new(disturbance)))
}

/// This machine cannot have it.
fn cannot(why: impl Into<String>) -> Prepared {
    Ok(Err(why.into()))
}
