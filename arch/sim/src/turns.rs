// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine without threads: its CPUs take turns.
//!
//! What one CPU does to another is for [`crate::machine`]. Here millions of
//! short lives are to be had quickly, and the same bytes must lead to the same
//! life: a fuzzer drives it.

use std::sync::Arc;

use crate::SimHypervisor;
use crate::cpu::Flaw;
use crate::cpu::Shared;
use crate::cpu::SimCpu;
use crate::guest::Act;
use crate::guest::Outcome;
use crate::setup::Setup;

/// CPUs, all of which began as guests.
#[derive(Debug)]
pub struct Turns {
    cpus: Vec<SimCpu>,
}

impl Turns {
    /// A machine of so many CPUs, attached and sealed.
    ///
    /// # Panics
    /// If the core refuses that.
    #[must_use]
    pub fn attached(setup: &Setup, cpus: u32) -> Self {
        let hypervisor = Arc::new(SimHypervisor::new());
        let memory = setup.prepare(&hypervisor).expect("a preparation");
        let shared = Shared {
            hypervisor,
            memory,
            shape: setup.shape,
        };
        let mut cpus: Vec<SimCpu> = (0..cpus)
            .map(|index| SimCpu::new(index, Flaw::None))
            .collect();
        for cpu in &mut cpus {
            cpu.enter(&shared, None).expect("an entry");
        }
        let inside = cpus.len() as u64;
        if let Some(first) = cpus.first_mut() {
            let seal = Act::Call(mercury_hal::call::BASE | 3, inside);
            assert!(
                matches!(first.run(&[seal])[..], [Outcome::Answered(status, _)]
                if status == mercury_hal::call::BASE)
            );
        }
        Self { cpus }
    }

    /// One act of one CPU.
    pub fn act(&mut self, cpu: usize, act: Act) -> Outcome {
        self.cpus[cpu].act(act)
    }

    /// Whether a CPU is a guest.
    #[must_use]
    pub fn is_guest(&self, cpu: usize) -> bool {
        self.cpus[cpu].is_guest()
    }

    /// Registers of a CPU that are not what its program believes.
    #[must_use]
    pub fn strangers(&self, cpu: usize) -> Vec<usize> {
        self.cpus[cpu].strangers()
    }
}
