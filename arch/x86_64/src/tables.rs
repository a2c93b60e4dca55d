// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image's own descriptor tables.
//!
//! The GDT is shared and constant: code and data, under the same numbers as
//! Linux's, though nothing depends on that (the way in and the way out load
//! every selector). It names no TSS. Each CPU has its own, and TR is given it
//! by VMLOAD, hidden part and all (APM 15.5.2), or by a VM exit (SDM 27.5.2), so
//! no descriptor is read and none can be busy.
//!
//! The IDT is shared. Interrupts never arrive in the image, and under SVM no
//! NMIs (the global interrupt flag is clear from before the door until after it,
//! APM 15.17), so its 32 gates are for exceptions of the image itself, one that
//! the exception table expects or a bug, and under VMX for NMIs and machine
//! checks ([`crate::nmi`]). Double faults have a stack of their own (APM 8.9.4).

use mercury_hal::door::CPU_EXCEPTION_STACK_TOP;

/// Selector of the image's code segment.
pub const CODE: u16 = 0x10;
/// Selector of the image's data segment.
pub const DATA: u16 = 0x18;
/// Selector of the image's TSS.
pub const TASK: u16 = 0x20;

/// Attributes of a busy 64-bit TSS in a control block (APM 4.8.3).
pub const TASK_ATTRIBUTES: u16 = 0x8b;

/// Inclusive limit of a 64-bit TSS without an I/O map.
pub const TASK_LIMIT: u32 = 103;

/// The GDT: null, unused, code, data.
pub const DESCRIPTORS: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// A 64-bit TSS (APM 12.2.5), as words: its 64-bit fields are not aligned.
pub type TaskState = [u32; 26];

/// The TSS of the CPU whose area begins at `area`: IST1 is the exception stack.
#[must_use]
pub const fn task_state(area: u64) -> TaskState {
    let top = area + CPU_EXCEPTION_STACK_TOP;
    let mut state = [0; 26];
    state[9] = top as u32;
    state[10] = (top >> 32) as u32;
    // No I/O map: its offset lies beyond the limit.
    state[25] = 104 << 16;
    state
}

/// A gate of the IDT (APM 4.8.4): an interrupt gate to the image's code.
#[must_use]
pub const fn gate(handler: u64, stack: u8) -> [u64; 2] {
    let low = handler & 0xffff
        | (CODE as u64) << 16
        | (stack as u64) << 32
        | 0x8e00 << 32
        | (handler >> 16 & 0xffff) << 48;
    [low, handler >> 32]
}

#[cfg(test)]
mod tests {
    use crate::noted::Segment;

    use super::*;
    use crate::segment::SegmentState;

    #[test]
    fn code_is_64_bit_and_data_is_writable() {
        let state = |selector: u16| {
            SegmentState::from_descriptor(Segment {
                selector: u64::from(selector),
                descriptor: DESCRIPTORS[usize::from(selector) / 8],
            })
        };
        assert_eq!(state(CODE).attributes, 0xa9b);
        assert_eq!(state(DATA).attributes, 0xc93);
    }

    #[test]
    fn the_exception_stack_is_the_first_of_the_table() {
        let state = task_state(0x5_5000_0000);
        let first = u64::from(state[9]) | u64::from(state[10]) << 32;
        assert_eq!(first, 0x5_5000_0000 + CPU_EXCEPTION_STACK_TOP);
    }

    #[test]
    fn a_gate_takes_its_handler_apart() {
        let [low, high] = gate(0x1234_5678_9abc_def0, 1);
        assert_eq!(high, 0x1234_5678);
        assert_eq!(low >> 48, 0x9abc);
        assert_eq!(low & 0xffff, 0xdef0);
        assert_eq!(low >> 40 & 0xff, 0x8e);
        assert_eq!(low >> 32 & 7, 1);
    }
}
