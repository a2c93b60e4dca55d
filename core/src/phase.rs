// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is in, and how far the switch has come.
//!
//! ```text
//! Empty --prepare--> Preparing --punch--> Ready --enter (each CPU)--> Ready
//!   Ready --seal, when as many are in as the module says--> Sealed
//!   Ready or Sealed --leave, the last CPU--> Ready (preparation stays good)
//! ```
//!
//! Before the seal a CPU that cannot enter goes on natively and the module
//! takes the others out again. After the seal CPUs still come and go one by
//! one (hot-plug), each for itself. The image never waits for another CPU:
//! order and deadlines are the module's, what is allowed when is ours.
//!
//! Phase and head count are one word, so that each of these steps is one
//! compare-and-swap. In two words the last CPU out could take the seal off
//! just when a CPU that comes up has gone in, and a preparation could begin
//! between an entry's look at the phase and its being counted.

use mercury_hal::error::Error;

use super::sync::AtomicU64;
use super::sync::Ordering;

/// How far the switch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Nothing is prepared.
    Empty = 0,
    /// Ranges may be mapped.
    Preparing = 1,
    /// CPUs may enter; what was begun can still be undone.
    Ready = 2,
    /// All CPUs are in.
    Sealed = 3,
}

impl Phase {
    const fn of(state: u64) -> Self {
        match state & PHASE {
            1 => Self::Preparing,
            2 => Self::Ready,
            3 => Self::Sealed,
            _ => Self::Empty,
        }
    }
}

/// The state word: the phase in its lower half, who is in in its upper half.
const PHASE: u64 = 0xffff_ffff;
const ONE_INSIDE: u64 = 1 << 32;

const fn inside(state: u64) -> u32 {
    (state >> 32) as u32
}

/// Phase and head count of the machine.
#[derive(Debug)]
pub struct Progress {
    state: AtomicU64,
    entries: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Nothing prepared, nobody in.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: AtomicU64::new(Phase::Empty as u64),
            entries: AtomicU64::new(0),
        }
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        Phase::of(self.state.load(Ordering::Acquire))
    }

    /// How many CPUs are guests.
    pub fn inside(&self) -> u32 {
        inside(self.state.load(Ordering::Acquire))
    }

    /// How many entries there have been since the preparation.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Replaces the state by what `next` makes of it, in one step. Returns what
    /// it was.
    fn step(&self, next: impl Fn(u64) -> Result<u64, Error>) -> Result<u64, Error> {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            if cfg!(feature = "planted-step-torn") {
                self.state.store(next(state)?, Ordering::Release);
                return Ok(state);
            }
            match self.state.compare_exchange(
                state,
                next(state)?,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(before) => return Ok(before),
                // Somebody else made a step: the next round counts with it.
                Err(now) => state = now,
            }
        }
    }

    /// Preparation begins, from any phase in which nobody is in.
    ///
    /// # Errors
    /// [`Error::WrongPhase`] if somebody is.
    pub fn begin(&self) -> Result<(), Error> {
        self.step(|state| match inside(state) {
            0 => Ok(Phase::Preparing as u64),
            _ if cfg!(feature = "planted-prepare-while-in") => Ok(Phase::Preparing as u64),
            _ => Err(Error::WrongPhase),
        })?;
        self.entries.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Preparation is over.
    ///
    /// # Errors
    /// [`Error::WrongPhase`] unless preparing.
    pub fn ready(&self) -> Result<(), Error> {
        self.step(|state| match Phase::of(state) {
            Phase::Preparing => Ok(Phase::Ready as u64),
            _ => Err(Error::WrongPhase),
        })?;
        Ok(())
    }

    /// A CPU is about to enter. Counted as in until [`Self::left`].
    ///
    /// # Errors
    /// [`Error::WrongPhase`] before the preparation is over.
    pub fn entering(&self) -> Result<(), Error> {
        self.step(|state| match Phase::of(state) {
            Phase::Ready | Phase::Sealed => Ok(state + ONE_INSIDE),
            Phase::Empty | Phase::Preparing => Err(Error::WrongPhase),
        })?;
        self.entries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A CPU is native again, or never got in. Returns how many are still in;
    /// the last one to leave takes the seal off.
    pub fn left(&self) -> u32 {
        let before = self.step(|state| match inside(state) {
            0 => Err(Error::WrongPhase),
            1 => Ok(Phase::Ready as u64),
            _ => Ok(state - ONE_INSIDE),
        });
        // Nobody leaves who is not in; if it happened, it would change nothing.
        before.map_or(0, |state| inside(state) - 1)
    }

    /// All but one are gone, without having left: the machine was rolled back.
    pub fn recall(&self) {
        // It never fails.
        let _ = self.step(|state| Ok(state & PHASE | ONE_INSIDE));
    }

    /// The commit. `announced` is how many CPUs the module counted online.
    ///
    /// # Errors
    /// [`Error::NotAllIn`] if that is not how many are in,
    /// [`Error::WrongPhase`] if there is nothing to seal.
    pub fn seal(&self, announced: u32) -> Result<(), Error> {
        self.step(|state| {
            if inside(state) != announced && !cfg!(feature = "planted-seal-early") {
                Err(Error::NotAllIn)
            } else if Phase::of(state) != Phase::Ready || announced == 0 {
                Err(Error::WrongPhase)
            } else {
                Ok(state & !PHASE | Phase::Sealed as u64)
            }
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seal_wants_every_cpu_and_comes_once() {
        let progress = Progress::new();
        assert_eq!(progress.entering(), Err(Error::WrongPhase));
        progress.begin().unwrap();
        assert_eq!(progress.entering(), Err(Error::WrongPhase));
        progress.ready().unwrap();
        progress.entering().unwrap();
        assert_eq!(progress.seal(2), Err(Error::NotAllIn));
        assert_eq!(progress.begin(), Err(Error::WrongPhase));
        progress.entering().unwrap();
        progress.seal(2).unwrap();
        assert_eq!(progress.seal(2), Err(Error::WrongPhase));
        assert_eq!(progress.left(), 1);
        assert_eq!(progress.phase(), Phase::Sealed);
        assert_eq!(progress.left(), 0);
        assert_eq!(progress.phase(), Phase::Ready);
        progress.begin().unwrap();
    }
}
