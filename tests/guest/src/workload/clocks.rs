// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clocks that never run backwards: the CPU's counter (x86: the time-stamp
//! counter, ARM64: CNTVCT_EL0), and CLOCK_MONOTONIC anywhere. One thread per CPU, pinned there; a reading counts
//! for a CPU only if the thread was there before and after it (a pinned thread
//! is moved when its CPU goes offline).
//!
//! ARM's counter is one for the whole machine, so there each reading must also
//! be later than all that any CPU had finished before: a CPU whose offset
//! jumped forward is found by the others.

use super::Stop;
use crate::machine;
use crate::ticks;
use anyhow::{Result, anyhow, ensure};
use nix::sched::sched_getcpu;
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const READINGS: u32 = 2_000;

/// Whether all CPUs read the same counter.
const SHARED: bool = cfg!(target_arch = "aarch64");

/// The latest reading of all CPUs.
static LATEST: AtomicU64 = AtomicU64::new(0);

fn watch(cpu: u32, stop: Stop) -> Result<u64> {
    // A CPU that went offline meanwhile: then this thread runs anywhere.
    let _ = machine::pin(cpu);
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    let mut monotonic = Duration::ZERO;
    let mut readings = 0u64;
    while readings == 0 || !stop.requested() {
        for _ in 0..READINGS {
            let before = sched_getcpu()?;
            let latest = LATEST.load(Ordering::SeqCst);
            let now = ticks::now();
            LATEST.fetch_max(now, Ordering::SeqCst);
            ensure!(
                !SHARED || now >= latest,
                "CPU {before} read {now} from the counter after another had read {latest}"
            );
            if sched_getcpu()? == before {
                let last = last.entry(before).or_default();
                ensure!(
                    now >= *last,
                    "the counter of CPU {before} went back from {last} to {now}"
                );
                *last = now;
            }
            let time: Duration = clock_gettime(ClockId::CLOCK_MONOTONIC)?.into();
            ensure!(
                time >= monotonic,
                "CLOCK_MONOTONIC went back from {monotonic:?} to {time:?}"
            );
            monotonic = time;
            readings += 1;
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(readings)
}

pub(super) fn run(stop: Stop) -> Result<String> {
    let cpus = machine::online()?;
    let watchers: Vec<_> = cpus
        .iter()
        .map(|&cpu| thread::spawn(move || watch(cpu, stop)))
        .collect();
    let mut readings = 0;
    for watcher in watchers {
        readings += watcher.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    Ok(format!(
        "{readings} readings on {} CPUs, none backwards",
        cpus.len()
    ))
}
