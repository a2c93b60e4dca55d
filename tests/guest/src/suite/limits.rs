// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a switch and a hypercall may cost, in instructions.
//!
//! For an emulator that counts instructions and calls each a nanosecond
//! (`-icount shift=0`): the clock of the samples then counts them, in steps of a
//! tick. It sums those of all virtual CPUs, so a blackout is judged only where
//! there is one CPU; with several the switch is, and it is the median that
//! counts, because a turn of another CPU may fall into any one of them. Bochs'
//! clock ticks once an instruction, whatever it calls a tick.

use super::idle;
use crate::figures::{Figures, spread, tell};
use crate::{expect, machine};
use anyhow::{Context, Result, ensure};
use mercury_device::{Device, Sample, SampleKind};

const INSTRUCTIONS: &str = "instructions";
const TRIPS: usize = 15;
const NULL_CALLS: u32 = 1_000;

/// Most instructions with IRQs off, each way.
const BLACKOUT: u64 = 3_000;
/// Most instructions of a switch of two CPUs.
const SWITCH: u64 = 20_000;
/// Most instructions of a call that attaches, entry to return; and of one that
/// detaches. The paper's nearest relative takes 1,467,232 and 76,320 (docs/bench.md).
const ATTACH: u64 = 300_000;
const DETACH: u64 = 70_000;
/// Most instructions of a hypercall that does nothing, there and back.
const NULL_CALL: u64 = if cfg!(target_arch = "aarch64") {
    80
} else {
    100
};
/// Seconds that an attached machine is left alone.
const IDLE_SECONDS: u64 = 5;
/// Most KiB of the image's file, and lent for each CPU.
const IMAGE_KIB: u64 = 96;
const CPU_KIB: u64 = 32;

/// What a tick of the clock is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// A nanosecond is an instruction: so many thousand ticks are a second's.
    Kilohertz(u64),
    /// A tick is an instruction.
    Instructions,
}

impl Clock {
    /// This machine's.
    pub(crate) fn of(device: &Device, ticks_are_instructions: bool) -> Result<Self> {
        if ticks_are_instructions {
            return Ok(Self::Instructions);
        }
        let kilohertz = device.info()?.tsc_khz;
        ensure!(
            (1..=1_000_000).contains(&kilohertz),
            "a clock of {kilohertz} kHz counts no instructions: is this -icount shift=0?"
        );
        Ok(Self::Kilohertz(kilohertz))
    }

    /// Instructions of so many ticks, the tick that was begun included.
    pub(crate) fn instructions(self, ticks: u64) -> u64 {
        match self {
            Self::Kilohertz(kilohertz) => (ticks + 1) * 1_000_000 / kilohertz,
            Self::Instructions => ticks + 1,
        }
    }
}

pub(crate) fn within(what: &str, found: u64, most: u64) -> Result<()> {
    ensure!(
        found <= most,
        "{what} took {found} instructions, and may take {most}"
    );
    Ok(())
}

pub(crate) fn on(cpus: usize) -> String {
    format!("{cpus} CPU{}", if cpus == 1 { "" } else { "s" })
}

/// For the record: what a machine of this shape lends, and what calls take.
pub(crate) fn footprint(
    device: &Device,
    samples: &[Sample],
    cpus: usize,
    clock: Clock,
) -> Result<()> {
    // Extended page tables ask for a memory type at every leaf: no goal is set there.
    let counted = matches!(clock, Clock::Kilohertz(_)) && cpus <= 2;
    for (name, kind, most) in [
        ("attach, call to return", SampleKind::AttachCall, ATTACH),
        ("detach, call to return", SampleKind::DetachCall, DETACH),
    ] {
        let found = spread(samples, kind, None).context("the module took no sample")?;
        let value = clock.instructions(found.median);
        let what = format!("{name}, {}", on(cpus));
        tell(device, &what, INSTRUCTIONS, value, counted.then_some(most))?;
        if counted {
            within(&what, value, most)?;
        }
    }
    let status = device.status()?;
    let file = status.kept_image.div_ceil(1024);
    tell(device, "the image's file", "KiB", file, Some(IMAGE_KIB))?;
    let each = (status.memory.per_cpu >> 10) / u64::from(status.cpus_possible.max(1));
    tell(device, "lent for each CPU", "KiB", each, Some(CPU_KIB))?;
    ensure!(
        file <= IMAGE_KIB && each <= CPU_KIB,
        "the image's file has {file} KiB and may have {IMAGE_KIB}, a CPU has {each} and may have {CPU_KIB}"
    );
    let memory = status.memory;
    for (name, bytes, limit) in [
        ("memory lent", memory.lent, None),
        ("image", memory.image, None),
        ("per-CPU state", memory.per_cpu, None),
        ("nested tables", memory.stage2, Some(64)),
    ] {
        tell(
            device,
            &format!("{name}, {}", on(cpus)),
            "KiB",
            bytes >> 10,
            limit,
        )?;
    }
    Ok(())
}

