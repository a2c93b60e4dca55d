// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events for the guest (SDM volume 3, 24.8.3, 27.2.4, 26.6).

use x86::vmx::vmcs::control;
use x86::vmx::vmcs::guest;
use x86::vmx::vmcs::ro;

use super::field;

/// There is an event.
pub const VALID: u64 = 1 << 31;
const HAS_ERROR: u64 = 1 << 11;
const KIND: u64 = 7 << 8;
const KIND_NMI: u64 = 2 << 8;
const KIND_EXCEPTION: u64 = 3 << 8;

/// #UD.
pub const UNDEFINED: u64 = VALID | KIND_EXCEPTION | 6;
/// #GP(0).
pub const PROTECTION: u64 = VALID | KIND_EXCEPTION | HAS_ERROR | 13;
/// #MC.
pub const MACHINE_CHECK: u64 = VALID | KIND_EXCEPTION | 18;
/// NMI.
pub const NMI: u64 = VALID | KIND_NMI | 2;

/// Interruptibility: NMIs are shut until the guest's IRET.
pub const NMI_SHUT: u64 = 1 << 3;
/// Interruptibility: the shadows of STI and of a load of SS.
pub const SHADOWS: u64 = 3;

/// What to inject after an exit that cut the delivery of an event short.
/// Interrupts, NMIs and faults are delivered again. What an instruction raised
/// on purpose (kinds 4 to 6) is not: RIP still points at the instruction, which
/// runs again by itself.
#[must_use]
pub const fn again(cut_short: u64) -> u64 {
    const FIRST_SOFTWARE: u64 = 4 << 8;
    const DEFINED: u64 = VALID | HAS_ERROR | KIND | 0xff;
    if cut_short & VALID == 0 || cut_short & KIND >= FIRST_SOFTWARE {
        0
    } else {
        cut_short & DEFINED
    }
}

/// Whether an event that waits for the next entry may be left out: a fault, that
/// the guest will raise again by running the same instruction again.
#[must_use]
pub const fn repeats(event: u64) -> bool {
    const MACHINE_CHECK_VECTOR: u64 = 18;
    const DEBUG_VECTOR: u64 = 1;
    let vector = event & 0xff;
    event & KIND == KIND_EXCEPTION && vector != MACHINE_CHECK_VECTOR && vector != DEBUG_VECTOR
}

/// Sets what the next entry delivers; 0 for nothing.
pub fn inject(event: u64) {
    field::write(control::VMENTRY_INTERRUPTION_INFO_FIELD, event);
    if event & HAS_ERROR != 0 {
        field::write(control::VMENTRY_EXCEPTION_ERR_CODE, 0);
    }
}

/// Carries an event that an exit cut short over to the next entry.
pub fn inject_again() {
    let event = again(field::read(ro::IDT_VECTORING_INFO));
    field::write(control::VMENTRY_INTERRUPTION_INFO_FIELD, event);
    if event & HAS_ERROR != 0 {
        let error = field::read(ro::IDT_VECTORING_ERR_CODE);
        field::write(control::VMENTRY_EXCEPTION_ERR_CODE, error);
    }
    if event & KIND == KIND_NMI && event != 0 {
        // Its delivery had shut NMIs, and will again.
        change_interruptibility(NMI_SHUT, 0);
    }
}

/// What waits for the next entry.
#[must_use]
pub fn waiting() -> u64 {
    field::read(control::VMENTRY_INTERRUPTION_INFO_FIELD)
}

/// Changes bits of the guest's interruptibility.
pub fn change_interruptibility(clear: u64, set: u64) {
    let old = field::read(guest::INTERRUPTIBILITY_STATE);
    field::write(guest::INTERRUPTIBILITY_STATE, old & !clear | set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_instruction_raised_is_not_raised_twice() {
        let interrupt = VALID | 0xec;
        let page_fault = VALID | KIND_EXCEPTION | HAS_ERROR | 14;
        // Bit 12 is undefined in the one and must be 0 in the other.
        for event in [interrupt, NMI, page_fault] {
            assert_eq!(again(event | 1 << 12), event);
        }
        let software = VALID | 4 << 8 | 0x80;
        let breakpoint = VALID | 6 << 8 | 3;
        for once in [software, breakpoint, interrupt & !VALID, 0] {
            assert_eq!(again(once), 0);
        }
    }

    #[test]
    fn only_faults_come_again_by_themselves() {
        assert!(repeats(UNDEFINED) && repeats(PROTECTION));
        assert!(!repeats(NMI) && !repeats(MACHINE_CHECK) && !repeats(VALID | 0xec));
        assert!(!repeats(VALID | KIND_EXCEPTION | 1));
    }
}
