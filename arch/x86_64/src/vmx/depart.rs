// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a guest, or from a call, back to the live CPU.
//!
//! An exit leaves more behind than the image wants: limits of 0xffff in GDTR and
//! IDTR, no LDT, our TSS, null in DS, ES, FS and GS, 0x400 in DR7, 0 in DEBUGCTL,
//! and the host's SYSENTER registers, PAT and EFER (SDM volume 3, 27.5). All of
//! that is put back: what needs none of the kernel's tables here, the rest by the
//! trampoline from the list on the landing pad. The TSS is loaded under the pad's
//! GDT, from a descriptor that says "not busy"; the kernel's own, which nobody
//! has touched, says "busy" before and after.
#![expect(unsafe_code, reason = "loads the kernel's state into the CPU")]

#[cfg(target_os = "none")]
use core::arch::global_asm;

use x86::vmx::vmcs::control;
use x86::vmx::vmcs::guest;

use super::field;
use super::operation;
use crate::area::Area;
use crate::area::register;
use crate::freed;
use crate::freed::Freed;
use crate::instruction;
use crate::mutant;
use crate::mutant::Mutant;
use crate::mutate;
use crate::pad::Pad;
use crate::pad::WayOut;
use crate::segment::SegmentState;
use crate::snapshot::TablePointer;

/// Type of a system descriptor: 9 is a TSS that is free, 11 one that is busy.
const BUSY: u64 = 1 << 41;

/// Puts a TSS's descriptor where the pad's GDT has its selector.
fn place_task(pad: &mut Pad, selector: u64, low: u64, high: u64) {
    let index = (selector >> 3) as usize;
    if let Some([first, second]) = pad.descriptors.get_mut(index..index + 2) {
        *first = low & !BUSY;
        *second = high;
    }
}

/// Whether the pad's GDT has a place for this TSS.
#[must_use]
pub fn has_place(selector: u64) -> bool {
    // 0x10 and 0x18 are the kernel's code and data.
    (0x20..=(crate::pad::DESCRIPTORS as u64 - 2) * 8).contains(&(selector & !7))
}

/// Both halves of the descriptor of a system segment in use.
const fn descriptor(state: SegmentState) -> (u64, u64) {
    let limit = state.limit as u64;
    let low = limit & 0xffff
        | (state.base & 0xff_ffff) << 16
        | (state.attributes as u64 & 0xff) << 40
        | (limit >> 16 & 0xf) << 48
        | (state.base >> 24 & 0xff) << 56;
    (low, state.base >> 32)
}

/// Back to the kernel after a call, or instead of an entry: everything is still
/// as the snapshot says, or was noted on the pad.
///
/// # Safety
/// This CPU came through the door; it is not in VMX operation.
pub unsafe fn return_natively<L>(area: &Area<L>, pad: &mut Pad, result: u64) -> ! {
    let native = &area.native;
    let [fs, gs, ldtr, task] = pad.segments;
    let high = pad.high[1];
    place_task(pad, task.selector, task.descriptor, high);
    pad.out = WayOut {
        cr4: native.cr4,
        cr3: native.cr3,
        rsp: native.rsp,
        rip: native.rip,
        rflags: native.rflags,
        ds: u64::from(native.ds.selector),
        es: u64::from(native.es.selector),
        fs: fs.selector,
        gs: gs.selector,
        ss: u64::from(native.ss.selector),
        cs: u64::from(native.cs.selector),
        ldtr: ldtr.selector,
        tr: task.selector,
        fs_base: instruction::read_known_msr(x86::msr::IA32_FS_BASE),
        gs_base: instruction::read_known_msr(x86::msr::IA32_GS_BASE),
        gdtr: native.gdtr.image(),
        idtr: native.idtr.image(),
        result,
    };
    // SAFETY: the CPU's own value, from a moment ago.
    unsafe { instruction::write_cr2(native.cr2) };
    // SAFETY: all of it is the CPU's own state.
    unsafe { leave(pad, &[0; 6], area.door.way_out, native.cr0) }
}

/// Lets a guest's CPU go: it is the machine's again.
///
/// # Safety
/// The guest of the current VMCS has exited on this CPU.
pub unsafe fn detach<L>(area: &Area<L>, pad: &mut Pad, result: u64) -> ! {
    // SAFETY: as the caller says.
    unsafe { take_back(area, pad, result) };
    // SAFETY: the guest's own; its breakpoints lie in the kernel, which is next.
    unsafe { instruction::write_dr7(field::read(guest::DR7)) };
    // Written out: through a closure the bounds would be checked at run time.
    let from = &area.registers.0;
    let mut kept = [
        from[register::RBX],
        from[register::RBP],
        from[12],
        from[13],
        from[14],
        from[15],
    ];
    let mut cr0 = cr0_of(area);
    // SAFETY: every field has been read.
    unsafe { operation::end(area.blocks.guest) };
    // SAFETY: what it breaks is what the test asked for.
    unsafe { break_something(area, pad, &mut kept, &mut cr0) };
    // SAFETY: all of it is the state of the guest, which is the CPU's.
    unsafe { leave(pad, &kept, area.door.way_out, cr0) }
}

