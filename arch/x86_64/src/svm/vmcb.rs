// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control block (VMCB, APM appendix B).
//!
//! Fields that we use have names; the rest is padding that keeps what it held.
//! Offsets are asserted against the manual below.

use crate::guest_memory::Paging;
use crate::segment::SegmentState;

/// A VMCB: one page, host physical address aligned to it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(4096))]
pub struct ControlBlock {
    /// Intercepts: CR accesses, DR accesses, exceptions.
    pub intercept_state: [u32; 3],
    /// Intercepts: instructions and events, see [`intercept`].
    pub intercept_events: u32,
    /// Intercepts: SVM instructions, see [`intercept`].
    pub intercept_svm: u32,
    reserved_014: [u8; 0x2c],
    /// Map of intercepted ports, physical.
    pub io_map: u64,
    /// Map of intercepted registers, physical.
    pub register_map: u64,
    /// Added to the TSC.
    pub tsc_offset: u64,
    /// Tag of the guest's translations; 0 is the host's and refused.
    pub asid: u32,
    /// What to drop before the guest runs, see [`flush`].
    pub tlb_control: u32,
    /// V_TPR and virtual interrupts.
    pub virtual_interrupt: u64,
    /// Bit 0: the guest is in an interrupt shadow.
    pub interrupt_shadow: u64,
    /// Why the guest came out.
    pub exit_code: u64,
    /// Details, by exit code.
    pub exit_info1: u64,
    /// Details, by exit code.
    pub exit_info2: u64,
    /// An event whose delivery was cut short.
    pub exit_event: u64,
    /// Bit 0: nested paging.
    pub nested_control: u64,
    reserved_098: [u8; 0x10],
    /// Event to deliver at the next entry, see [`event`].
    pub event_injection: u64,
    /// Root of the nested tables, physical.
    pub nested_root: u64,
    /// Last branch records; virtual VMLOAD and VMSAVE.
    pub branch_records: u64,
    /// Which parts the CPU may take from its cache; 0: none.
    pub clean: u32,
    reserved_0c4: u32,
    /// Address of the next instruction, where the CPU has that.
    pub next_rip: u64,
    /// How many of the next bytes are valid, where the CPU has that.
    pub fetched: u8,
    /// The bytes of the faulting instruction.
    pub instruction_bytes: [u8; 15],
    reserved_0e0: [u8; 0x320],
    /// ES.
    pub es: SegmentState,
    /// CS.
    pub cs: SegmentState,
    /// SS.
    pub ss: SegmentState,
    /// DS.
    pub ds: SegmentState,
    /// FS (VMLOAD).
    pub fs: SegmentState,
    /// GS (VMLOAD).
    pub gs: SegmentState,
    /// GDTR: base and limit.
    pub gdtr: SegmentState,
    /// LDTR (VMLOAD).
    pub ldtr: SegmentState,
    /// IDTR: base and limit.
    pub idtr: SegmentState,
    /// TR (VMLOAD).
    pub tr: SegmentState,
    reserved_4a0: [u8; 0x2b],
    /// Privilege level.
    pub cpl: u8,
    reserved_4cc: u32,
    /// EFER.
    pub efer: u64,
    reserved_4d8: [u8; 0x70],
    /// CR4.
    pub cr4: u64,
    /// CR3.
    pub cr3: u64,
    /// CR0.
    pub cr0: u64,
    /// DR7.
    pub dr7: u64,
    /// DR6.
    pub dr6: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// RIP.
    pub rip: u64,
    reserved_580: [u8; 0x58],
    /// RSP.
    pub rsp: u64,
    /// S_CET.
    pub s_cet: u64,
    /// SSP.
    pub ssp: u64,
    /// Table of interrupt shadow stacks.
    pub isst: u64,
    /// RAX.
    pub rax: u64,
    /// STAR (VMLOAD).
    pub star: u64,
    /// LSTAR (VMLOAD).
    pub lstar: u64,
    /// CSTAR (VMLOAD).
    pub cstar: u64,
    /// SFMASK (VMLOAD).
    pub sfmask: u64,
    /// KERNEL_GS_BASE (VMLOAD).
    pub kernel_gs_base: u64,
    /// SYSENTER_CS (VMLOAD).
    pub sysenter_cs: u64,
    /// SYSENTER_ESP (VMLOAD).
    pub sysenter_esp: u64,
    /// SYSENTER_EIP (VMLOAD).
    pub sysenter_eip: u64,
    /// CR2.
    pub cr2: u64,
    reserved_648: [u8; 0x20],
    /// The guest's page attribute table.
    pub pat: u64,
    reserved_670: [u8; 0x70],
    /// The guest's SPEC_CTRL, where the CPU switches it.
    pub speculation_control: u64,
    reserved_6e8: [u8; 0x918],
}

