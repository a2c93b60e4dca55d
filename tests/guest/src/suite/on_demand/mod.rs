// SPDX-License-Identifier: MIT OR Apache-2.0
//! Physical addresses that iomem does not name, touched while attached: the
//! first touch maps one leaf and is counted once, the second causes nothing,
//! on whichever CPU, even on all at the same moment. Without 1-GiB pages the
//! spare frames run out in the end: then the touch gets a fault and
//! a record in the log, and the machine lives.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

use crate::expect;
use crate::iomem;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::Probe;
use crate::workload::Workload;
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Device, Event, ExitReason, ProofVerdict, Status};

const GIB: u64 = 1 << 30;
const MIB_2: u64 = 2 << 20;
const FRAME: u64 = 4096;
const NO_TRAP: i64 = -1;
/// Some GiB between two addresses, so that they spread over the whole space.
const STRIDE: usize = 5;
const EVERY_CPU: i64 = -1;
/// A few of the workload's: the rest makes it slow and adds nothing here.
const WORKERS: [&str; 2] = ["churn-a", "timers"];

/// The GiBs in which iomem names nothing, from the highest address down.
struct Nowhere(Vec<u64>);

impl Nowhere {
    fn find(probe: &Probe) -> Result<Self> {
        let bits = arch::address_bits(probe)?;
        let named = iomem::read()?;
        let free = (0..(1u64 << bits) / GIB)
            .step_by(STRIDE)
            .map(|index| index * GIB)
            .filter(|&start| {
                // The neighbours too: whoever rounds a range has no part in this.
                let (low, high) = (start.saturating_sub(GIB), start + 2 * GIB);
                named
                    .iter()
                    .all(|range| range.last < low || range.first >= high)
            });
        Ok(Self(free.collect()))
    }

    fn next(&mut self) -> Result<u64> {
        self.0
            .pop()
            .context("no GiB is left that iomem does not name")
    }
}

/// Faults mapped at once: the machine's count, and each CPU's, by number.
#[derive(Debug, PartialEq)]
struct Counted {
    machine: u64,
    cpus: Vec<(u32, u64)>,
    leaves_1g: u64,
    leaves_2m: u64,
}

impl Counted {
    fn of(status: &Status) -> Self {
        Self {
            machine: status.stage2.mapped_on_demand,
            cpus: status
                .online()
                .map(|cpu| (cpu.cpu, cpu.exits.of(ExitReason::Stage2Mapped)))
                .collect(),
            leaves_1g: status.stage2.leaves_1g,
            leaves_2m: status.stage2.leaves_2m,
        }
    }

    fn by_cpus(&self) -> u64 {
        self.cpus.iter().map(|(_, count)| count).sum()
    }
}

/// What became of a touch.
struct Answer {
    /// `NO_TRAP`, or a fault that any of the CPUs had.
    trap: i64,
    /// What was read.
    value: u64,
}

struct Bench<'a> {
    device: &'a Device,
    probe: Probe,
    huge: bool,
    /// What an access meets natively where nobody answers: its fault, what it reads.
    nobody: (i64, u64),
}

