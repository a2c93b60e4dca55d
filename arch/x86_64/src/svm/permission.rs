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

use crate::registers::MSR_PATCH_LOADER;
use crate::registers::MSR_VM_CR;
use crate::registers::MSR_VM_HSAVE_PA;

/// Frames of the map; they must follow each other.
pub const FRAMES: usize = 2;

/// Registers whose access exits: number, on read, on write.
const INTERCEPTED: [(u32, bool, bool); 4] = [
    (x86::msr::IA32_EFER, false, true),
    (MSR_VM_HSAVE_PA, true, true),
    (MSR_VM_CR, false, true),
    (MSR_PATCH_LOADER, false, true),
];

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

/// The map's 64-bit word at `index`, of 1024.
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
    fn positions_are_the_manuals() {
        // APM 15.11: 2 KiB for each range.
        assert_eq!(position(0), Some(0));
        assert_eq!(position(0xc000_0000), Some(0x800 * 8));
        assert_eq!(position(0xc001_0000), Some(0x1000 * 8));
        assert_eq!(position(0xc001_1fff), Some(0x1800 * 8 - 2));
        assert_eq!(position(0xc000_2000), None);
    }
}
