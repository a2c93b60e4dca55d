// SPDX-License-Identifier: MIT OR Apache-2.0
//! A walk, one step at a time.
//!
//! It reads whether there is a second stage, and where that begins, each when
//! it likes: a walk that began at EL1 may go on while EL2 writes these registers
//! (Arm ARM D8.1.5). Then it reads descriptors, as they are found in the cache
//! at that moment, or past it if the registers say so.

use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::span;

use super::Bits;
use super::Start;
use super::chance::Chance;
use super::cpu::Registers;
use super::memory::Memory;
use super::tlb::Translation;

/// What the first stage, the guest's own, makes of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// First virtual address of the leaf.
    pub start: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Where it leads: physical, for the guest.
    pub target: u64,
}

/// A walk under way.
#[derive(Clone, Debug)]
pub struct Walk {
    address: u64,
    first: First,
    second: Option<bool>,
    roots: Option<(u64, u64)>,
    at: Option<Start>,
}

/// How far a step came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// Nothing is there: a fault.
    Nothing,
    /// It is found.
    Found(Translation),
    /// It read a descriptor where there is no memory for tables: what that
    /// does is anybody's guess.
    Astray(u64),
}

impl Walk {
    /// Begins.
    #[must_use]
    pub const fn new(address: u64, first: First) -> Self {
        Self {
            address,
            first,
            second: None,
            roots: None,
            at: None,
        }
    }

    /// What it looks for.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Whether an invalidation of this VMID is about this walk.
    #[must_use]
    pub fn concerns(&self, vmid: u16, bits: &Bits) -> bool {
        self.roots
            .is_none_or(|(_, vttbr)| (bits.vmid)(vttbr) == vmid)
    }

    /// Goes on by one read of a register or of a descriptor.
    pub fn step(
        &mut self,
        bits: &Bits,
        registers: &Registers,
        memory: &Memory,
        chance: &mut Chance,
    ) -> Step {
        let guest = self.first.target + (self.address - self.first.start);
        let (Some(second), Some((vtcr, vttbr))) = (self.second, self.roots) else {
            let second_first = chance.one_in(2);
            if self.roots.is_some() || self.second.is_none() && second_first {
                self.second = Some((bits.stage2)(registers.hcr));
            } else {
                self.roots = Some((registers.vtcr, registers.vttbr));
            }
            return Step::More;
        };
        let vmid = (bits.vmid)(vttbr);
        if !second {
            return self.found(
                vmid,
                guest,
                self.first.bytes,
                guest,
                Access::All,
                None,
                chance,
            );
        }
        let Some(at) = self.at else {
            self.at = (bits.start)(vtcr, vttbr, guest);
            return if self.at.is_some() {
                Step::More
            } else {
                Step::Nothing
            };
        };
        let index = guest >> (12 + 9 * u32::from(at.level)) & 511;
        let place = at.table + index * 8;
        let raw = if at.cached {
            memory.cached(place)
        } else {
            memory.behind(place)
        };
        let Some(raw) = raw else {
            return Step::Astray(place);
        };
        match (bits.entry)(at.level, raw) {
            Entry::Empty => Step::Nothing,
            Entry::Table(table) => {
                self.at = Some(Start {
                    table: table.0,
                    level: at.level - 1,
                    ..at
                });
                Step::More
            }
            Entry::Leaf(target, access) => {
                let bytes = span(at.level);
                let target = target.0 + guest % bytes;
                let bytes = bytes.min(self.first.bytes);
                self.found(vmid, guest, bytes, target, access, Some(at.level), chance)
            }
        }
    }

    /// A translation of the whole leaf or of a part.
    #[expect(clippy::too_many_arguments, reason = "all of what a translation is")]
    fn found(
        &self,
        vmid: u16,
        guest: u64,
        bytes: u64,
        target: u64,
        access: Access,
        leaf: Option<Level>,
        chance: &mut Chance,
    ) -> Step {
        let parts = [4096, 1 << 21, 1 << 30];
        let bytes = chance.choose(&parts).map_or(bytes, |part| bytes.min(part));
        let offset = guest % bytes;
        Step::Found(Translation {
            vmid,
            start: self.address - offset,
            bytes,
            target: target - offset,
            access,
            leaf,
        })
    }
}