#[cfg(test)]
impl ControlBlock {
    /// All zero.
    #[expect(unsafe_code, reason = "a page of zeros is a block")]
    pub(crate) fn blank() -> Self {
        // SAFETY: all fields are numbers.
        unsafe { core::mem::zeroed() }
    }
}

impl ControlBlock {
    /// What the guest's paging follows.
    #[must_use]
    pub const fn paging(&self) -> Paging {
        Paging {
            cr0: self.cr0,
            cr3: self.cr3,
            cr4: self.cr4,
            efer: self.efer,
        }
    }
}

/// Bits of [`ControlBlock::intercept_events`] and
/// [`ControlBlock::intercept_svm`] that we set.
pub mod intercept {
    /// NMI.
    pub const NMI: u32 = 1 << 1;
    /// IRET.
    pub const IRET: u32 = 1 << 20;
    /// INVLPGA.
    pub const INVLPGA: u32 = 1 << 26;
    /// RDMSR and WRMSR by the map, and all that the map does not cover.
    pub const REGISTERS: u32 = 1 << 28;
    /// Shutdown: triple fault.
    pub const SHUTDOWN: u32 = 1 << 31;
    /// VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT.
    pub const SVM: u32 = 0x7f;
}

/// Values of [`ControlBlock::tlb_control`] (APM 15.16.1).
pub mod flush {
    /// Nothing.
    pub const NOTHING: u32 = 0;
    /// Everything, of all tags.
    pub const EVERYTHING: u32 = 1;
    /// This guest's, where the CPU can.
    pub const GUEST: u32 = 3;
}

/// Values of [`ControlBlock::event_injection`] (APM 15.20).
pub mod event {
    const KIND: u64 = 7 << 8;
    const NMI: u64 = 2 << 8;
    /// An NMI.
    pub const NMI_NOW: u64 = 2 | NMI | VALID;
    const EXCEPTION: u64 = 3 << 8;
    const ERROR_CODE: u64 = 1 << 11;
    /// Something is to be delivered.
    pub const VALID: u64 = 1 << 31;
    /// #UD.
    pub const UNDEFINED: u64 = 6 | EXCEPTION | VALID;
    /// #GP(0).
    pub const PROTECTION: u64 = 13 | EXCEPTION | ERROR_CODE | VALID;

    /// What to inject after an exit that cut the delivery of an event short.
    /// Interrupts, NMIs and faults are delivered again. What an instruction
    /// raised on purpose (INTn, INT3, INTO) is not: RIP still points at the
    /// instruction, which runs again by itself.
    ///
    /// QEMU's emulation (7.2 and later, `handle_even_inj`) notes whatever it was
    /// delivering as an exception, NMIs and interrupts too, and refuses such an
    /// exception when it comes back (as CPUs do, APM 15.20): the guest would be
    /// lost. No CPU notes an exception with vector 2, or above 31; so where one
    /// stands it is what its vector says.
    #[must_use]
    pub const fn again(cut_short: u64) -> u64 {
        const SOFTWARE: u64 = 4;
        let (kind, vector) = (cut_short >> 8 & 7, cut_short & 0xff);
        let by_instruction =
            kind == SOFTWARE || (kind << 8 == EXCEPTION && (vector == 3 || vector == 4));
        if cut_short & VALID == 0 || by_instruction {
            0
        } else if kind << 8 == EXCEPTION && vector == 2 {
            cut_short & !KIND | NMI
        } else if kind << 8 == EXCEPTION && vector >= 32 {
            cut_short & !KIND
        } else {
            cut_short
        }
    }
}

