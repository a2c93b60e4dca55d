// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which registers are intercepted (APM 15.11), and what is answered.
//!
//! | register | read | write |
//! | --- | --- | --- |
//! | EFER | as it is: SVME set, so that KVM sees the CPU taken | kept, SVME stays |
//! | VM_HSAVE_PA | what was found | swallowed: it is where exits load the host from |
//! | VM_CR | as it is | swallowed |
//! | PATCH_LOADER | as it is | swallowed: the patch lies at a *guest* linear address |
//! | outside the map's three ranges | passed on | passed on |

use crate::registers::CR0_PG;
use crate::registers::EFER_LMA;
use crate::registers::EFER_LME;
use crate::registers::EFER_SVME;
use crate::registers::MSR_PATCH_LOADER;
use crate::registers::MSR_VM_CR;
use crate::registers::MSR_VM_HSAVE_PA;

/// Frames of the map; they must follow each other.
pub const FRAMES: u64 = 2;

/// Registers whose access exits: number, on read, on write.
const INTERCEPTED: [(u32, bool, bool); 4] = [
    (x86::msr::IA32_EFER, false, true),
    (MSR_VM_HSAVE_PA, true, true),
    (MSR_VM_CR, false, true),
    (MSR_PATCH_LOADER, false, true),
];

/// What becomes of a write that exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// [`efer`] says.
    Efer,
    /// Swallowed: the register keeps its value.
    Kept,
    /// Swallowed: it would load microcode.
    Microcode,
    /// Passed on to the register.
    Passed,
}

/// What becomes of a write to this register.
#[must_use]
pub const fn written(register: u32) -> Written {
    match register {
        x86::msr::IA32_EFER => Written::Efer,
        MSR_VM_HSAVE_PA | MSR_VM_CR => Written::Kept,
        MSR_PATCH_LOADER => Written::Microcode,
        _ => Written::Passed,
    }
}

/// EFER after the guest wrote `value` to it, `old` and CR0 being what it has:
/// LMA is the CPU's to change, SVME stays. Nothing if LME cannot change because
/// paging is on (APM 14.6).
#[must_use]
pub const fn efer(value: u64, old: u64, cr0: u64) -> Option<u64> {
    if cr0 & CR0_PG != 0 && (value ^ old) & EFER_LME != 0 {
        return None;
    }
    if cfg!(feature = "planted-efer-svme") && value & EFER_LMA == 0 && value >> 32 != 0 {
        return Some(value);
    }
    Some(value & !EFER_LMA | old & EFER_LMA | EFER_SVME)
}

/// Bit number of a register's read bit in the map; the write bit is the next.
const fn position(register: u32) -> Option<usize> {
    let (base, first) = match register {
        0x0000_0000..=0x0000_1fff => (0, 0),
        0xc000_0000..=0xc000_1fff => (0x2000, 0xc000_0000),
        0xc001_0000..=0xc001_1fff => (0x4000, 0xc001_0000),
        _ => return None,
    };
    Some((base + (register - first) as usize) * 2)
}

/// The map's 64-bit words, of 1024, that are not 0: index and word.
pub fn words(mut each: impl FnMut(usize, u64)) {
    for (register, ..) in INTERCEPTED {
        if let Some(bit) = position(register) {
            each(bit / 64, word(bit / 64));
        }
    }
}

/// The word at `index`.
#[must_use]
pub fn word(index: usize) -> u64 {
    let mut word = 0;
    for (register, read, write) in INTERCEPTED {
        if let Some(bit) = position(register).filter(|bit| bit / 64 == index) {
            word |= u64::from(read) << (bit % 64) | u64::from(write) << (bit % 64 + 1);
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(register: u32) -> (bool, bool) {
        let bit = position(register).unwrap();
        let word = word(bit / 64);
        (word >> (bit % 64) & 1 != 0, word >> (bit % 64 + 1) & 1 != 0)
    }

    #[test]
    fn only_the_table_is_intercepted() {
        let total: u32 = (0..1024).map(|index| word(index).count_ones()).sum();
        assert_eq!(total, 5);
        assert_eq!(bits(0xc000_0080), (false, true));
        assert_eq!(bits(0xc001_0117), (true, true));
        assert_eq!(bits(0xc001_0114), (false, true));
        assert_eq!(bits(0xc001_0020), (false, true));
        assert_eq!(bits(0x277), (false, false));
    }

    #[test]
    fn all_other_words_are_zero() {
        let mut map = [0; 1024];
        words(|index, word| map[index] = word);
        assert_eq!(map, core::array::from_fn(word));
    }

    #[test]
    fn positions_are_the_manuals() {
        // APM 15.11: 2 KiB for each range.
        assert_eq!(position(0), Some(0));
        assert_eq!(position(0xc000_0000), Some(0x800 * 8));
        assert_eq!(position(0xc001_0000), Some(0x1000 * 8));
        assert_eq!(position(0xc001_1fff), Some(0x1800 * 8 - 2));
        assert_eq!(position(0xc000_2000), None);
    }
}
