// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the live CPU to a guest that goes on as that CPU.
//!
//! The block was zeroed at the preparation and VMSAVE has put in what it saves;
//! here comes the rest. Every value is the CPU's own: the guest continues with
//! the registers that the kernel had one instruction before.
#![expect(unsafe_code, reason = "reads registers that the capabilities promise")]

use mercury_hal::addr::HostPhysical;

use super::capabilities::Capabilities;
use super::vmcb::ControlBlock;
use super::vmcb::flush;
use super::vmcb::intercept;
use crate::instruction;
use crate::mutant;
use crate::mutant::Mutant;
use crate::registers;
use crate::segment::SegmentState;
use crate::snapshot::Snapshot;
use crate::snapshot::TablePointer;

/// The tag of our one guest's translations. 0 is the host's.
const ASID: u32 = 1;

/// Fills a control block for a guest that goes on where the snapshot was taken.
pub fn build(
    block: &mut ControlBlock,
    native: &Snapshot,
    nested_root: HostPhysical,
    register_map: HostPhysical,
    capabilities: Capabilities,
    guards: bool,
    mutant: u64,
) {
    block.intercept_events = intercept::INVLPGA | intercept::REGISTERS | intercept::SHUTDOWN;
    if guards {
        // A roll-back finds this CPU whatever it does.
        block.intercept_events |= intercept::NMI;
    }
    block.intercept_svm = intercept::SVM;
    block.register_map = register_map.0;
    block.tsc_offset = if mutant::active(mutant, Mutant::TimeStampOffset) {
        (1u64 << 32).wrapping_neg()
    } else {
        0
    };
    block.asid = ASID;
    block.tlb_control = if capabilities.flush_by_asid() {
        flush::GUEST
    } else {
        flush::EVERYTHING
    };
    block.virtual_interrupt = native.cr8 & 0xf;
    block.interrupt_shadow = 0;
    block.event_injection = 0;
    block.nested_control = 1;
    block.nested_root = nested_root.0;
    block.clean = 0;

    block.es = native.es;
    block.cs = native.cs;
    block.ss = native.ss;
    block.ds = native.ds;
    block.gdtr = pointer(native.gdtr);
    block.idtr = pointer(native.idtr);
    block.cpl = 0;
    block.efer = native.efer | registers::EFER_SVME;
    block.cr0 = native.cr0;
    block.cr2 = native.cr2;
    block.cr3 = native.cr3;
    block.cr4 = native.cr4;
    block.dr6 = native.dr6;
    block.dr7 = native.dr7;
    block.rflags = native.rflags;
    block.rip = native.rip;
    block.rsp = native.rsp;
    block.rax = 0;
    block.pat = native.pat;
    if capabilities.speculation_control() {
        // SAFETY: a CPU that switches the register has it.
        block.speculation_control = unsafe { instruction::read_msr(registers::MSR_SPEC_CTRL) };
    }
    if capabilities.shadow_stacks() && native.cr4 & registers::CR4_CET != 0 {
        // The kernel's shadow stack pointer is not carried over: the module
        // refuses a kernel that has one (S_CET.SH_STK_EN).
        // SAFETY: CR4.CET can be set only where the register exists.
        block.s_cet = unsafe { instruction::read_msr(registers::MSR_S_CET) };
        // SAFETY: as above.
        block.isst = unsafe { instruction::read_msr(registers::MSR_ISST) };
    }
}

fn pointer(table: TablePointer) -> SegmentState {
    SegmentState {
        limit: u32::from(table.limit),
        base: table.base,
        ..SegmentState::default()
    }
}