/// Lets go of a guest's CPU at whichever instruction exited last (see
/// [`crate::freed`]). The way out is gone by as ever, NMIs that wait are raised on
/// it, and it ends on the stack that has all of the guest's registers.
///
/// # Safety
/// As [`detach`]; [`crate::sound`] finds no obstacle.
pub unsafe fn free<L>(area: &mut Area<L>, pad: &mut Pad) -> ! {
    // SAFETY: as the caller says.
    unsafe { take_back(area, pad, 0) };
    let out = &mut pad.out;
    let frame = [out.rip, out.cs, out.rflags, out.rsp, out.ss];
    let rax = area.registers.0[register::RAX];
    area.freed = Freed::new(&area.registers, rax, field::read(guest::DR7), frame);
    let at = core::mem::offset_of!(Area<L>, freed) as u64 + freed::STACK_OFFSET;
    out.rsp = area.door.kernel + at;
    out.rip = area.door.way_free;
    // Bit 1 is always 1; interrupts stay off until the last IRETQ.
    out.rflags = 1 << 1;
    out.ss = u64::from(area.native.ss.selector);
    out.cs = u64::from(area.native.cs.selector);
    let cr0 = cr0_of(area);
    // SAFETY: every field has been read.
    unsafe { operation::end(area.blocks.guest) };
    // SAFETY: the guest's own, from its last exit.
    unsafe { instruction::write_cr2(area.vmx.fault_address) };
    // SAFETY: all of it is the state of the guest, which is the CPU's.
    unsafe { leave(pad, &[0; 6], area.door.way_out, cr0) }
}

/// Ends VMX operation that a call began, whose guest never was entered: nothing
/// else has changed yet.
///
/// # Safety
/// The CPU is in VMX operation; [`return_natively`] follows.
pub unsafe fn give_up<L>(area: &Area<L>) {
    // SAFETY: nothing of the VMCS is needed.
    unsafe { operation::end(area.blocks.guest) };
}

/// CR0 as the guest wants it.
fn cr0_of<L>(area: &Area<L>) -> u64 {
    let mask = area.vmx.masks[0];
    field::read(guest::CR0) & !mask | field::read(control::CR0_READ_SHADOW) & mask
}

/// Undoes what an entry that failed has done (26.8: host state is loaded as by
/// an exit), so that [`return_natively`] finds the CPU as it came.
///
/// # Safety
/// The guest of the current VMCS never ran on this CPU; the CPU is in VMX
/// operation.
pub unsafe fn give_back<L>(area: &Area<L>, pad: &mut Pad) {
    // SAFETY: as the caller says; the way out that it fills is filled anew.
    unsafe { take_back(area, pad, 0) };
    for (number, value) in [
        (x86::msr::IA32_FS_BASE, pad.out.fs_base),
        (x86::msr::IA32_GS_BASE, pad.out.gs_base),
    ] {
        // SAFETY: the CPU's own values; the image uses neither segment.
        unsafe { instruction::write_msr(number, value) };
    }
    // SAFETY: the kernel's own; its breakpoints lie in the kernel, which is next.
    unsafe { instruction::write_dr7(field::read(guest::DR7)) };
    // SAFETY: nothing of the VMCS is needed any more.
    unsafe { operation::end(area.blocks.guest) };
}

/// Reads everything out of the VMCS: registers into the CPU, the rest into the
/// list on the pad.
///
/// # Safety
/// The VMCS is current, and its guest is out.
unsafe fn take_back<L>(area: &Area<L>, pad: &mut Pad, result: u64) {
    let table = |base, limit| {
        TablePointer {
            base: field::read(base),
            limit: field::read(limit) as u16,
        }
        .image()
    };
    let task = field::TR.read();
    let (low, high) = descriptor(task);
    place_task(pad, u64::from(task.selector), low, high);
    let mask = area.vmx.masks[1];
    let shadow = field::read(control::CR4_READ_SHADOW);
    pad.out = WayOut {
        cr4: field::read(guest::CR4) & !mask | shadow & mask,
        cr3: field::read(guest::CR3),
        rsp: field::read(guest::RSP),
        rip: field::read(guest::RIP),
        rflags: field::read(guest::RFLAGS),
        ds: field::read(guest::DS_SELECTOR),
        es: field::read(guest::ES_SELECTOR),
        fs: field::read(guest::FS_SELECTOR),
        gs: field::read(guest::GS_SELECTOR),
        ss: field::read(guest::SS_SELECTOR),
        cs: field::read(guest::CS_SELECTOR),
        ldtr: field::read(guest::LDTR_SELECTOR),
        tr: u64::from(task.selector),
        fs_base: field::read(guest::FS_BASE),
        gs_base: field::read(guest::GS_BASE),
        gdtr: table(guest::GDTR_BASE, guest::GDTR_LIMIT),
        idtr: table(guest::IDTR_BASE, guest::IDTR_LIMIT),
        result,
    };
    for (number, value) in [
        (
            x86::msr::IA32_SYSENTER_CS,
            field::read(guest::IA32_SYSENTER_CS),
        ),
        (
            x86::msr::IA32_SYSENTER_ESP,
            field::read(guest::IA32_SYSENTER_ESP),
        ),
        (
            x86::msr::IA32_SYSENTER_EIP,
            field::read(guest::IA32_SYSENTER_EIP),
        ),
    ] {
        // SAFETY: the guest's own values; the image makes no system calls.
        unsafe { instruction::write_msr(number, value) };
    }
    for (number, value) in [
        (x86::msr::IA32_PAT, field::read(guest::IA32_PAT_FULL)),
        (x86::msr::IA32_EFER, field::read(guest::IA32_EFER_FULL)),
    ] {
        if instruction::read_known_msr(number) != value {
            // SAFETY: the guest ran with it, in 64-bit mode with no-execute, as
            // the image does.
            unsafe { instruction::write_msr(number, value) };
        }
    }
    let debug_control = field::read(guest::IA32_DEBUGCTL_FULL);
    if debug_control != 0 {
        // SAFETY: the exception table is in force; it was 0 since the exit.
        let _ = unsafe { instruction::try_write_msr(x86::msr::IA32_DEBUGCTL, debug_control) };
    }
    if area.vmx.counters {
        let lists = (crate::area::address(area.index) + 0x3000) as *const [u64; 2];
        // SAFETY: the page is this CPU's; the last exit stored the value.
        let [number, value] = unsafe { lists.read_volatile() };
        // SAFETY: the register that was stored from.
        unsafe { instruction::write_msr(number as u32, value) };
    }
}

