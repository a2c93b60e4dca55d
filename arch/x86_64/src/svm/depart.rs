// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a guest, or from an entry that failed, back to the live CPU.
//!
//! A control block keeps limits, attributes and the TSS's busy bit as the CPU
//! had them, so on SVM nothing has to be rebuilt from descriptors: VMLOAD gives
//! back FS, GS, TR, LDTR and the system call registers as they are, and the
//! rest is loaded from the block. A CPU whose image died goes the same way, but for
//! its last steps ([`free`]).
#![expect(unsafe_code, reason = "loads the kernel's state into the CPU")]

use super::capabilities::Capabilities;
use super::vmcb::ControlBlock;
use crate::area::Area;
use crate::area::register;
use crate::freed;
use crate::freed::Freed;
use crate::instruction;
use crate::leave::Departure;
use crate::mutant;
use crate::mutant::Mutant;
use crate::mutate;
use crate::registers;
use crate::snapshot::TablePointer;

/// Back to the kernel after a call, or instead of an entry: everything is still
/// as the snapshot says, but for what VMSAVE put into the block.
///
/// # Safety
/// This CPU came through the door, the block is its own and VMSAVE filled it.
pub unsafe fn return_natively<L>(area: &Area<L>, result: u64) -> ! {
    let native = &area.native;
    let mut departure = Departure {
        cr0: native.cr0,
        cr3: native.cr3,
        cr4: native.cr4,
        rsp: native.rsp,
        rip: native.rip,
        rflags: native.rflags,
        efer: native.efer,
        selectors: Departure::pack(
            native.ds.selector,
            native.es.selector,
            native.ss.selector,
            native.cs.selector,
        ),
        result,
        way_out: area.door.way_out,
        ..Departure::default()
    };
    departure.set_tables(native.gdtr, native.idtr);
    // SAFETY: the caller vouches for the block.
    unsafe { instruction::vmload(area.blocks.guest) };
    // SAFETY: the CPU's own value, from a moment ago.
    unsafe { instruction::write_cr2(native.cr2) };
    // An entry that failed has reset it (APM 15.6).
    if instruction::read_dr7() != native.dr7 {
        // SAFETY: the CPU's own value.
        unsafe { instruction::write_dr6(native.dr6) };
        // SAFETY: the CPU's own value.
        unsafe { instruction::write_dr7(native.dr7) };
    }
    // SAFETY: all of it is the CPU's own state.
    unsafe { departure.go() }
}

/// Lets a guest's CPU go: it is the machine's again.
///
/// # Safety
/// The guest of this block has exited on this CPU, and the block is unchanged
/// but for RIP and RAX.
pub unsafe fn detach<L>(
    area: &Area<L>,
    block: &ControlBlock,
    capabilities: Capabilities,
    result: u64,
) -> ! {
    let [.., r12, r13, r14, r15] = area.registers.0;
    let mut departure = Departure {
        kept: [
            area.registers.0[register::RBX],
            area.registers.0[register::RBP],
            r12,
            r13,
            r14,
            r15,
        ],
        rsp: block.rsp,
        rip: block.rip,
        rflags: block.rflags,
        selectors: Departure::pack(
            block.ds.selector,
            block.es.selector,
            block.ss.selector,
            block.cs.selector,
        ),
        result,
        ..common(area, block)
    };
    // SAFETY: as the caller says.
    unsafe { take_back(area, block, capabilities) };
    // SAFETY: the guest's own; its breakpoints lie in the kernel, which runs next.
    unsafe { instruction::write_dr7(block.dr7) };
    // SAFETY: what it breaks is what the test asked for.
    unsafe { break_something(area, &mut departure) };
    // SAFETY: all of it is the state of the guest, which is the CPU's.
    unsafe { departure.go() }
}

/// Lets go of a guest's CPU at whichever instruction exited last (see
/// [`crate::freed`]).
///
/// # Safety
/// As [`detach`]; [`super::sound`] finds no obstacle, and that DS and ES can be
/// loaded with `data`.
pub unsafe fn free<L>(
    area: &mut Area<L>,
    block: &ControlBlock,
    capabilities: Capabilities,
    data: [u16; 2],
) -> ! {
    let [ds, es] = data;
    let frame = [
        block.rip,
        u64::from(block.cs.selector),
        block.rflags,
        block.rsp,
        u64::from(block.ss.selector),
    ];
    area.freed = Freed::new(&area.registers, block.rax, block.dr7, frame);
    let at = core::mem::offset_of!(Area<L>, freed) as u64 + freed::STACK_OFFSET;
    let departure = Departure {
        rsp: area.door.kernel + at,
        rip: area.door.way_free,
        // Bit 1 is always 1; interrupts stay off until the last IRETQ.
        rflags: 1 << 1,
        selectors: Departure::pack(ds, es, area.native.ss.selector, area.native.cs.selector),
        ..common(area, block)
    };
    // SAFETY: as the caller says.
    unsafe { take_back(area, block, capabilities) };
    // SAFETY: all of it is the state of the guest, which is the CPU's.
    unsafe { departure.go() }
}

