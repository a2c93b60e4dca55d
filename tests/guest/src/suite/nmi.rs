// SPDX-License-Identifier: MIT OR Apache-2.0
//! NMIs from outside, while round trips run: every CPU sees every one, once.
//!
//! The rig raises them through the emulator's monitor (`mercury-ask nmi`). They
//! are counted twice: by Linux (/proc/interrupts) and by a handler of the test
//! module, which also opens the line on the CPUs where Linux keeps it shut.

use crate::expect;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::Probe;
use anyhow::{Context, Result, anyhow, ensure};
use mercury_device::{AttachOptions, Device};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The last one may still be on its way when the rig says it is done.
const LAST_ONE: Duration = Duration::from_secs(10);

/// Counts of the test module's handler.
fn seen(probe: &Probe) -> Result<BTreeMap<u32, u64>> {
    let mut counts = BTreeMap::new();
    for line in probe.say("nmi report")?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["cpu", cpu, "seen", count] = words[..] else {
            return Err(anyhow!("the test module reports NMIs as '{line}'"));
        };
        counts.insert(cpu.parse()?, count.parse()?);
    }
    Ok(counts)
}

/// Round trips until told to stop; how many.
fn trips(over: &AtomicBool) -> Result<u64> {
    let device = Device::open()?;
    let cpus = machine::online()?;
    let mut trips = 0;
    while !over.load(Ordering::Relaxed) {
        machine::pin(cpus[trips as usize % cpus.len()])?;
        device.attach(&AttachOptions::default())?;
        device.detach()?;
        trips += 1;
    }
    Ok(trips)
}

fn ask_rig(count: u64, gap_us: u64) -> Result<()> {
    let status = Command::new("mercury-ask")
        .args(["nmi", &count.to_string(), &gap_us.to_string()])
        .status()
        .context("asking the rig (mercury-ask)")?;
    ensure!(status.success(), "the rig did not raise {count} NMIs");
    Ok(())
}

pub(crate) fn run(count: u64, gap_us: u64) -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    expect::native(&device)?;
    probe.say("nmi off")?;
    probe.say("nmi on")?;
    let before = machine::nmi_counts()?;
    let over = AtomicBool::new(false);
    let made = thread::scope(|scope| -> Result<u64> {
        let tripping = scope.spawn(|| trips(&over));
        let asked = ask_rig(count, gap_us);
        over.store(true, Ordering::Relaxed);
        let made = tripping
            .join()
            .map_err(|_| anyhow!("the round trips panicked"))?;
        asked?;
        made
    })?;
    let deadline = Instant::now() + LAST_ONE;
    while seen(&probe)?.values().any(|seen| *seen < count) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let counts = seen(&probe)?;
    let after = machine::nmi_counts()?;
    probe.say("nmi off")?;
    for (cpu, seen) in &counts {
        ensure!(
            *seen == count,
            "{count} NMIs were raised; CPU {cpu} saw {seen}"
        );
    }
    for (column, (after, before)) in after.iter().zip(&before).enumerate() {
        ensure!(
            after - before == count,
            "{count} NMIs were raised; /proc/interrupts counts {} in column {column}",
            after - before
        );
    }
    ensure!(made > 0, "no round trip was made while NMIs were raised");
    expect::native(&device)?;
    log.quiet()?;
    println!(
        "nmi: {count} NMIs during {made} round trips, each of {} CPUs saw each once",
        counts.len()
    );
    Ok(())
}
