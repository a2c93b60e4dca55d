// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time, as far as the sim has any: each look at the clock is a step.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use mercury_hal::clock::Clock;

/// A counter that goes on by one whenever somebody looks.
#[derive(Debug)]
pub struct Steps;

impl Clock for Steps {
    fn ticks() -> u64 {
        static NOW: AtomicU64 = AtomicU64::new(0);
        NOW.fetch_add(1, Ordering::Relaxed)
    }
}
