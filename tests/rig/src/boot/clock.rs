// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time as the guest was given it.
//!
//! Deadlines in host time fail good runs on a loaded machine. This clock leaves
//! out the time in which QEMU wanted to run and another process had the CPU: the
//! kernel counts it for each thread in /proc/.../schedstat. A guest that sleeps
//! or spins makes the clock go on; a host that is busy elsewhere does not.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// A clock for one process.
#[derive(Debug)]
pub(crate) struct Clock {
    process: u32,
    last: Instant,
    waited: HashMap<String, Duration>,
    passed: Duration,
}

impl Clock {
    /// Starts at zero.
    pub(crate) fn new(process: u32) -> Self {
        Self {
            process,
            last: Instant::now(),
            waited: HashMap::new(),
            passed: Duration::ZERO,
        }
    }

    /// Reads the host's counters and gives the time passed since the start.
    pub(crate) fn read(&mut self) -> Duration {
        let now = Instant::now();
        let wall = now - self.last;
        self.last = now;
        let waits = waits(self.process);
        // The thread that waited longest held the guest up.
        let held_up = waits
            .iter()
            .map(|(thread, waited)| {
                waited.saturating_sub(self.waited.get(thread).copied().unwrap_or_default())
            })
            .max()
            .unwrap_or_default();
        self.waited = waits;
        self.passed += wall.saturating_sub(held_up);
        self.passed
    }
}

/// How long each thread has waited for a CPU; empty where the kernel does not
/// count it, and the clock is then the host's.
fn waits(process: u32) -> HashMap<String, Duration> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return HashMap::new();
    };
    threads
        .flatten()
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let waited = parse(&text)?;
            Some((thread.file_name().to_string_lossy().into_owned(), waited))
        })
        .collect()
}

/// The second number of schedstat: nanoseconds spent waiting to run.
fn parse(text: &str) -> Option<Duration> {
    let nanoseconds = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    #[test]
    fn waiting_is_the_second_number() {
        assert_eq!(parse("384450 69049 3\n"), Some(Duration::from_nanos(69049)));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn sleep_counts() {
        let mut clock = Clock::new(std::process::id());
        clock.read();
        sleep(Duration::from_millis(30));
        assert!(clock.read() > Duration::ZERO);
    }
}
