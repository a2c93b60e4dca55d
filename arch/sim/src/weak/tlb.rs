// SPDX-License-Identifier: MIT OR Apache-2.0
//! Translations that a CPU keeps.
//!
//! One is of a virtual address, through both stages if there are two, and as
//! large as the smaller leaf or any part of it. It carries the VMID, and not
//! whether there was a second stage: HCR_EL2.VM may be cached (Arm ARM D24.2).

use mercury_hal::paging::Access;
use mercury_hal::paging::Level;

use super::chance::Chance;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Whose.
    pub vmid: u16,
    /// First virtual address.
    pub start: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Physical address of the first.
    pub target: u64,
    /// What may be done there.
    pub access: Access,
    /// Level of the second stage's leaf that it was made from, if there was one.
    pub leaf: Option<Level>,
}

impl Translation {
    const fn covers(&self, vmid: u16, address: u64) -> bool {
        self.vmid == vmid && address >= self.start && address - self.start < self.bytes
    }

    /// Where an address is that it covers.
    #[must_use]
    pub const fn of(&self, address: u64) -> (u64, Access) {
        (self.target + (address - self.start), self.access)
    }
}

/// What a CPU finds in its TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: it must walk.
    Nothing,
    /// A translation.
    One(Translation),
    /// Two that cannot be from the same tables: a TLB conflict abort.
    Conflict(Translation, Translation),
}

/// One CPU's TLB.
#[derive(Clone, Debug, Default)]
pub struct Tlb {
    kept: Vec<Translation>,
}

impl Tlb {
    /// Keeps one more.
    pub fn keep(&mut self, translation: Translation) {
        if !self.kept.contains(&translation) {
            self.kept.push(translation);
        }
    }

    /// Any one of those that match. It may be dropped meanwhile, for whatever
    /// reason a TLB has.
    pub fn find(&mut self, vmid: u16, address: u64, chance: &mut Chance) -> Found {
        let matching = |one: &&Translation| one.covers(vmid, address);
        let found: Vec<Translation> = self.kept.iter().filter(matching).copied().collect();
        let Some(one) = chance.choose(&found) else {
            return Found::Nothing;
        };
        let other = found
            .iter()
            .find(|other| other.leaf != one.leaf || other.of(address) != one.of(address));
        if let Some(other) = other {
            return Found::Conflict(one, *other);
        }
        if chance.one_in(8) {
            self.kept.retain(|kept| *kept != one);
            return Found::Nothing;
        }
        Found::One(one)
    }

    /// Forgets what a VMID's address has.
    pub fn forget_one(&mut self, vmid: u16, address: u64) {
        self.kept.retain(|one| !one.covers(vmid, address));
    }

    /// Forgets all of a VMID.
    pub fn forget(&mut self, vmid: u16) {
        self.kept.retain(|one| one.vmid != vmid);
    }
}
