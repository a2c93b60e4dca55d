// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many round trips, nothing beside them: free memory shows no slope.

use crate::expect;
use crate::kernel_log::KernelLog;
use crate::memory::Trend;
use anyhow::{Context, Result, ensure};
use mercury_device::Device;

/// The least that a leak could be is one page, 4 KiB, at each round trip.
const NOISE_KIB_PER_TRIP: f64 = 1.0;
const POINTS: u64 = 25;

pub(crate) fn run(count: u64) -> Result<()> {
    let device = Device::open()?;
    let mut log = KernelLog::from_here()?;
    let mut trend = Trend::default();
    let step = (count / POINTS).max(1);
    // The first few fill caches that stay (per-CPU lists, slabs).
    for _ in 0..step.min(20) {
        expect::round_trip(&device)?;
    }
    for trip in 0..count {
        if trip % step == 0 {
            trend.note(trip)?;
        }
        expect::attach(&device).with_context(|| format!("round trip {trip}"))?;
        expect::detach(&device).with_context(|| format!("round trip {trip}"))?;
    }
    trend.note(count)?;
    log.quiet()?;
    let (slope, (first, last)) = (trend.slope(), trend.ends());
    ensure!(
        slope > -NOISE_KIB_PER_TRIP,
        "free memory falls by {:.2} KiB at each of {count} round trips: from {first} to {last} KiB",
        -slope
    );
    println!(
        "leak: {count} round trips, free memory {first} KiB before and {last} KiB after, {slope:+.3} KiB per round trip"
    );
    Ok(())
}
