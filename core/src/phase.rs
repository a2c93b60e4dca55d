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

use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;

use mercury_hal::error::Error;

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

/// Phase and head count of the machine.
#[derive(Debug)]
pub struct Progress {
    phase: AtomicU32,
    inside: AtomicU32,
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
            phase: AtomicU32::new(Phase::Empty as u32),
            inside: AtomicU32::new(0),
            entries: AtomicU64::new(0),
        }
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            1 => Phase::Preparing,
            2 => Phase::Ready,
            3 => Phase::Sealed,
            _ => Phase::Empty,
        }
    }

    /// How many CPUs are guests.
    pub fn inside(&self) -> u32 {
        self.inside.load(Ordering::Acquire)
    }

    /// How many entries there have been since the preparation.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    fn step(&self, from: Phase, to: Phase) -> Result<(), Error> {
        self.phase
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(|_| Error::WrongPhase)
    }

    /// Preparation begins, from any phase in which nobody is in.
    ///
    /// # Errors
    /// [`Error::WrongPhase`] if somebody is.
    pub fn begin(&self) -> Result<(), Error> {
        if self.inside() != 0 {
            return Err(Error::WrongPhase);
        }
        self.phase.store(Phase::Preparing as u32, Ordering::Release);
        self.entries.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Preparation is over.
    ///
    /// # Errors
    /// [`Error::WrongPhase`] unless preparing.
    pub fn ready(&self) -> Result<(), Error> {
        self.step(Phase::Preparing, Phase::Ready)
    }

    /// A CPU is about to enter. Counted as in until [`Self::left`].
    ///
    /// # Errors
    /// [`Error::WrongPhase`] before the preparation is over.
    pub fn entering(&self) -> Result<(), Error> {
        match self.phase() {
            Phase::Ready | Phase::Sealed => {
                self.inside.fetch_add(1, Ordering::AcqRel);
                self.entries.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Phase::Empty | Phase::Preparing => Err(Error::WrongPhase),
        }
    }

    /// A CPU is native again, or never got in. Returns how many are still in;
    /// the last one to leave takes the seal off.
    pub fn left(&self) -> u32 {
        let before = self.inside.fetch_sub(1, Ordering::AcqRel);
        if before == 1 {
            // Nobody else can change the phase: all who could are out.
            let _ = self.step(Phase::Sealed, Phase::Ready);
        }
        before.saturating_sub(1)
    }

    /// The commit. `announced` is how many CPUs the module counted online.
    ///
    /// # Errors
    /// [`Error::NotAllIn`] if that is not how many are in,
    /// [`Error::WrongPhase`] if there is nothing to seal.
    pub fn seal(&self, announced: u32) -> Result<(), Error> {
        if self.inside() != announced {
            return Err(Error::NotAllIn);
        }
        self.step(Phase::Ready, Phase::Sealed)
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