/// What is alike for every guest that is let go.
fn common<L>(area: &Area<L>, block: &ControlBlock) -> Departure {
    let pointer = |segment: crate::segment::SegmentState| TablePointer {
        base: segment.base,
        limit: segment.limit as u16,
    };
    let mut departure = Departure {
        cr0: block.cr0,
        cr3: block.cr3,
        cr4: block.cr4,
        efer: block.efer & !registers::EFER_SVME | area.native.efer & registers::EFER_SVME,
        way_out: area.door.way_out,
        ..Departure::default()
    };
    departure.set_tables(pointer(block.gdtr), pointer(block.idtr));
    departure
}

/// What can be given back under the image's own tables.
///
/// # Safety
/// As [`detach`]; no exit follows.
unsafe fn take_back<L>(area: &Area<L>, block: &ControlBlock, capabilities: Capabilities) {
    // SAFETY: the block is this guest's, saved at the exit.
    unsafe { instruction::vmload(area.blocks.guest) };
    // SAFETY: the guest's own values follow, register by register.
    unsafe { instruction::write_cr2(block.cr2) };
    // SAFETY: as above.
    unsafe { instruction::write_dr6(block.dr6) };
    if instruction::page_attributes() != block.pat {
        // SAFETY: the guest ran with this table.
        unsafe { instruction::write_msr(x86::msr::IA32_PAT, block.pat) };
    }
    if capabilities.shadow_stacks() && block.cr4 & registers::CR4_CET != 0 {
        // SAFETY: CR4.CET can be set only where the register exists.
        unsafe { instruction::write_msr(registers::MSR_S_CET, block.s_cet) };
        // SAFETY: as above.
        unsafe { instruction::write_msr(registers::MSR_ISST, block.isst) };
    }
    // SAFETY: the values that were found at the entry.
    unsafe { give_back(area, block, capabilities) };
}

/// Gives back the registers that belong to the host's side of SVM.
///
/// # Safety
/// No guest runs on this CPU after it.
pub unsafe fn give_back<L>(area: &Area<L>, block: &ControlBlock, capabilities: Capabilities) {
    if capabilities.speculation_control() {
        // SAFETY: a CPU that switches the register has it; the guest's value,
        // which is the one found if the guest never ran.
        unsafe { instruction::write_msr(registers::MSR_SPEC_CTRL, block.speculation_control) };
    }
    if capabilities.tsc_ratio() {
        // SAFETY: the value that was found.
        unsafe { instruction::write_msr(registers::MSR_TSC_RATIO, area.tsc_ratio_found) };
    }
    if !mutant::active(area.mutant, Mutant::SaveArea) {
        // SAFETY: the value that was found.
        unsafe { instruction::write_msr(registers::MSR_VM_HSAVE_PA, area.save_area_found) };
    }
}

/// In a build for tests: the one defect that was asked for (see [`mutant`]).
///
/// # Safety
/// As [`detach`], just before it ends.
unsafe fn break_something<L>(area: &Area<L>, departure: &mut Departure) {
    let on = |which| mutant::active(area.mutant, which);
    let write = |register, value| {
        // SAFETY: a defect that was asked for; the registers below exist on
        // every CPU with SVM, and the image does not run on them.
        unsafe { instruction::write_msr(register, value) }
    };
    let read = |register| {
        // SAFETY: as above; reading has no effect.
        unsafe { instruction::read_msr(register) }
    };
    if on(Mutant::GdtLimit) {
        departure.gdtr[0] |= 0xffff;
    }
    if on(Mutant::IdtLimit) {
        departure.idtr[0] |= 0xffff;
    }
    if on(Mutant::Ldtr) {
        // SAFETY: a null LDTR is always valid.
        unsafe { core::arch::asm!("lldt {0:x}", in(reg) 0u16, options(nostack)) };
    }
    if on(Mutant::GeneralRegister) {
        departure.kept[0] ^= 1 << 40;
    }
    if on(Mutant::ControlRegister4) {
        departure.cr4 ^= 1 << 2;
    }
    if on(Mutant::FsBase) {
        write(
            x86::msr::IA32_FS_BASE,
            read(x86::msr::IA32_FS_BASE) ^ 0x1000,
        );
    }
    if on(Mutant::ExtensionBit) {
        departure.efer |= registers::EFER_SVME;
    }
    if on(Mutant::DataSegment) {
        departure.selectors ^= 0x2b;
    }
    if on(Mutant::TaskSwitched) {
        departure.cr0 ^= 1 << 3;
    }
    // SAFETY: as above.
    unsafe { mutate::break_registers(area.mutant) };
}
