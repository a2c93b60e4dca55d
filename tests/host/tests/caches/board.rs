// SPDX-License-Identifier: MIT OR Apache-2.0
//! The weak machine as a CPU at EL2: what [`mercury_aarch64::el2::El2`] names,
//! but for what is to be left out or done wrong.
//!
//! An instruction is known by the line of the product that it stands in, which
//! the compiler tells (`track_caller`): nobody has to number them.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::rc::Rc;

use mercury_aarch64::el2::El2;
use mercury_aarch64::frames::Words;
use mercury_sim::weak::cpu::Register;
use mercury_sim::weak::machine::Machine;
use mercury_sim::weak::machine::Reach;
use mercury_sim::weak::machine::Waits;

use crate::rig::LENT;

/// An instruction of the product: line, file, what it is.
pub(crate) type Site = (u32, &'static str, &'static str);

/// What is left out or done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Nothing.
    None,
    /// The instruction at this place.
    Without(Site),
    /// Guests get a VMID of their own.
    OtherVmid,
    /// Invalidations reach one CPU.
    NotBroadcast,
    /// Walks go past the caches.
    UncachedWalks,
}

/// The machine, who is at work on it, and what is wrong with them.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) machine: Rc<RefCell<Machine>>,
    current: Rc<Cell<usize>>,
    mutant: Mutant,
    /// Barriers, invalidations and cleans that were come by.
    pub(crate) sites: Rc<RefCell<BTreeSet<Site>>>,
}

impl Board {
    /// CPU 0 of this machine.
    pub(crate) fn new(machine: Machine, mutant: Mutant) -> Self {
        Self {
            machine: Rc::new(RefCell::new(machine)),
            current: Rc::default(),
            mutant,
            sites: Rc::default(),
        }
    }

    /// Another CPU goes on.
    pub(crate) fn switch_to(&self, cpu: usize) {
        self.current.set(cpu);
    }

    fn here(&self) -> (std::cell::RefMut<'_, Machine>, usize) {
        (self.machine.borrow_mut(), self.current.get())
    }

    /// Whether an instruction of this name in that line is carried out.
    fn has(&self, name: &'static str, place: &'static Location<'static>) -> bool {
        let site = (place.line(), place.file(), name);
        self.sites.borrow_mut().insert(site);
        self.mutant != Mutant::Without(site)
    }
}

impl El2 for Board {
    fn set_vtcr(&self, value: u64) {
        let (mut machine, cpu) = self.here();
        let uncached = self.mutant == Mutant::UncachedWalks;
        let value = if uncached { value & !0xf00 } else { value };
        machine.set(cpu, Register::Vtcr, value);
    }
    fn set_vttbr(&self, value: u64) {
        let (mut machine, cpu) = self.here();
        let other = u64::from(self.mutant == Mutant::OtherVmid) << 50;
        machine.set(cpu, Register::Vttbr, value ^ other);
    }
    fn set_hcr(&self, value: u64) {
        let (mut machine, cpu) = self.here();
        machine.set(cpu, Register::Hcr, value);
    }
    #[track_caller]
    fn isb(&self) {
        if self.has("isb", Location::caller()) {
            let (mut machine, cpu) = self.here();
            machine.isb(cpu);
        }
    }
    #[track_caller]
    fn dsb_nsh(&self) {
        if self.has("dsb nsh", Location::caller()) {
            let (mut machine, cpu) = self.here();
            machine.dsb(cpu, Reach::Own, Waits::Everything);
        }
    }
    #[track_caller]
    fn dsb_ish(&self) {
        if self.has("dsb ish", Location::caller()) {
            let (mut machine, cpu) = self.here();
            machine.dsb(cpu, Reach::All, Waits::Everything);
        }
    }
    #[track_caller]
    fn dsb_ishst(&self) {
        if self.has("dsb ishst", Location::caller()) {
            let (mut machine, cpu) = self.here();
            machine.dsb(cpu, Reach::All, Waits::Stores);
        }
    }
    #[track_caller]
    fn dmb_ishst(&self) {
        if self.has("dmb ishst", Location::caller()) {
            let (mut machine, cpu) = self.here();
            machine.dmb(cpu);
        }
    }
    #[track_caller]
    fn tlbi_vmalls12e1(&self) {
        if self.has("tlbi vmalls12e1", Location::caller()) {
            let (mut machine, cpu) = self.here();
            machine.tlbi(cpu, Reach::Own);
        }
    }
    #[track_caller]
    fn tlbi_vmalls12e1is(&self) {
        if self.has("tlbi vmalls12e1is", Location::caller()) {
            let (mut machine, cpu) = self.here();
            let alone = self.mutant == Mutant::NotBroadcast;
            machine.tlbi(cpu, if alone { Reach::Own } else { Reach::All });
        }
    }
}

impl Words for Board {
    fn load(&self, frame: u64, index: usize) -> u64 {
        let (machine, cpu) = self.here();
        machine.load(cpu, address(frame, index)).unwrap()
    }
    fn store(&mut self, frame: u64, index: usize, value: u64) {
        let (mut machine, cpu) = self.here();
        machine.store(cpu, address(frame, index), value);
    }
}

fn address(frame: u64, index: usize) -> u64 {
    LENT + frame * 4096 + index as u64 * 8
}
