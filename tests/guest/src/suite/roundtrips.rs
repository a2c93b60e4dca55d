// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attach and detach, again and again, from every CPU in turn and without
//! sleeping, while the workload runs: it must end right, the kernel must have
//! noticed nothing, and nothing may be lost.

use crate::expect;
use crate::figures::{Figures, shown, spread};
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::memory;
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use mercury_device::{Device, SampleKind};
use std::time::Instant;

/// Each round trip borrows some 200 KiB; a machine that has worked has a few
/// MiB less than one that has not, in caches that stay.
const LOST_KIB_PER_TRIP: i64 = 32;
const WARMED_UP_KIB: i64 = 48 * 1024;

pub(crate) fn run(count: u64, only: &[String]) -> Result<()> {
    let device = Device::open()?;
    let cpus = machine::online()?;
    let mut log = KernelLog::from_here()?;
    let mut figures = Figures::from_here(&device)?;
    let mut samples = Vec::new();
    let before = expect::native(&device)?;
    let free_before = memory::free_kib()?;
    let mut workload = Workload::start(only)?;
    let start = Instant::now();
    for trip in 0..count {
        let cpu = cpus[trip as usize % cpus.len()];
        machine::pin(cpu)?;
        one(&device).with_context(|| format!("round trip {trip} from CPU {cpu}"))?;
        workload.still_right()?;
        if trip % 10 == 9 {
            samples.extend(figures.read(&device)?);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    samples.extend(figures.read(&device)?);
    machine::unpin()?;
    let reports = workload.finish()?;
    log.quiet()?;
    let after = expect::native(&device)?;
    ensure!(
        after.totals.attaches == before.totals.attaches + count
            && after.totals.detaches == before.totals.detaches + count,
        "{count} round trips were made; the module counts {} attaches and {} detaches more",
        after.totals.attaches - before.totals.attaches,
        after.totals.detaches - before.totals.detaches
    );
    let lost = free_before - memory::free_kib()?;
    ensure!(
        lost < WARMED_UP_KIB + LOST_KIB_PER_TRIP * count as i64,
        "{lost} KiB of free memory are gone after {count} round trips"
    );
    println!("workload: {}", reports.join("\nworkload: "));
    println!(
        "roundtrips: {count} round trips from {} CPUs in {seconds:.1} s; blackout in ticks: attach {}; detach {}; \
         free memory {lost} KiB less; workload right",
        cpus.len(),
        shown(spread(&samples, SampleKind::AttachBlackout, None)),
        shown(spread(&samples, SampleKind::DetachBlackout, None)),
    );
    Ok(())
}

fn one(device: &Device) -> Result<()> {
    let attached = expect::attach(device)?;
    expect::only_usual_exits(&attached)?;
    expect::detach(device)?;
    Ok(())
}
