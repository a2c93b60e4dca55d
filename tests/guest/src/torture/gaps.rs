// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a CPU is away from a thread that does nothing but look at the clock.
//!
//! One thread a CPU, pinned there, spins for a moment, rests for four, and notes
//! each gap between two readings. A fifth of the CPU is enough to see switches,
//! and leaves the rest to those who are to be disturbed. It goes before other
//! threads (nice), but it is no real-time thread: where the host gives a CPU
//! less time than one moment of spinning, that starved all others (seen). Gaps
//! are of all kinds, then: interrupts, other threads, the host; so the same is
//! measured natively in the same boot.
#![expect(unsafe_code, reason = "setpriority is not in the safe wrappers")]

use crate::{machine, ticks};
use anyhow::{Result, anyhow, ensure};
use nix::sched::sched_getcpu;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

const SPIN_MICROSECONDS: u64 = 2_000;
const REST: Duration = Duration::from_millis(8);
const NICE: i32 = -10;
/// Shorter gaps are the loop itself.
const SHORTEST_MICROSECONDS: u64 = 8;

/// Gaps by powers of two microseconds: the entry at 16 counts those from 16 to 31.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    pub(super) counts: BTreeMap<u64, u64>,
    pub(super) longest: u64,
    /// Time spun, in microseconds.
    pub(super) spun: u64,
}

impl Histogram {
    fn note(&mut self, microseconds: u64) {
        self.longest = self.longest.max(microseconds);
        if microseconds >= SHORTEST_MICROSECONDS {
            *self.counts.entry(1 << microseconds.ilog2()).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (at, count) in &other.counts {
            *self.counts.entry(*at).or_default() += count;
        }
        self.longest = self.longest.max(other.longest);
        self.spun += other.spun;
    }
}

/// By CPU.
pub(super) type Histograms = BTreeMap<u32, Histogram>;

fn before_others() -> Result<()> {
    // SAFETY: no pointers; 0 is the calling thread.
    let failed = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    ensure!(
        failed == 0,
        "setpriority: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

fn spin(cpu: u32, ticks_per_microsecond: u64, over: &AtomicBool) -> Result<Histogram> {
    before_others()?;
    let mut histogram = Histogram::default();
    while !over.load(Ordering::Relaxed) {
        // A CPU that is off: then this thread is elsewhere, and what it sees is not of this CPU.
        if machine::pin(cpu).is_ok() && sched_getcpu()? == cpu as usize {
            let start = ticks::now();
            let end = start + SPIN_MICROSECONDS * ticks_per_microsecond;
            let mut last = start;
            let mut longest = 0;
            while last < end {
                let now = ticks::now();
                let gap = now.saturating_sub(last) / ticks_per_microsecond;
                last = now;
                if gap >= SHORTEST_MICROSECONDS {
                    histogram.note(gap);
                }
                longest = longest.max(gap);
            }
            histogram.note(longest.min(SHORTEST_MICROSECONDS - 1));
            histogram.spun += (last - start) / ticks_per_microsecond;
        }
        thread::sleep(REST);
    }
    Ok(histogram)
}

/// The threads that look.
#[derive(Debug)]
pub(super) struct Watch<'scope> {
    threads: Vec<(u32, ScopedJoinHandle<'scope, Result<Histogram>>)>,
}

impl<'scope> Watch<'scope> {
    /// Until `over`.
    pub(super) fn start(
        scope: &'scope Scope<'scope, '_>,
        cpus: &[u32],
        ticks_per_microsecond: u64,
        over: &'scope AtomicBool,
    ) -> Self {
        let threads = cpus
            .iter()
            .map(|&cpu| {
                (
                    cpu,
                    scope.spawn(move || spin(cpu, ticks_per_microsecond, over)),
                )
            })
            .collect();
        Self { threads }
    }

    pub(super) fn finish(self) -> Result<Histograms> {
        self.threads
            .into_iter()
            .map(|(cpu, thread)| {
                let seen = thread
                    .join()
                    .map_err(|_| anyhow!("the thread that looks at CPU {cpu} panicked"))??;
                Ok((cpu, seen))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_sorted_by_powers_of_two() {
        let mut histogram = Histogram::default();
        for gap in [1, 8, 15, 16, 31, 1000] {
            histogram.note(gap);
        }
        let counts: Vec<_> = histogram.counts.into_iter().collect();
        assert_eq!(counts, [(8, 2), (16, 2), (512, 1)]);
        assert_eq!(histogram.longest, 1000);
    }
}
