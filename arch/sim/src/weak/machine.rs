// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPUs, what they have in common, and what can be done to them.
//!
//! Everything that the code under test does is one call here, and before each
//! the machine does something of its own ([`super::unrest`]). What programs do
//! on it is in [`super::access`].

use std::collections::BTreeMap;

use super::Bits;
use super::access::Place;
use super::chance::Chance;
use super::cpu::Cpu;
use super::cpu::Order;
use super::cpu::Register;
use super::memory::LINE;
use super::memory::Memory;
use super::unrest::Mood;
use super::walk::Step;

/// How far a barrier or an invalidation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This CPU.
    Own,
    /// All of them.
    All,
}

/// What a barrier waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Stores.
    Stores,
    /// Those, walks and maintenance.
    Everything,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    pub(super) bits: Bits,
    pub(super) chance: Chance,
    pub(super) mood: Mood,
    pub(super) cpus: Vec<Cpu>,
    pub(super) memory: Memory,
    /// The guest's own tables: pages that do not lie where they are mapped.
    pub(super) aliases: BTreeMap<u64, u64>,
    /// Addresses that programs touch and CPUs walk.
    pub watched: Vec<u64>,
    /// Where a guest's access to a page may go; its own place if not named.
    pub may: BTreeMap<u64, Vec<Place>>,
    /// Somebody is changing the map: who faults meanwhile waits at its lock.
    pub changing: bool,
    /// Instruction caches look for themselves whether memory changed.
    pub fetches_coherently: bool,
    /// The first thing that must not be.
    pub wrong: Option<String>,
}

impl Machine {
    /// A machine after reset: registers as given, nothing cached.
    #[must_use]
    pub fn new(cpus: usize, bits: Bits, memory: Memory, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        Self {
            bits,
            mood: Mood::new(&mut chance),
            fetches_coherently: chance.one_in(2),
            chance,
            cpus: vec![Cpu::default(); cpus],
            memory,
            aliases: BTreeMap::new(),
            watched: Vec::new(),
            may: BTreeMap::new(),
            changing: false,
            wrong: None,
        }
    }

    /// CPUs.
    #[must_use]
    pub fn cpu(&self, cpu: usize) -> &Cpu {
        &self.cpus[cpu]
    }

    /// The same, to set one up.
    pub fn cpu_mut(&mut self, cpu: usize) -> &mut Cpu {
        &mut self.cpus[cpu]
    }

    /// Notes what must not be, if it is the first.
    pub fn accuse(&mut self, what: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            self.wrong = Some(what());
        }
    }

    /// An exception takes a CPU to EL2. What others stored there before they
    /// let go of a lock is seen by who takes it next.
    pub fn trap(&mut self, cpu: usize) {
        self.disturb();
        let one = &mut self.cpus[cpu];
        one.synchronize(&mut self.chance);
        one.at_el2 = true;
        for other in (0..self.cpus.len()).filter(|other| *other != cpu) {
            self.drain(other);
        }
    }

    /// An ERET.
    pub fn eret(&mut self, cpu: usize) {
        self.disturb();
        let one = &mut self.cpus[cpu];
        one.synchronize(&mut self.chance);
        one.at_el2 = false;
        self.disturb();
    }

    /// A store.
    pub fn store(&mut self, cpu: usize, address: u64, value: u64) {
        self.disturb();
        if self.mood.is_calm() {
            self.drain(cpu);
            self.memory.store(address, value);
            return;
        }
        if self.cpus[cpu].stores.is_full() {
            self.leave(cpu);
        }
        self.cpus[cpu].stores.push(address, value);
    }

    /// A load.
    #[must_use]
    pub fn load(&self, cpu: usize, address: u64) -> Option<u64> {
        let own = self.cpus[cpu].stores.newest(address);
        own.or_else(|| self.memory.cached(address))
    }

    /// A write of a register.
    pub fn set(&mut self, cpu: usize, register: Register, value: u64) {
        self.disturb();
        self.cpus[cpu].written.push((register, value));
    }

    /// ISB.
    pub fn isb(&mut self, cpu: usize) {
        self.disturb();
        self.cpus[cpu].synchronize(&mut self.chance);
    }

    /// DMB ST.
    pub fn dmb(&mut self, cpu: usize) {
        self.disturb();
        self.cpus[cpu].stores.barrier();
    }

    /// DSB.
    pub fn dsb(&mut self, cpu: usize, reach: Reach, waits: Waits) {
        self.disturb();
        while !self.cpus[cpu].stores.is_empty() {
            self.leave(cpu);
            self.disturb();
        }
        if waits == Waits::Stores {
            return;
        }
        while !self.cpus[cpu].walks.is_empty() {
            self.go_on(cpu, 0);
        }
        for line in std::mem::take(&mut self.cpus[cpu].cleaning) {
            self.clean_now(cpu, line);
        }
        for other in 0..self.cpus.len() {
            if other == cpu || reach == Reach::All {
                self.obey(other, |order| order.from == cpu);
            }
        }
    }

    /// TLBI VMALLS12E1, with or without IS.
    pub fn tlbi(&mut self, cpu: usize, reach: Reach) {
        self.disturb();
        let vmid = (self.bits.vmid)(self.cpus[cpu].in_force.vttbr);
        let order = Order { from: cpu, vmid };
        for other in 0..self.cpus.len() {
            if other == cpu || reach == Reach::All {
                self.cpus[other].orders.push(order);
            }
        }
    }

    /// DC CIVAC: begins.
    pub fn clean(&mut self, cpu: usize, address: u64) {
        self.disturb();
        self.cpus[cpu].cleaning.push(address & !(LINE - 1));
    }

    /// A walk that is under way makes a step.
    pub(super) fn go_on(&mut self, cpu: usize, number: usize) {
        let one = &mut self.cpus[cpu];
        let Some(walk) = one.walks.get_mut(number) else {
            return;
        };
        let step = walk.step(&self.bits, &one.in_force, &self.memory, &mut self.chance);
        if step == Step::More {
            return;
        }
        one.walks.swap_remove(number);
        match step {
            Step::Found(found) => one.tlb.keep(found),
            Step::Astray(place) => {
                self.accuse(|| format!("a walk of CPU {cpu} reads a descriptor at {place:#x}"));
            }
            Step::More | Step::Nothing => {}
        }
    }

    /// Some store arrives.
    pub(super) fn leave(&mut self, cpu: usize) {
        if let Some((address, value)) = self.cpus[cpu].stores.leave(&mut self.chance) {
            self.memory.store(address, value);
        }
    }

    /// All stores do.
    pub(super) fn drain(&mut self, cpu: usize) {
        while !self.cpus[cpu].stores.is_empty() {
            self.leave(cpu);
        }
    }

    /// A line that was to be cleaned is. Earlier stores to it come first.
    pub(super) fn clean_now(&mut self, cpu: usize, line: u64) {
        self.drain(cpu);
        self.memory.clean(line);
    }

    /// A CPU carries some invalidations out: what it knows of that VMID is
    /// gone, what it is just finding out too.
    pub(super) fn obey(&mut self, cpu: usize, which: impl Fn(&Order) -> bool) {
        let one = &mut self.cpus[cpu];
        for order in one.orders.extract_if(.., |order| which(order)) {
            one.tlb.forget(order.vmid);
            one.walks
                .retain(|walk| !walk.concerns(order.vmid, &self.bits));
        }
    }
}
