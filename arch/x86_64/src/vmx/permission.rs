// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which registers are intercepted (SDM volume 3, 24.6.9), and what is answered.
//!
//! | register | read | write |
//! | --- | --- | --- |
//! | BIOS_UPDT_TRIG | as it is | swallowed: the patch lies at a *guest* linear address |
//! | MTRRs | as they are | passed on, and noted: the nested map keeps the types of the attach |
//! | outside the map's two ranges | passed on | passed on |
//!
//! EFER, PAT and DEBUGCTL need no interception: the VMCS switches them. CR4.VMXE
//! is hidden by CR4's mask, and FEATURE_CONTROL is locked by the time that
//! anybody asks.

/// BIOS_UPDT_TRIG: loads microcode.
pub const MSR_UPDATE_TRIGGER: u32 = 0x79;

/// First and last register whose writes exit.
const INTERCEPTED: [(u32, u32); 5] = [
    (MSR_UPDATE_TRIGGER, MSR_UPDATE_TRIGGER),
    // Variable ranges.
    (0x200, 0x213),
    // Fixed ranges.
    (0x250, 0x259),
    (0x268, 0x26f),
    (x86::msr::IA32_MTRR_DEF_TYPE, x86::msr::IA32_MTRR_DEF_TYPE),
];

/// Whether a register is one of the MTRRs.
#[must_use]
pub fn is_memory_type(register: u32) -> bool {
    register != MSR_UPDATE_TRIGGER && intercepted(register)
}

fn intercepted(register: u32) -> bool {
    INTERCEPTED
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&register))
}

/// Index of the first word for writes of low registers.
const WRITES_OF_LOW: usize = 256;

/// The map's 64-bit words, of 512, that are not 0: index and word.
pub fn words(mut each: impl FnMut(usize, u64)) {
    for (first, last) in INTERCEPTED {
        for low in first / 64..=last / 64 {
            let index = WRITES_OF_LOW + low as usize;
            each(index, word(index));
        }
    }
}

/// The word at `index`: 1 KiB each for reads of low and high registers, then for
/// writes.
#[must_use]
pub fn word(index: usize) -> u64 {
    let Some(low) = index.checked_sub(WRITES_OF_LOW).filter(|low| *low < 128) else {
        return 0;
    };
    (0..64).fold(0, |word, bit| {
        let register = (low * 64 + bit) as u32;
        word | u64::from(intercepted(register)) << bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(register: usize) -> bool {
        word(256 + register / 64) >> (register % 64) & 1 != 0
    }

    #[test]
    fn all_other_words_are_zero() {
        let mut map = [0; 512];
        words(|index, word| map[index] = word);
        assert_eq!(map, core::array::from_fn(word));
    }

    #[test]
    fn only_writes_of_the_table_exit() {
        let reads: u32 = (0..256).map(|index| word(index).count_ones()).sum();
        let high: u32 = (384..512).map(|index| word(index).count_ones()).sum();
        assert_eq!((reads, high), (0, 0));
        assert!(writes(0x79) && writes(0x200) && writes(0x26f) && writes(0x2ff));
        assert!(!writes(0x277) && !writes(0x1d9) && !writes(0x3a) && !writes(0x174));
        assert!(is_memory_type(0x201) && !is_memory_type(0x79));
    }
}
