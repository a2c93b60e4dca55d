// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the order of things at EL2 consists of: three registers, barriers, and
//! two invalidations.
//!
//! Whether a sequence of these is complete cannot be seen by running it here:
//! QEMU's TCG has no caches, no store buffers and no TLB that keeps what it
//! should not. So the sequences ([`crate::guest`], [`crate::frames`], and below)
//! are written against a trait. In the image it is the CPU ([`ThisCpu`]; each
//! method is one instruction, inlined). In the host tests it is a CPU of
//! `arch/sim` that does every wrong thing the architecture allows, and each of
//! the instructions is left out once to see that it is missed
//! (`tests/host/tests/caches`).
//!
//! No sequence ends in an ISB. What they change is in force for the guest, and
//! the way to it is an ERET, which synchronizes context (the image sets
//! SCTLR_EL2.EOS; Arm ARM D24.2).
//!
//! Invalidations go by the VMID in VTTBR_EL2. It is the one that was found, on
//! the way in as on the way out ([`crate::guest`]).

use crate::instruction;
use aarch64_cpu::registers::HCR_EL2;
use aarch64_cpu::registers::VTCR_EL2;
use aarch64_cpu::registers::VTTBR_EL2;
use tock_registers::interfaces::Writeable;

/// A CPU at EL2. No register is in force before the next ISB or ERET.
pub trait El2 {
    /// Writes VTCR_EL2: how the tables of stage 2 are walked.
    fn set_vtcr(&self, value: u64);
    /// Writes VTTBR_EL2: where they begin, and the VMID.
    fn set_vttbr(&self, value: u64);
    /// Writes HCR_EL2: whether there is a stage 2.
    fn set_hcr(&self, value: u64);
    /// ISB: the registers are in force.
    fn isb(&self);
    /// DSB NSH: this CPU's stores, invalidations and walks are complete, as
    /// far as this CPU is concerned (Arm ARM B2.7, D8.1.5).
    fn dsb_nsh(&self);
    /// DSB ISH: the same, as far as all CPUs are.
    fn dsb_ish(&self);
    /// DSB ISHST: this CPU's stores are seen by all CPUs' walks.
    fn dsb_ishst(&self);
    /// DMB ISHST: this CPU's stores so far are seen before later ones.
    fn dmb_ishst(&self);
    /// TLBI VMALLS12E1: this CPU is to forget all translations of this VMID,
    /// both stages (Arm ARM D8.17). It has when a DSB is complete.
    fn tlbi_vmalls12e1(&self);
    /// TLBI VMALLS12E1IS: all CPUs are.
    fn tlbi_vmalls12e1is(&self);
}

/// The CPU that executes this.
#[derive(Clone, Copy, Debug)]
pub struct ThisCpu;

impl El2 for ThisCpu {
    #[inline]
    fn set_vtcr(&self, value: u64) {
        VTCR_EL2.set(value);
    }
    #[inline]
    fn set_vttbr(&self, value: u64) {
        VTTBR_EL2.set(value);
    }
    #[inline]
    fn set_hcr(&self, value: u64) {
        HCR_EL2.set(value);
    }
    #[inline]
    fn isb(&self) {
        instruction::isb();
    }
    #[inline]
    fn dsb_nsh(&self) {
        instruction::dsb_nsh();
    }
    #[inline]
    fn dsb_ish(&self) {
        instruction::dsb_ish();
    }
    #[inline]
    fn dsb_ishst(&self) {
        instruction::dsb_ishst();
    }
    #[inline]
    fn dmb_ishst(&self) {
        instruction::dmb_ishst();
    }
    #[inline]
    fn tlbi_vmalls12e1(&self) {
        instruction::tlbi_vmalls12e1();
    }
    #[inline]
    fn tlbi_vmalls12e1is(&self) {
        instruction::tlbi_vmalls12e1is();
    }
}

/// This CPU alone forgets: its TLB contradicts itself, the tables are right.
pub fn forget_here(cpu: &impl El2) {
    cpu.tlbi_vmalls12e1();
    cpu.dsb_nsh();
}

/// Every CPU forgets: an entry of the tables was taken out. The first barrier
/// is for walks that begin after the invalidation, which must find the new
/// entry; the last says that nobody uses the old one any more, so that another
/// may take its place (break-before-make, Arm ARM D8.17).
pub fn forget_everywhere(cpu: &impl El2) {
    cpu.dsb_ishst();
    cpu.tlbi_vmalls12e1is();
    cpu.dsb_ish();
}

/// This CPU's guest is about to do again what faulted: its walks find what was
/// stored. Nothing is to be forgotten: what faults is never cached (Arm ARM D8.17).
pub fn publish(cpu: &impl El2) {
    cpu.dsb_ishst();
}
