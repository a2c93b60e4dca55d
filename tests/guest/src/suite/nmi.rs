// SPDX-License-Identifier: MIT OR Apache-2.0
//! NMIs from outside, while round trips run: every CPU sees every one, once.
//!
//! The rig raises them through the emulator's monitor (`mercury-ask nmi`). They
//! are counted twice: by Linux (/proc/interrupts) and by a handler of the test
//! module, which also opens the line on the CPUs where Linux keeps it shut.

use crate::expect::{self, skip};
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::Probe;
use crate::rig;
use anyhow::{Result, anyhow, ensure};
use mercury_device::{AttachOptions, Device};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long one may be on its way; past that it is lost.
const ARRIVAL: Duration = Duration::from_secs(10);

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

/// Raises them one after another: the next when every CPU has seen the last.
/// An NMI is a latch, and two that come while a CPU of the emulator waits for
/// the host's attention are one; so a gap in time, however long, would blame
/// Mercury for a busy host.
fn raise(probe: &Probe, count: u64, inside: bool) -> Result<()> {
    for number in 1..=count {
        if inside {
            probe.say("nmi raise")?;
        } else {
            rig::ask(&["nmi", "1", "0"])?;
        }
        let deadline = Instant::now() + ARRIVAL;
        loop {
            let counts = seen(probe)?;
            if counts.values().all(|seen| *seen >= number) {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "NMI {number} was raised and not seen by every CPU: {counts:?}"
            );
            thread::sleep(Duration::from_micros(500));
        }
    }
    Ok(())
}

/// What the test module answers when each NMI was seen.
pub(crate) const NONE_LOST: &str = "lost 0";

/// NMIs from one CPU to the other, one after another, while that makes round
/// trips: thousands of them in each, so that they arrive at every place of the
/// switch. What the test module says of them.
pub(crate) fn one_storm(device: &Device, probe: &Probe, number: u64) -> Result<String> {
    thread::scope(|scope| -> Result<String> {
        let raising = scope.spawn(|| -> Result<String> {
            machine::pin(1)?;
            probe.say(&format!("nmi storm 0 {number}"))
        });
        machine::pin(0)?;
        while !raising.is_finished() {
            device.attach(&AttachOptions::default())?;
            device.detach()?;
        }
        machine::unpin()?;
        let said = raising
            .join()
            .map_err(|_| anyhow!("the storm panicked"))??;
        Ok(said.trim().to_owned())
    })
}

/// Many of them. For two CPUs.
pub(crate) fn storm(count: u64) -> Result<()> {
    const NUMBER: u64 = 20_000;
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    probe.say("nmi off")?;
    probe.say("nmi on")?;
    for trip in 1..=count {
        let said = one_storm(&device, &probe, NUMBER)?;
        ensure!(said == NONE_LOST, "storm {trip}: {said}");
    }
    let counts = seen(&probe)?;
    probe.say("nmi off")?;
    let raised = count * NUMBER;
    ensure!(
        counts.get(&0) == Some(&raised),
        "{raised} NMIs were raised; {counts:?} were seen"
    );
    expect::native(&device)?;
    log.quiet()?;
    let trips = device.status()?.totals.detaches;
    println!("nmi: {raised} NMIs to CPU 0 during {trips} round trips, each seen once");
    Ok(())
}

/// `inside`: raised by the test module as IPIs, where the emulator has no monitor.
pub(crate) fn run(count: u64, inside: bool) -> Result<()> {
    if cfg!(not(target_arch = "x86_64")) {
        return skip("this architecture has no NMI to raise");
    }
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
        let asked = raise(&probe, count, inside);
        over.store(true, Ordering::Relaxed);
        let made = tripping
            .join()
            .map_err(|_| anyhow!("the round trips panicked"))?;
        asked?;
        made
    })?;
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