/// Puts the TSS two places further on in the pad's GDT (the mutant).
fn move_task(pad: &mut Pad) {
    let place = (pad.out.tr >> 3) as usize;
    if let Some(&[low, high]) = pad.descriptors.get(place..place + 2) {
        pad.out.tr += 16;
        place_task(pad, pad.out.tr, low, high);
    }
}

/// In a build for tests: the one defect that was asked for (see [`mutant`]).
///
/// # Safety
/// As [`detach`], just before it ends.
unsafe fn break_something<L>(area: &Area<L>, pad: &mut Pad, kept: &mut [u64; 6], cr0: &mut u64) {
    let on = |which| mutant::active(area.mutant, which);
    if on(Mutant::GdtLimit) {
        pad.out.gdtr[0] |= 0xffff;
    }
    if on(Mutant::IdtLimit) {
        pad.out.idtr[0] |= 0xffff;
    }
    if on(Mutant::Ldtr) {
        pad.out.ldtr = 0;
    }
    if on(Mutant::ControlRegister4) {
        pad.out.cr4 ^= 1 << 2;
    }
    if on(Mutant::FsBase) {
        pad.out.fs_base ^= 0x1000;
    }
    if on(Mutant::DataSegment) {
        pad.out.ds ^= 0x2b;
    }
    if on(Mutant::GeneralRegister) {
        kept[0] ^= 1 << 40;
    }
    if on(Mutant::TaskSwitched) {
        *cr0 ^= 1 << 3;
    }
    if on(Mutant::Task) {
        move_task(pad);
    }
    if on(Mutant::Tag) {
        pad.out.cr3 &= !0xfff;
    }
    // SAFETY: what the registers hold next is what the test asked for.
    unsafe { mutate::break_registers(area.mutant) };
}

/// The last of the image: RBX, RBP and R12 to R15, then the trampoline.
///
/// # Safety
/// The way out on the pad is filled in with a state that this CPU can be in.
unsafe fn leave(pad: &Pad, kept: &[u64; 6], way_out: u64, cr0: u64) -> ! {
    // SAFETY: the caller vouches for the pad.
    unsafe { mercury_vmx_leave(pad.address, kept, way_out, cr0) }
}

unsafe extern "C" {
    fn mercury_vmx_leave(pad: u64, kept: *const [u64; 6], way_out: u64, cr0: u64) -> !;
}

#[cfg(target_os = "none")]
global_asm!(
    ".global mercury_vmx_leave",
    "mercury_vmx_leave:",
    "   mov cr0, rcx",
    "   mov rbx, [rsi]",
    "   mov rbp, [rsi + 8]",
    "   mov r12, [rsi + 16]",
    "   mov r13, [rsi + 24]",
    "   mov r14, [rsi + 32]",
    "   mov r15, [rsi + 40]",
    "   jmp rdx",
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noted::Segment;

    #[test]
    fn a_descriptor_says_what_the_segment_is() {
        let state = SegmentState {
            selector: 0x40,
            attributes: 0x8b,
            limit: 0x4087,
            base: 0xffff_fe12_3456_7000,
        };
        let (low, high) = descriptor(state);
        let mut back = SegmentState::from_descriptor(Segment {
            selector: 0x40,
            descriptor: low,
        });
        back.base |= high << 32;
        assert_eq!(back, state);
        assert_eq!(low & BUSY, BUSY);
    }

    #[test]
    fn linuxs_task_has_a_place() {
        assert!(has_place(0x40) && has_place(0x70));
        assert!(!has_place(0x18) && !has_place(0x78) && !has_place(0));
    }
}
