// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is once for each CPU.

use std::collections::BTreeMap;

use super::chance::Chance;
use super::stores::Stores;
use super::tlb::Tlb;
use super::walk::Walk;

/// A register of EL2 that changes what EL1's addresses mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// HCR_EL2.
    Hcr,
    /// VTCR_EL2.
    Vtcr,
    /// VTTBR_EL2.
    Vttbr,
}

/// Their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// HCR_EL2.
    pub hcr: u64,
    /// VTCR_EL2.
    pub vtcr: u64,
    /// VTTBR_EL2.
    pub vttbr: u64,
}

/// An invalidation that has been asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By which CPU: its DSB waits for it.
    pub from: usize,
    /// Which VMID is to be forgotten.
    pub vmid: u16,
}

/// A CPU.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    /// Whether it is at EL2; no program of its own runs then.
    pub at_el2: bool,
    /// What its registers do.
    pub in_force: Registers,
    /// What was written to them since.
    pub written: Vec<(Register, u64)>,
    /// Its TLB.
    pub tlb: Tlb,
    /// Invalidations that it has not carried out.
    pub orders: Vec<Order>,
    /// Walks under way.
    pub walks: Vec<Walk>,
    /// Stores under way.
    pub stores: Stores,
    /// Lines that it has begun to clean.
    pub cleaning: Vec<u64>,
    /// Instructions that it has fetched.
    pub instructions: BTreeMap<u64, u64>,
}

impl Cpu {
    /// Something that was written is in force. Writes of the same register stay
    /// in order.
    pub fn take_effect(&mut self, chance: &mut Chance) {
        let chosen = chance.below(self.written.len());
        let Some((register, _)) = self.written.get(chosen) else {
            return;
        };
        let oldest = self.written.iter().position(|(one, _)| one == register);
        let (register, value) = self.written.remove(oldest.unwrap_or(chosen));
        match register {
            Register::Hcr => self.in_force.hcr = value,
            Register::Vtcr => self.in_force.vtcr = value,
            Register::Vttbr => self.in_force.vttbr = value,
        }
    }

    /// All of it is: an ISB, an exception, an ERET.
    pub fn synchronize(&mut self, chance: &mut Chance) {
        while !self.written.is_empty() {
            self.take_effect(chance);
        }
    }
}
