// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows of the comparison with Mercury's nearest relative (docs/bench.md), on
//! one machine, in instructions.
//!
//! Only where instructions are counted (`-icount shift=0`). The clock sums those of
//! all virtual CPUs, here as in the relative's own figures: a switch of several CPUs
//! has the turns of all in it, and a call to another CPU has both. What Mercury does
//! not touch, firmware calls and interrupts between CPUs, is measured natively,
//! attached, and natively again; each kind some times, so that the spread of the
//! native ones says what an equal is.

use crate::figures::{Figures, spread, tell};
use crate::probe::Probe;
use crate::suite::limits::{self, Clock};
use crate::{expect, machine};
use anyhow::{Context, Result, ensure};
use mercury_device::{Device, SampleKind};

const INSTRUCTIONS: &str = "instructions";
const TRIPS: usize = 15;
/// How often each kind is measured in each state, and of how many calls.
const BATCHES: usize = 5;
const CALLS: u32 = 200;

/// Kinds of the test module's command `cost`, and what they are in words.
const KINDS: [(&str, &str); 3] = [
    ("firmware", "a PSCI call"),
    ("self-ipi", "an interrupt to itself"),
    ("remote-call", "a call on another CPU"),
];

/// One kind in one state: the least and the most of its batches, for one call.
#[derive(Debug, Clone, Copy)]
struct Cost {
    least: u64,
    most: u64,
}

fn cost(probe: &Probe, clock: Clock, kind: &str) -> Result<Cost> {
    let batches: Vec<u64> = (0..BATCHES)
        .map(|_| {
            let ticks = probe
                .ask(&format!("cost {kind} {CALLS}"))?
                .number("ticks")?;
            Ok(clock.instructions(ticks).div_ceil(u64::from(CALLS)))
        })
        .collect::<Result<_>>()?;
    let least = batches.iter().min().copied().context("no batch")?;
    let most = batches.iter().max().copied().context("no batch")?;
    Ok(Cost { least, most })
}

/// Each kind that this machine has: all but calls of firmware on x86, all but
/// calls on other CPUs where there is none.
fn costs(probe: &Probe, clock: Clock, cpus: usize) -> Result<Vec<(&'static str, Cost)>> {
    KINDS
        .iter()
        .filter(|(kind, _)| cpus > 1 || *kind != "remote-call")
        .filter(|(kind, _)| cfg!(target_arch = "aarch64") || *kind != "firmware")
        .map(|(kind, words)| Ok((*words, cost(probe, clock, kind)?)))
        .collect()
}

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let clock = Clock::of(&device, false)?;
    let cpus = machine::online()?.len();
    let on = limits::on(cpus);
    expect::round_trip(&device)?;
    let mut figures = Figures::from_here(&device)?;
    let before = costs(&probe, clock, cpus)?;
    for _ in 0..TRIPS {
        expect::round_trip(&device)?;
    }
    let samples = figures.read(&device)?;
    for (what, kind) in [
        ("the switch of an attach", SampleKind::AttachSwitch),
        ("the switch of a detach", SampleKind::DetachSwitch),
    ] {
        let found = spread(&samples, kind, None).context("the module took no sample")?;
        let value = clock.instructions(found.median);
        tell(&device, &format!("{what}, {on}"), INSTRUCTIONS, value, None)?;
    }
    expect::attach(&device)?;
    limits::null_call(&device, clock)?;
    let attached = costs(&probe, clock, cpus)?;
    limits::footprint(&device, &samples, cpus, clock)?;
    limits::exits_when_idle(&device)?;
    expect::detach(&device)?;
    let after = costs(&probe, clock, cpus)?;
    for ((what, before), ((_, attached), (_, after))) in
        before.iter().zip(attached.iter().zip(&after))
    {
        let native = Cost {
            least: before.least.min(after.least),
            most: before.most.max(after.most),
        };
        tell(
            &device,
            &format!("{what}, native, {on}"),
            INSTRUCTIONS,
            native.most,
            None,
        )?;
        // Equal, but for the control's spread and a fiftieth.
        let most = native.most + (native.most - native.least) + native.most / 50;
        let name = format!("{what}, attached, {on}");
        tell(&device, &name, INSTRUCTIONS, attached.most, Some(most))?;
        println!(
            "{what}: natively {} to {}, attached {} to {} instructions",
            native.least, native.most, attached.least, attached.most
        );
        ensure!(
            attached.least <= most,
            "{name} took {} instructions, natively {}",
            attached.least,
            native.most
        );
    }
    Ok(())
}
