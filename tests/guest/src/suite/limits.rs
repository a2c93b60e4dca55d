// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a switch and a hypercall may cost, in instructions.
//!
//! For an emulator that counts instructions and calls each a nanosecond
//! (`-icount shift=0`): the clock of the samples then counts them, in steps of a
//! tick. It sums those of all virtual CPUs, so a blackout is judged only where
//! there is one CPU; with several the switch is, and it is the median that
//! counts, because a turn of another CPU may fall into any one of them. Bochs'
//! clock ticks once an instruction, whatever it calls a tick.

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
const SWITCH: u64 = 40_000;
/// Most instructions of a hypercall that does nothing, there and back. On x86 no
/// limit is set yet: where the CPU does not say how long an instruction is (QEMU's
/// does not), the image reads it from the guest, and that is most of the cost.
const NULL_CALL: Option<u64> = if cfg!(target_arch = "aarch64") {
    Some(150)
} else {
    None
};

/// What a tick of the clock is.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// A nanosecond is an instruction: so many thousand ticks are a second's.
    Kilohertz(u64),
    /// A tick is an instruction.
    Instructions,
}

impl Clock {
    /// Instructions of so many ticks, the tick that was begun included.
    fn instructions(self, ticks: u64) -> u64 {
        match self {
            Self::Kilohertz(kilohertz) => (ticks + 1) * 1_000_000 / kilohertz,
            Self::Instructions => ticks + 1,
        }
    }
}

fn within(what: &str, found: u64, most: u64) -> Result<()> {
    ensure!(
        found <= most,
        "{what} took {found} instructions, and may take {most}"
    );
    Ok(())
}

fn on(cpus: usize) -> String {
    format!("{cpus} CPU{}", if cpus == 1 { "" } else { "s" })
}

/// For the record: what a machine of this shape lends, and what calls take.
fn footprint(device: &Device, samples: &[Sample], cpus: usize, clock: Clock) -> Result<()> {
    for (name, kind) in [
        ("attach, call to return", SampleKind::AttachCall),
        ("detach, call to return", SampleKind::DetachCall),
    ] {
        let found = spread(samples, kind, None).context("the module took no sample")?;
        let value = clock.instructions(found.median);
        tell(
            device,
            &format!("{name}, {}", on(cpus)),
            INSTRUCTIONS,
            value,
            None,
        )?;
    }
    let memory = device.status()?.memory;
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
    let clock = if ticks_are_instructions {
        Clock::Instructions
    } else {
        let kilohertz = device.info()?.tsc_khz;
        ensure!(
            (1..=1_000_000).contains(&kilohertz),
            "a clock of {kilohertz} kHz counts no instructions: is this -icount shift=0?"
        );
        Clock::Kilohertz(kilohertz)
    };
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
    let calls = device.null_calls(0, NULL_CALLS)?;
    footprint(&device, &samples, cpus, clock)?;
    expect::detach(&device)?;
    ensure!(calls.answered, "CPU 0 is no guest");
    let mean = clock
        .instructions(calls.ticks)
        .div_ceil(u64::from(NULL_CALLS));
    if cpus == 1 {
        let what = "a null hypercall, mean of 1,000";
        tell(&device, what, INSTRUCTIONS, mean, NULL_CALL)?;
        if let Some(most) = NULL_CALL {
            within(what, mean, most)?;
        }
    }
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
