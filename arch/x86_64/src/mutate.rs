// SPDX-License-Identifier: MIT OR Apache-2.0
//! Defects on purpose, carried out: those that are alike under VMX and SVM,
//! because the register is in the CPU and nowhere else when a CPU leaves. Which
//! there are is said in [`crate::mutant`].
#![expect(unsafe_code, reason = "writes registers wrongly")]

use crate::instruction;
use crate::mutant;
use crate::mutant::Mutant;

/// In a build for tests: the one defect that was asked for. Not inlined there:
/// that an image has it is how one sees that it is no release.
///
/// # Safety
/// The last thing but one before a CPU leaves: all of the guest's is in place.
#[cfg_attr(feature = "mutants", inline(never))]
pub unsafe fn break_registers(mutant: u64) {
    let on = |which| mutant::active(mutant, which);
    let write = |register, value| {
        // SAFETY: a defect that was asked for; the registers below exist on
        // every CPU in long mode, and the image does not run on them.
        unsafe { instruction::write_msr(register, value) }
    };
    let read = instruction::read_known_msr;
    if on(Mutant::Dr7) {
        // SAFETY: no breakpoint.
        unsafe { instruction::write_dr7(0x400) };
    }
    #[cfg(all(feature = "mutants", target_os = "none"))]
    if on(Mutant::VectorRegister) {
        // SAFETY: changes a register that the image does not use; CR4.OSFXSAVE,
        // without which the instruction is undefined, is set around it.
        unsafe {
            core::arch::asm!(
                "mov {old}, cr4",
                "mov {new}, {old}",
                "or {new}, 0x200",
                "mov cr4, {new}",
                "pcmpeqd xmm5, xmm5",
                "mov cr4, {old}",
                old = out(reg) _,
                new = out(reg) _,
                options(nostack)
            );
        }
    }
    if on(Mutant::PageAttributes) {
        write(x86::msr::IA32_PAT, 0x0007_0406_0007_0406);
    }
    if on(Mutant::ControlRegister2) {
        // SAFETY: CR2 has no effect.
        unsafe { instruction::write_cr2(instruction::read_cr2() ^ 0x1000) };
    }
    if on(Mutant::SystemCall) {
        write(x86::msr::IA32_FMASK, read(x86::msr::IA32_FMASK) ^ 1 << 11);
    }
    if on(Mutant::SystemEnter) {
        let value = read(x86::msr::IA32_SYSENTER_EIP);
        write(x86::msr::IA32_SYSENTER_EIP, value ^ 0x10);
    }
    if on(Mutant::KernelGsBase) {
        let value = read(x86::msr::IA32_KERNEL_GSBASE);
        write(x86::msr::IA32_KERNEL_GSBASE, value ^ 0x1000);
    }
}
