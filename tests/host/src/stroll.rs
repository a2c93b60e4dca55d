// SPDX-License-Identifier: MIT OR Apache-2.0
//! The walk's other end on the simulated machine: what `switch.c` does for
//! the real one, with one failure at a chosen place.

use mercury_hal::error::Error;
use mercury_sim::cpu::EntryFailure;
use mercury_sim::machine::Machine;

use crate::walk::Walk;

/// Number of the detach hypercall.
pub const DETACH: u64 = 2;
/// Number of the seal hypercall.
pub const SEAL: u64 = 3;
const EIO: i32 = 5;
const ENXIO: i32 = 6;
const ETIMEDOUT: i32 = 110;

/// What goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This CPU's entry.
    Entry(i32, EntryFailure),
    /// A signal is found before this CPU goes in.
    Signal(i32),
    /// This CPU has left by itself when the seal is asked for.
    Missing(i32),
    /// The module itself refuses the seal.
    Seal,
}

impl Failure {
    /// Every failure of a machine with these CPUs online.
    #[must_use]
    pub fn all(online: &[i32]) -> Vec<Self> {
        let mut all = vec![Self::Seal];
        for &cpu in online {
            all.extend(EntryFailure::ALL.map(|failure| Self::Entry(cpu, failure)));
            all.extend([Self::Signal(cpu), Self::Missing(cpu)]);
        }
        all
    }
}

/// A walk over the online CPUs of a machine.
#[derive(Debug)]
pub struct Stroll<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// CPUs that are online, ascending.
    pub online: Vec<i32>,
    /// What goes wrong.
    pub failure: Option<Failure>,
    /// A CPU that cannot be taken out again.
    pub stuck: Option<i32>,
    /// CPU that would enter next; a signal is looked for in between.
    coming: i32,
    /// The image's error of the entry that failed.
    pub refusal: Option<Error>,
    /// CPUs that were taken out by the undo, in order.
    pub undone: Vec<i32>,
}

impl<'a> Stroll<'a> {
    /// A walk over all CPUs of the machine.
    #[must_use]
    pub fn over(machine: &'a Machine, failure: Option<Failure>) -> Self {
        Self {
            machine,
            online: (0..).take(machine.cpus()).collect(),
            failure,
            stuck: None,
            coming: -1,
            refusal: None,
            undone: Vec::new(),
        }
    }

    fn call(&self, cpu: i32, number: u64, argument: u64) -> i32 {
        match self.machine.call(cpu as usize, number, argument) {
            Ok(_) => 0,
            Err(_) => ENXIO,
        }
    }
}

impl Walk for Stroll<'_> {
    fn next(&mut self, cpu: i32) -> i32 {
        let next = self.online.iter().find(|online| **online > cpu);
        self.coming = next.copied().unwrap_or(-1);
        self.coming
    }

    fn enter(&mut self, cpu: i32) -> i32 {
        let failure = match self.failure {
            Some(Failure::Entry(at, failure)) if at == cpu => Some(failure),
            _ => None,
        };
        match self.machine.enter(cpu as usize, failure) {
            Ok(()) => 0,
            Err(None) => ETIMEDOUT,
            Err(Some(error)) => {
                self.refusal = Some(error);
                EIO
            }
        }
    }

    fn leave(&mut self, cpu: i32) -> i32 {
        if self.stuck == Some(cpu) {
            return ETIMEDOUT;
        }
        self.undone.push(cpu);
        match self.call(cpu, DETACH, 0) {
            ENXIO => 0,
            error => error,
        }
    }

    fn seal(&mut self, count: i32) -> i32 {
        match self.failure {
            Some(Failure::Seal) => return EIO,
            Some(Failure::Missing(cpu)) => assert_eq!(self.call(cpu, DETACH, 0), 0),
            _ => {}
        }
        let first = self.online.first().copied().unwrap_or(0);
        self.call(first, SEAL, count as u64)
    }

    fn interrupted(&mut self) -> bool {
        self.failure == Some(Failure::Signal(self.coming))
    }
}
