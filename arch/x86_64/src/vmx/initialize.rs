// SPDX-License-Identifier: MIT OR Apache-2.0
//! INIT and SIPI (SDM volume 3, 8.4, 9.1.1, 25.2).
//!
//! A guest that gets an INIT exits. CPUs that go down while attached leave
//! before (hot-plug is cooperative), so this is for a kernel that sends INIT
//! without asking: its last resort to stop or restart another CPU. The guest's
//! state becomes what INIT makes of a CPU, waiting for its SIPI; the SIPI exits
//! too, and the guest begins in real mode where it says. Unrestricted guest
//! makes that possible without emulation.

use x86::vmx::vmcs::control;
use x86::vmx::vmcs::guest;

use super::field;
use super::field::write;
use crate::area::Registers;
use crate::area::register;
use crate::instruction;
use crate::segment::SegmentState;

/// Activity state: nothing but a SIPI has an effect.
pub const WAIT_FOR_SIPI: u64 = 3;
/// CR0.ET; CD and NW stay as they are.
const CR0_ET: u64 = 1 << 4;
const CR0_KEPT: u64 = 3 << 29;
const LONG_MODE_GUEST: u64 = 1 << 9;

const fn segment(selector: u16, base: u64, attributes: u16) -> SegmentState {
    SegmentState {
        selector,
        attributes,
        limit: 0xffff,
        base,
    }
}

/// Makes of the guest what INIT makes of a CPU.
pub fn initialize(registers: &mut Registers, masks: [u64; 2]) {
    *registers = Registers::default();
    registers.0[register::RDX] = u64::from(instruction::identify(1, 0)[0]);
    let data = segment(0, 0, 0x93);
    for fields in [field::DS, field::ES, field::FS, field::GS, field::SS] {
        fields.write(data);
    }
    field::CS.write(segment(0xf000, 0xffff_0000, 0x9b));
    field::LDTR.write(segment(0, 0, 0x82));
    field::TR.write(segment(0, 0, 0x8b));
    let cr0 = field::read(guest::CR0) & CR0_KEPT | CR0_ET;
    for (number, value) in [
        (guest::GDTR_BASE, 0),
        (guest::GDTR_LIMIT, 0xffff),
        (guest::IDTR_BASE, 0),
        (guest::IDTR_LIMIT, 0xffff),
        (guest::CR0, cr0 | masks[0]),
        (control::CR0_READ_SHADOW, cr0),
        (guest::CR3, 0),
        (guest::CR4, masks[1]),
        (control::CR4_READ_SHADOW, 0),
        (guest::IA32_EFER_FULL, 0),
        (guest::DR7, 0x400),
        (guest::IA32_DEBUGCTL_FULL, 0),
        (guest::RSP, 0),
        (guest::RIP, 0xfff0),
        (guest::RFLAGS, 2),
        (guest::INTERRUPTIBILITY_STATE, 0),
        (guest::PENDING_DBG_EXCEPTIONS, 0),
        (guest::ACTIVITY_STATE, WAIT_FOR_SIPI),
        (control::VMENTRY_INTERRUPTION_INFO_FIELD, 0),
    ] {
        write(number, value);
    }
    let entry = field::read(control::VMENTRY_CONTROLS);
    write(control::VMENTRY_CONTROLS, entry & !LONG_MODE_GUEST);
}

/// Starts it at a page below 1 MiB, the SIPI's vector.
pub fn start(page: u64) {
    field::CS.write(segment((page << 8) as u16, page << 12, 0x9b));
    write(guest::RIP, 0);
    write(guest::ACTIVITY_STATE, 0);
    // While it waited, SMIs and NMIs were blocked, which the exit has noted; a CPU
    // that starts blocks none, and an entry with SMIs blocked would fail (26.3.1.5).
    write(guest::INTERRUPTIBILITY_STATE, 0);
}
