// SPDX-License-Identifier: MIT OR Apache-2.0
//! The local APIC: knocking at other CPUs, stopping them, and putting an interrupt that
//! was being handled to its end (APM 16; the x2APIC's registers are model-specific,
//! APM 16.11).
//!
//! The shorthand "all but this one" also reaches CPUs that are not in. They are off: an
//! NMI wakes them from their halt and they halt again, an INIT is what their kernel
//! would send them first.
#![expect(unsafe_code, reason = "reaches the registers")]

use mercury_hal::addr::HostPhysical;

use super::sight::Sight;
use crate::instruction;

const APIC_BASE: u32 = 0x1b;
/// APIC_BASE: x2APIC mode.
const EXTENDED: u64 = 1 << 10;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// First of the x2APIC's registers; the offset in the page is 16 times the number.
const EXTENDED_BASE: u32 = 0x800;
const END_OF_INTERRUPT: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
/// Spurious-interrupt vector register: the APIC is enabled.
const ENABLED: u32 = 1 << 8;
const IN_SERVICE: u64 = 0x100;
const REQUESTED: u64 = 0x200;
const COMMAND: u64 = 0x300;
/// Command: it has not been delivered yet (xAPIC only).
const PENDING: u32 = 1 << 12;

const ALL_BUT_THIS: u32 = 3 << 18;
const ASSERTED: u32 = 1 << 14;
const NMI: u32 = 4 << 8;
const INIT: u32 = 5 << 8;

fn read(sight: &mut Sight, register: u64) -> u32 {
    let base = instruction::read_known_msr(APIC_BASE);
    if base & EXTENDED != 0 {
        return instruction::read_known_msr(EXTENDED_BASE + (register >> 4) as u32) as u32;
    }
    // SAFETY: the register is one of the APIC's, where APIC_BASE says that it is.
    unsafe { sight.read_register(HostPhysical(base & ADDRESS), register) }
}

fn write(sight: &mut Sight, register: u64, value: u32) {
    let base = instruction::read_known_msr(APIC_BASE);
    if base & EXTENDED != 0 {
        // SAFETY: the register exists in this mode, and the image takes no interrupts.
        unsafe {
            instruction::write_msr(EXTENDED_BASE + (register >> 4) as u32, u64::from(value));
        }
        return;
    }
    // SAFETY: as above.
    unsafe { sight.write_register(HostPhysical(base & ADDRESS), register, value) }
}

fn command(sight: &mut Sight, what: u32) {
    write(sight, COMMAND, what | ASSERTED | ALL_BUT_THIS);
    let extended = instruction::read_known_msr(APIC_BASE) & EXTENDED != 0;
    for _ in 0..1_000_000 {
        if extended || read(sight, COMMAND) & PENDING == 0 {
            break;
        }
        core::hint::spin_loop();
    }
}

/// An NMI for all other CPUs.
pub fn knock(sight: &mut Sight) {
    command(sight, NMI);
}

/// INIT for all other CPUs: they are off until they are started.
pub fn switch_others_off(sight: &mut Sight) {
    command(sight, INIT);
}

/// Whether one of the 256 bits from this register on is set.
fn any(sight: &mut Sight, first: u64) -> bool {
    (0..8).any(|word| read(sight, first + 16 * word) != 0)
}

/// Ends every interrupt that this CPU was handling, and takes and ends those that wait:
/// whoever handled or expected them is gone. One that stays would be handled by the
/// checkpoint's kernel, and among them may be the request to stop for good.
///
/// # Safety
/// The exception table is in force, and interrupts are held off by RFLAGS alone.
pub unsafe fn end_interrupts(sight: &mut Sight) {
    /// There are no more vectors than that.
    const VECTORS: u32 = 256;
    let spurious = read(sight, SPURIOUS);
    // A CPU that was stopped has switched it off, and it keeps what waits.
    write(sight, SPURIOUS, spurious | ENABLED);
    for _ in 0..VECTORS {
        for _ in 0..VECTORS {
            if !any(sight, IN_SERVICE) {
                break;
            }
            write(sight, END_OF_INTERRUPT, 0);
        }
        if !any(sight, REQUESTED) {
            break;
        }
        // SAFETY: as the caller says.
        unsafe { instruction::let_interrupt_in() };
    }
    write(sight, SPURIOUS, spurious);
}