/// Exit codes (APM appendix C).
pub mod code {
    /// NMI.
    pub const NMI: u64 = 0x61;
    /// IRET.
    pub const IRET: u64 = 0x74;
    /// INVLPGA.
    pub const INVLPGA: u64 = 0x7a;
    /// RDMSR or WRMSR; `exit_info1` 1: write.
    pub const REGISTER: u64 = 0x7c;
    /// Triple fault.
    pub const SHUTDOWN: u64 = 0x7f;
    /// VMRUN.
    pub const VMRUN: u64 = 0x80;
    /// VMMCALL.
    pub const VMMCALL: u64 = 0x81;
    /// SKINIT, the last of the SVM instructions that begin with VMRUN.
    pub const SKINIT: u64 = 0x86;
    /// Fault of the nested map; `exit_info1`: how, `exit_info2`: where.
    pub const NESTED_FAULT: u64 = 0x400;
    /// The state was refused; all ones, of which some CPUs write 32.
    pub const INVALID: u32 = u32::MAX;
}

const _: () = {
    use core::mem::offset_of;
    use core::mem::size_of;
    assert!(size_of::<ControlBlock>() == 4096);
    assert!(offset_of!(ControlBlock, intercept_events) == 0x00c);
    assert!(offset_of!(ControlBlock, intercept_svm) == 0x010);
    assert!(offset_of!(ControlBlock, io_map) == 0x040);
    assert!(offset_of!(ControlBlock, register_map) == 0x048);
    assert!(offset_of!(ControlBlock, asid) == 0x058);
    assert!(offset_of!(ControlBlock, tlb_control) == 0x05c);
    assert!(offset_of!(ControlBlock, virtual_interrupt) == 0x060);
    assert!(offset_of!(ControlBlock, exit_code) == 0x070);
    assert!(offset_of!(ControlBlock, exit_event) == 0x088);
    assert!(offset_of!(ControlBlock, nested_control) == 0x090);
    assert!(offset_of!(ControlBlock, event_injection) == 0x0a8);
    assert!(offset_of!(ControlBlock, nested_root) == 0x0b0);
    assert!(offset_of!(ControlBlock, clean) == 0x0c0);
    assert!(offset_of!(ControlBlock, next_rip) == 0x0c8);
    assert!(offset_of!(ControlBlock, fetched) == 0x0d0);
    assert!(offset_of!(ControlBlock, es) == 0x400);
    assert!(offset_of!(ControlBlock, gdtr) == 0x460);
    assert!(offset_of!(ControlBlock, tr) == 0x490);
    assert!(offset_of!(ControlBlock, cpl) == 0x4cb);
    assert!(offset_of!(ControlBlock, efer) == 0x4d0);
    assert!(offset_of!(ControlBlock, cr4) == 0x548);
    assert!(offset_of!(ControlBlock, dr7) == 0x560);
    assert!(offset_of!(ControlBlock, rip) == 0x578);
    assert!(offset_of!(ControlBlock, rsp) == 0x5d8);
    assert!(offset_of!(ControlBlock, s_cet) == 0x5e0);
    assert!(offset_of!(ControlBlock, rax) == 0x5f8);
    assert!(offset_of!(ControlBlock, star) == 0x600);
    assert!(offset_of!(ControlBlock, kernel_gs_base) == 0x620);
    assert!(offset_of!(ControlBlock, cr2) == 0x640);
    assert!(offset_of!(ControlBlock, pat) == 0x668);
    assert!(offset_of!(ControlBlock, speculation_control) == 0x6e0);
};

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn what_an_instruction_raised_is_not_raised_twice() {
        let interrupt = 0xec | event::VALID;
        let nmi = 2 | 2 << 8 | event::VALID;
        let page_fault = 14 | 3 << 8 | 1 << 11 | event::VALID | 2 << 32;
        for again in [interrupt, nmi, page_fault] {
            assert_eq!(event::again(again), again);
        }
        // As QEMU notes them.
        assert_eq!(event::again(2 | 3 << 8 | event::VALID), nmi);
        assert_eq!(event::again(0xec | 3 << 8 | event::VALID), interrupt);
        let software = 0x80 | 4 << 8 | event::VALID;
        let breakpoint = 3 | 3 << 8 | event::VALID;
        for once in [software, breakpoint, interrupt & !event::VALID, 0] {
            assert_eq!(event::again(once), 0);
        }
    }
}
