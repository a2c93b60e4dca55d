// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a CPU is doing in the image: one word that says how it can be freed if
//! the image dies on it.
//!
//! An exception or a panic of the image may come at any instruction. What can be
//! saved then depends on how far the CPU had come: a call through the door
//! returns with an error, an exit of the guest is taken back as if it had not
//! been, so that the instruction runs again natively. For that the guest's state
//! must be what it was at the exit. It is: a handler asks, looks and records
//! first, then says [`Life::Settling`], and only then changes registers, by plain
//! stores, after which nothing is left to do. A death between the first of these
//! stores and the guest's entry is not survived; it would take a plain store that
//! faults.
//!
//! Only the CPU itself writes its word, and whoever reads it is an exception on
//! the same CPU: the compiler must keep the order, the hardware does.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use core::sync::atomic::compiler_fence;

/// How far a CPU has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Life {
    /// Its guest runs, or it has not begun: nothing to go back to is known.
    Outside = 0,
    /// In a call through the door; nothing of the CPU has changed.
    Called = 1,
    /// In a call that makes it a guest, and registers of the host's side have
    /// changed.
    Entering = 2,
    /// In an exit, and the guest is as it was at the exit.
    Exited = 3,
    /// In an exit, and the guest is being changed.
    Settling = 4,
    /// On its way out, or dying.
    Leaving = 5,
}

/// One CPU's word.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct LifeWord(AtomicU64);

impl LifeWord {
    /// Outside.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// What it is now.
    pub fn now(&self) -> Life {
        match self.0.load(Ordering::Relaxed) {
            0 => Life::Outside,
            1 => Life::Called,
            2 => Life::Entering,
            3 => Life::Exited,
            4 => Life::Settling,
            // Whatever else it might be: nothing is sound.
            _ => Life::Leaving,
        }
    }

    /// From here on it is this.
    #[inline]
    pub fn set(&self, life: Life) {
        compiler_fence(Ordering::SeqCst);
        self.0.store(life as u64, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// The image dies here. Returns what it was; the second time that is
    /// [`Life::Leaving`].
    pub fn end(&self) -> Life {
        let was = self.now();
        self.set(Life::Leaving);
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_comes_back_and_a_second_death_is_known() {
        let word = LifeWord::new();
        assert_eq!(word.now(), Life::Outside);
        for life in [
            Life::Outside,
            Life::Called,
            Life::Entering,
            Life::Exited,
            Life::Settling,
        ] {
            word.set(life);
            assert_eq!(word.now(), life);
            assert_eq!(word.end(), life);
            assert_eq!(word.end(), Life::Leaving);
        }
    }
}