pub(crate) fn run(ticks_are_instructions: bool) -> Result<()> {
    let device = Device::open()?;
    let clock = Clock::of(&device, ticks_are_instructions)?;
    let cpus = machine::online()?.len();
    // The first trips fill caches of the kernel's.
    expect::round_trip(&device)?;
    let mut figures = Figures::from_here(&device)?;
    for _ in 0..TRIPS {
        expect::round_trip(&device)?;
    }
    let samples = figures.read(&device)?;
    let of = |kind| spread(&samples, kind, None).context("the module took no sample");
    if cpus == 1 {
        for (what, kind) in [
            (
                "the longest blackout of an attach",
                SampleKind::AttachBlackout,
            ),
            (
                "the longest blackout of a detach",
                SampleKind::DetachBlackout,
            ),
        ] {
            let found = clock.instructions(of(kind)?.maximum);
            tell(&device, what, INSTRUCTIONS, found, Some(BLACKOUT))?;
            within(what, found, BLACKOUT)?;
        }
    } else {
        for (what, kind) in [
            ("the switch of an attach", SampleKind::AttachSwitch),
            ("the switch of a detach", SampleKind::DetachSwitch),
        ] {
            let found = clock.instructions(of(kind)?.median);
            tell(
                &device,
                &format!("{what}, {}", on(cpus)),
                INSTRUCTIONS,
                found,
                Some(SWITCH),
            )?;
            within(what, found, SWITCH)?;
        }
    }
    expect::attach(&device)?;
    null_call(&device, clock)?;
    footprint(&device, &samples, cpus, clock)?;
    if matches!(clock, Clock::Kilohertz(_)) {
        exits_when_idle(&device)?;
    }
    expect::detach(&device)?;
    Ok(())
}

/// What a hypercall that does nothing costs. The machine is attached.
pub(crate) fn null_call(device: &Device, clock: Clock) -> Result<()> {
    let calls = device.null_calls(0, NULL_CALLS)?;
    ensure!(calls.answered, "CPU 0 is no guest");
    let mean = clock
        .instructions(calls.ticks)
        .div_ceil(u64::from(NULL_CALLS));
    let what = "a null hypercall, mean of 1,000";
    // VMX reads each field of the exit by an instruction of its own.
    let limit = (device.info()?.backend != "vmx").then_some(NULL_CALL);
    tell(device, what, INSTRUCTIONS, mean, limit)?;
    limit.map_or(Ok(()), |most| within(what, mean, most))
}

/// The machine is attached, and left alone.
pub(crate) fn exits_when_idle(device: &Device) -> Result<()> {
    let idle = idle::watch(device, IDLE_SECONDS)?;
    let what = format!("exits of an idle machine in {IDLE_SECONDS} s");
    tell(device, &what, "exits", idle.usual + idle.others, Some(0))?;
    ensure!(
        idle.others == 0,
        "{} exits in {IDLE_SECONDS} idle seconds",
        idle.others
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_clock_counts_in_larger_steps() {
        assert_eq!(Clock::Kilohertz(1_000_000).instructions(0), 1);
        assert_eq!(Clock::Kilohertz(62_500).instructions(21), 352);
        assert_eq!(Clock::Instructions.instructions(21), 22);
    }

    #[test]
    fn one_too_many_is_too_many() {
        assert!(within("it", BLACKOUT, BLACKOUT).is_ok());
        assert!(within("it", BLACKOUT + 1, BLACKOUT).is_err());
    }
}
