// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a CPU must forget what it has cached of the nested map.
//!
//! Whoever changes a present entry holds the map's lock, and publishes the map's
//! new generation when the change is in memory. A CPU looks at each exit, the last
//! thing before its guest goes on: if the generation is not the one that it saw
//! last, it flushes, and then finds the change.

use super::sync::AtomicU64;
use super::sync::Ordering;

/// The generation that CPUs must have seen.
#[derive(Debug)]
pub struct Generation {
    now: AtomicU64,
}

impl Default for Generation {
    fn default() -> Self {
        Self::new()
    }
}

impl Generation {
    /// That of a map that nothing has changed in.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            now: AtomicU64::new(0),
        }
    }

    /// The map is in this generation, and what led to it is in memory.
    pub fn publish(&self, generation: u64) {
        let order = if cfg!(feature = "planted-generation-early") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.now.store(generation, order);
    }

    /// The one that holds now, for a CPU that has nothing cached.
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// Where it is, for a CPU's world switch that compares it itself: a plain load
    /// is enough where loads are not passed by later ones, as on x86.
    pub fn address(&self) -> u64 {
        &raw const self.now as u64
    }

    /// Whether a CPU that saw `seen` last must flush. It has seen it then.
    pub fn is_stale(&self, seen: &mut u64) -> bool {
        let now = self.now();
        let stale = *seen != now;
        *seen = now;
        stale
    }
}
