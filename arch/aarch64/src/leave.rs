// SPDX-License-Identifier: MIT OR Apache-2.0
//! In a build for tests: the one defect that was asked for (see [`mutant`]).
//!
//! It comes last in a detach, so that what it breaks stays broken.
#![cfg_attr(
    feature = "mutants",
    expect(unsafe_code, reason = "changes registers that are not ours")
)]

use crate::area::Area;
#[cfg(feature = "mutants")]
use crate::mutant;
#[cfg(feature = "mutants")]
use crate::mutant::Mutant;

/// A release breaks nothing.
#[cfg(not(feature = "mutants"))]
#[inline]
pub fn break_something<L>(_: &mut Area<L>) {}

/// Breaks what was asked for. Not inlined: that an image has it is how one sees
/// that it is no release.
#[cfg(feature = "mutants")]
#[inline(never)]
pub fn break_something<L>(area: &mut Area<L>) {
    use aarch64_cpu::registers::CPTR_EL2;
    use aarch64_cpu::registers::HCR_EL2;
    use aarch64_cpu::registers::MAIR_EL2;
    use aarch64_cpu::registers::TCR_EL2;
    use aarch64_cpu::registers::TPIDR_EL0;
    use aarch64_cpu::registers::TTBR0_EL2;
    use aarch64_cpu::registers::VTCR_EL2;
    use aarch64_cpu::registers::VTTBR_EL2;
    use tock_registers::interfaces::Readable;
    use tock_registers::interfaces::Writeable;

    let chosen = area.mutant;
    let on = |which| mutant::active(chosen, which);
    let found = &mut area.found;
    // The way out writes what stands here: the next entry finds it.
    if on(Mutant::Tcr) {
        found.tcr = TCR_EL2.get();
    }
    if on(Mutant::Ttbr0) {
        found.ttbr0 = TTBR0_EL2.get();
    }
    if on(Mutant::Mair) {
        found.mair = MAIR_EL2.get();
    }
    if on(Mutant::Tpidr) {
        found.tpidr = core::ptr::from_mut(found) as u64;
    }
    if on(Mutant::StackPointer) {
        found.stack_pointer = core::ptr::from_mut(found) as u64;
    }
    if on(Mutant::Vtcr) {
        VTCR_EL2.set(found.vtcr ^ 0x3f);
    }
    if on(Mutant::Vttbr) {
        VTTBR_EL2.set(found.vttbr | 1 << 12);
    }
    if on(Mutant::HypervisorConfiguration) {
        // What else Linux had set; on CPUs where that is nothing, a bit that
        // nobody feels: FB.
        let rest = found.hcr & !(1 << 31);
        HCR_EL2.set(if rest == 0 {
            found.hcr | 1 << 9
        } else {
            1 << 31
        });
    }
    if on(Mutant::ThreadPointer) {
        TPIDR_EL0.set(TPIDR_EL0.get() ^ 0x1000);
    }
    if on(Mutant::TraceTrap) {
        CPTR_EL2.set(CPTR_EL2.get() ^ 1 << 20);
    }
    #[cfg(target_arch = "aarch64")]
    {
        if on(Mutant::VectorRegister) {
            // MOVI V5.16B, #0xff: the assembler of this target knows no vectors.
            // SAFETY: changes a register that the image does not use.
            unsafe { core::arch::asm!(".inst 0x4f07e7e5", options(nostack)) };
        }
        if on(Mutant::PhysicalAddress) {
            // SAFETY: a defect that was asked for.
            unsafe {
                core::arch::asm!("msr par_el1, {0}", in(reg) 0xdead_0000_u64, options(nostack));
            }
        }
    }
}
