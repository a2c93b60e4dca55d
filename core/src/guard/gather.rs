// SPDX-License-Identifier: MIT OR Apache-2.0
//! How all CPUs come out of their guests for a roll-back.
//!
//! Whoever wants it calls ([`Gather::call`]) and then knocks at every other CPU in the
//! architecture's own way (on x86 an NMI). A CPU that comes out parks
//! ([`Gather::park`]) and waits for the verdict. One of them, the leader, goes on when
//! all are there:
//!
//! ```text
//! Nobody --call--> Called --cancel--> Cancelled --the last to go--> Nobody
//!                         --dismiss-> Dismissed --over-> Nobody
//! ```
//!
//! Cancelled means that nothing was changed and every CPU goes on with its guest.
//! Dismissed means that all memory is about to be another: no CPU but the leader has
//! a guest any more. State and head count are one word, as in [`crate::phase`].

use super::super::sync::AtomicU64;
use super::super::sync::Ordering;

/// What becomes of a CPU that parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It waits.
    Wait,
    /// Its guest goes on.
    GoOn,
    /// Its guest is gone: it switches itself off.
    Gone,
}

const STATE: u64 = 3;
const NOBODY: u64 = 0;
const CALLED: u64 = 1;
const CANCELLED: u64 = 2;
const DISMISSED: u64 = 3;
const ONE: u64 = 1 << 32;

const fn parked(word: u64) -> u64 {
    word / ONE
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Gather {
    word: AtomicU64,
}

impl Default for Gather {
    fn default() -> Self {
        Self::new()
    }
}

impl Gather {
    /// Nobody is called.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            word: AtomicU64::new(NOBODY),
        }
    }

    /// Calls all CPUs; `false`: somebody else has, or an earlier call is not over yet.
    pub fn call(&self) -> bool {
        self.word
            .compare_exchange(NOBODY, CALLED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Whether all CPUs are to come out.
    #[inline]
    pub fn is_called(&self) -> bool {
        self.word.load(Ordering::Acquire) & STATE == CALLED
    }

    fn step(&self, next: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let new = next(word)?;
            match self
                .word
                .compare_exchange(word, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(new),
                Err(now) => word = now,
            }
        }
    }

    /// A CPU is out, and its guest's state is written down. `false`: it came too late,
    /// and was not counted.
    pub fn park(&self) -> bool {
        self.step(|word| (word & STATE == CALLED).then_some(word + ONE))
            .is_some()
    }

    /// What becomes of a CPU that parked. One that may go on is no longer counted.
    pub fn verdict(&self) -> Verdict {
        let word = self.word.load(Ordering::Acquire);
        match word & STATE {
            DISMISSED => Verdict::Gone,
            CANCELLED => {
                self.step(|word| {
                    Some(match parked(word) {
                        0 | 1 => NOBODY,
                        _ => word - ONE,
                    })
                });
                Verdict::GoOn
            }
            _ => Verdict::Wait,
        }
    }

    /// How many are parked.
    pub fn parked(&self) -> u64 {
        parked(self.word.load(Ordering::Acquire))
    }

    /// The leader gives up: everybody goes on.
    pub fn cancel(&self) {
        self.step(|word| {
            Some(match parked(word) {
                0 => NOBODY,
                _ => word & !STATE | CANCELLED,
            })
        });
    }

    /// The leader will go back: nobody else goes on.
    pub fn dismiss(&self) {
        self.step(|word| Some(word & !STATE | DISMISSED));
    }

    /// A CPU that was dismissed has switched itself off, or is about to with nothing
    /// of its own left to do.
    pub fn gone(&self) {
        self.step(|word| Some(word.saturating_sub(ONE) & !STATE | DISMISSED));
    }

    /// All that parked are gone.
    pub fn over(&self) {
        self.word.store(NOBODY, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_at_a_time_and_late_comers_are_not_counted() {
        let gather = Gather::new();
        assert!(!gather.park());
        assert!(gather.call());
        assert!(!gather.call());
        assert!(gather.park() && gather.park());
        assert_eq!(gather.parked(), 2);
        assert_eq!(gather.verdict(), Verdict::Wait);
        gather.cancel();
        assert!(!gather.park());
        assert_eq!(gather.verdict(), Verdict::GoOn);
        assert!(!gather.call(), "one has not heard yet");
        assert_eq!(gather.verdict(), Verdict::GoOn);
        assert!(gather.call());
        assert!(gather.park());
        gather.dismiss();
        assert_eq!(gather.verdict(), Verdict::Gone);
        gather.gone();
        assert_eq!(gather.parked(), 0);
        assert!(!gather.is_called());
        gather.over();
        assert!(gather.call());
        gather.cancel();
        assert!(gather.call(), "nobody had come");
    }
}