impl Bench<'_> {
    fn leaf(&self) -> u64 {
        if self.huge { GIB } else { MIB_2 }
    }

    fn touch(&self, cpu: i64, address: u64, how: &str) -> Result<Answer> {
        arch::touch(&self.probe, cpu, address, how)
    }

    /// A touch that finds nobody, and adds so many leaves.
    fn adds(&self, cpu: i64, address: u64, how: &str, leaves: u64) -> Result<()> {
        let before = Counted::of(&self.device.status()?);
        let answer = self.touch(cpu, address, how)?;
        let after = Counted::of(&self.device.status()?);
        let at = || format!("{how} of {address:#x} by CPU {cpu}");
        // Nobody answers there, and how the machine shows that is not changed.
        let (trap, value) = self.nobody;
        ensure!(
            answer.trap == trap,
            "{}: trap {} where natively it is {trap} (-1: none)",
            at(),
            answer.trap
        );
        if how == "read" {
            ensure!(answer.value == value, "{}: read {:#x}", at(), answer.value);
        }
        let grown = (
            after.machine - before.machine,
            after.by_cpus() - before.by_cpus(),
            after.leaves_1g - before.leaves_1g,
            after.leaves_2m - before.leaves_2m,
        );
        let (large, middle) = if self.huge { (leaves, 0) } else { (0, leaves) };
        ensure!(
            grown == (leaves, leaves, large, middle),
            "{}: {leaves} leaves were expected, found {} mapped on demand, {} exits, {} leaves of 1 GiB and {} of 2 MiB",
            at(),
            grown.0,
            grown.1,
            grown.2,
            grown.3
        );
        for (was, now) in before.cpus.iter().zip(&after.cpus) {
            ensure!(
                cpu == EVERY_CPU || i64::from(now.0) == cpu || was == now,
                "{}: CPU {} came out for it",
                at(),
                now.0
            );
        }
        Ok(())
    }

    /// First and second touches, by every CPU. Leaves of 2 MiB all come from
    /// one GiB: that is one table, and few are spare. How many leaves, and an
    /// address beside them.
    fn every_cpu(&self, nowhere: &mut Nowhere) -> Result<(u64, u64)> {
        let cpus = machine::online()?;
        let mut leaves = 0;
        let mut place = nowhere.next()?;
        let mut next = || -> Result<u64> {
            let here = place;
            place = if self.huge {
                nowhere.next()?
            } else {
                place + 8 * MIB_2
            };
            Ok(here)
        };
        for &cpu in &cpus {
            for (first, second) in [("read", "write"), ("write", "read")] {
                let base = next()?;
                let cpu = i64::from(cpu);
                let end = base + self.leaf() - 8;
                self.adds(cpu, base + 8 * FRAME, first, 1)?;
                self.adds(cpu, base + 8 * FRAME, first, 0)?;
                self.adds(cpu, end, second, 0)?;
                for &other in &cpus {
                    self.adds(other.into(), base + FRAME, second, 0)?;
                }
                self.adds(cpu, end + 8, second, 1)?;
                leaves += 2;
            }
        }
        // Who is first does not matter: one leaf, one count.
        for (turn, how) in ["read", "write", "read", "write"].into_iter().enumerate() {
            self.adds(EVERY_CPU, next()? + turn as u64 * FRAME, how, 1)?;
            leaves += 1;
        }
        Ok((leaves, next()?))
    }

    /// New GiBs until no table is left for one; `beside` lies in one that has.
    fn until_exhausted(&self, nowhere: &mut Nowhere, beside: u64) -> Result<u64> {
        let cpus = machine::online()?;
        let spare = self.device.status()?.memory.spare / FRAME;
        for turn in 0..=spare {
            let cpu = cpus[turn as usize % cpus.len()];
            let base = nowhere.next()?;
            let log = self.device.log(0)?.next;
            let answer = self.touch(cpu.into(), base, "read")?;
            if answer.trap == NO_TRAP {
                continue;
            }
            let status = self.device.status()?;
            ensure!(
                status.memory.spare == 0,
                "a touch was refused while {} bytes are spare",
                status.memory.spare
            );
            self.refused_everywhere(nowhere, log)?;
            // What has its table still gets leaves.
            self.adds(cpu.into(), beside, "write", 1)?;
            self.adds(EVERY_CPU, beside + FRAME, "read", 0)?;
            return Ok(turn);
        }
        bail!("{spare} frames were spare, and one GiB more than that was mapped")
    }

    /// Without frames every CPU gets the fault, for reads and stores; each is
    /// in the log, none is counted as mapped.
    fn refused_everywhere(&self, nowhere: &mut Nowhere, log: u64) -> Result<()> {
        let mapped = self.device.status()?.stage2.mapped_on_demand;
        let mut refused = 1;
        for cpu in machine::online()? {
            for how in ["read", "write"] {
                let base = nowhere.next()?;
                for _ in 0..2 {
                    let trap = self.touch(cpu.into(), base, how)?.trap;
                    ensure!(
                        trap == arch::REFUSAL,
                        "{how} of {base:#x} by CPU {cpu} without spare frames: trap {trap}"
                    );
                    refused += 1;
                }
            }
        }
        let records = self.device.log(log)?.items;
        let written = records
            .iter()
            .filter(|record| record.event() == Some(Event::NotMapped))
            .count();
        ensure!(
            written == refused,
            "{refused} touches were refused and {written} of them are in the log"
        );
        ensure!(
            self.device.status()?.stage2.mapped_on_demand == mapped,
            "touches that were refused count as mapped"
        );
        Ok(())
    }

    fn attached(&self, nowhere: &mut Nowhere) -> Result<(u64, Option<u64>)> {
        let (leaves, beside) = self.every_cpu(nowhere)?;
        let tables = if self.huge {
            None
        } else {
            Some(self.until_exhausted(nowhere, beside)?)
        };
        expect::proven(self.device, ProofVerdict::Guest)?;
        super::hole::check(
            self.device,
            &self.probe,
            0,
            super::hole::last_frame(self.device)?,
            None,
        )?;
        Ok((leaves, tables))
    }
}

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    let mut bench = Bench {
        device: &device,
        probe: Probe::load()?,
        huge: arch::huge()?,
        nobody: (NO_TRAP, 0),
    };
    let mut log = KernelLog::from_here()?;
    let mut nowhere = Nowhere::find(&bench.probe)?;
    // Natively: what must be found there later.
    let base = nowhere.next()?;
    let written = bench.touch(EVERY_CPU, base, "write")?;
    let read = bench.touch(0, base, "read")?;
    ensure!(
        written.trap == arch::NOBODY && read.trap == arch::NOBODY,
        "natively, touching {base:#x} gives traps {} and {} (-1: none)",
        written.trap,
        read.trap
    );
    bench.nobody = (read.trap, read.value);

    let mut workload = Workload::start(&WORKERS.map(str::to_owned))?;
    expect::attach(&device)?;
    let outcome = bench.attached(&mut nowhere);
    let still_right = workload.still_right();
    // Whatever was found: the machine goes on, and natively.
    expect::detach(&device)?;
    let (leaves, tables) = outcome?;
    still_right?;
    // The frames came back, and a new map has none of the old leaves.
    expect::attach(&device)?;
    let again = bench.adds(EVERY_CPU, base, "write", 1);
    expect::detach(&device)?;
    again.context("after detach and attach")?;
    workload.finish()?;
    log.quiet()?;
    let exhausted = tables.map_or_else(String::new, |tables| {
        format!("; refused with a fault after {tables} more tables, machine alive")
    });
    println!(
        "on-demand: {leaves} leaves of {} MiB mapped when touched, each counted once, nothing on second touch, on {} CPUs{exhausted}",
        bench.leaf() >> 20,
        machine::online()?.len()
    );
    Ok(())
}
