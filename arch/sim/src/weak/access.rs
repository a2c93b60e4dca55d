// SPDX-License-Identifier: MIT OR Apache-2.0
//! What programs and the kernel do on the machine, and whether what they find
//! is right: the judge of everything else.

use mercury_hal::paging::Access;

use super::machine::Machine;
use super::tlb::Found;
use super::walk::First;
use super::walk::Step;
use super::walk::Walk;

/// Where a program's access goes; nowhere if it faults.
pub type Place = Option<(u64, Access)>;

impl Machine {
    /// An instruction fetch with the MMU off: past the caches.
    #[must_use]
    pub fn fetch_past_caches(&self, address: u64) -> Option<u64> {
        self.memory.behind(address)
    }

    /// An instruction fetch through the caches.
    pub fn fetch(&mut self, cpu: usize, address: u64) -> Option<u64> {
        let found = self.memory.cached(address)?;
        if self.fetches_coherently {
            return Some(found);
        }
        Some(*self.cpus[cpu].instructions.entry(address).or_insert(found))
    }

    /// IC IVAU for all of it, complete. Where instruction caches look for
    /// themselves there is nothing to do but to wait for stores.
    pub fn forget_instructions(&mut self, cpu: usize, from: u64, to: u64) {
        self.disturb();
        self.drain(cpu);
        if self.fetches_coherently {
            return;
        }
        for cpu in &mut self.cpus {
            cpu.instructions.retain(|at, _| !(from..to).contains(at));
        }
    }

    /// The kernel on a CPU maps a page of its own elsewhere, and makes all CPUs
    /// forget the old place, as it always does: for its own VMID.
    pub fn remap(&mut self, cpu: usize, page: u64, to: u64) {
        self.drain(cpu);
        self.aliases.insert(page, to);
        let vmid = (self.bits.vmid)(self.cpus[cpu].in_force.vttbr);
        for cpu in &mut self.cpus {
            cpu.tlb.forget_one(vmid, page);
            cpu.walks
                .retain(|walk| walk.address() != page || !walk.concerns(vmid, &self.bits));
        }
    }

    /// A program's access. What comes of it must be allowed.
    pub fn touch(&mut self, cpu: usize, address: u64) -> Place {
        let vmid = (self.bits.vmid)(self.cpus[cpu].in_force.vttbr);
        let found = self.cpus[cpu].tlb.find(vmid, address, &mut self.chance);
        let place = match found {
            Found::One(one) => Some(one.of(address)),
            Found::Conflict(one, other) => {
                self.accuse(|| format!("TLB conflict on CPU {cpu}: {one:x?} and {other:x?}"));
                return None;
            }
            Found::Nothing => {
                let walk = Walk::new(address, self.first(address));
                self.finish(cpu, walk)
            }
        };
        self.judge(cpu, address, place);
        place
    }

    fn judge(&mut self, cpu: usize, address: u64, place: Place) {
        let first = self.first(address);
        let page = first.target + (address - first.start);
        let own = vec![Some((page, Access::All))];
        let guest = (self.bits.stage2)(self.cpus[cpu].in_force.hcr);
        let may = if guest {
            self.may.get(&page).unwrap_or(&own)
        } else {
            &own
        };
        let late = self.cpus.iter().any(|cpu| !cpu.stores.is_empty());
        let waits = guest && place.is_none() && (self.changing || late);
        if !waits && !may.contains(&place) {
            let may = may.clone();
            self.accuse(|| {
                format!("CPU {cpu} (guest: {guest}) finds {address:#x} at {place:x?}, not {may:x?}")
            });
        }
    }

    /// What the guest's own tables say.
    pub(super) fn first(&self, address: u64) -> First {
        let (bytes, target) = match self.aliases.get(&address) {
            Some(target) => (4096, *target),
            None => (1 << 30, address >> 30 << 30),
        };
        let start = address & !(bytes - 1);
        First {
            start,
            bytes,
            target,
        }
    }

    fn finish(&mut self, cpu: usize, mut walk: Walk) -> Place {
        loop {
            let registers = self.cpus[cpu].in_force;
            match walk.step(&self.bits, &registers, &self.memory, &mut self.chance) {
                Step::More => {}
                Step::Nothing => return None,
                Step::Found(one) => {
                    self.cpus[cpu].tlb.keep(one);
                    let offset = walk.address() - one.start;
                    return Some((one.target + offset, one.access));
                }
                Step::Astray(place) => {
                    self.accuse(|| format!("CPU {cpu} reads a descriptor at {place:#x}"));
                    return None;
                }
            }
        }
    }
}
