// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory types, as the MTRRs say (SDM volume 3, 11.11).
//!
//! Under EPT the MTRRs no longer count: the type in the EPT entry takes their
//! place (28.3.7.2), and is combined with the guest's own PAT as theirs would
//! have been. So every leaf gets the type that the MTRRs have for it, and a leaf
//! must not be larger than the region over which that type holds.

use crate::instruction;

/// Uncacheable.
pub const UNCACHEABLE: u8 = 0;
/// Write-through.
pub const WRITE_THROUGH: u8 = 4;
/// Write-back.
pub const WRITE_BACK: u8 = 6;

/// Most variable ranges that a CPU has: VCNT says how many, 10 where we looked.
const MOST: usize = 16;
/// The fixed-range registers: 64 KiB, 16 KiB and 4 KiB an entry.
const FIXED: [u32; 11] = [
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
];
/// Below this the fixed ranges decide, where they are on.
const FIXED_END: u64 = 0x10_0000;

/// A variable range: base with type, and mask; both as the registers hold them.
#[derive(Clone, Copy, Debug, Default)]
struct Variable {
    base: u64,
    mask: u64,
}

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Variable {
    const fn valid(self) -> bool {
        self.mask & 1 << 11 != 0
    }
    const fn kind(self) -> u8 {
        self.base as u8
    }
    const fn holds(self, address: u64) -> bool {
        (address ^ self.base) & self.mask & ADDRESS == 0
    }
    /// Whether all of an aligned span is inside, or all of it outside.
    const fn whole(self, start: u64, span: u64) -> bool {
        let within = self.mask & ADDRESS & (span - 1);
        let above = (start ^ self.base) & self.mask & ADDRESS & !(span - 1);
        above != 0 || within == 0
    }
}

/// The registers of one CPU; firmware sets all CPUs alike.
#[derive(Clone, Copy, Debug)]
pub struct MemoryTypes {
    default: u64,
    fixed: [u64; FIXED.len()],
    variable: [Variable; MOST],
}

impl MemoryTypes {
    /// Everything write-back: before anybody has read the registers.
    pub const WRITE_BACK: Self = Self {
        default: 1 << 11 | WRITE_BACK as u64,
        fixed: [0; FIXED.len()],
        variable: [Variable { base: 0, mask: 0 }; MOST],
    };

    /// Reads them with `read`, which has to exist on a CPU with MTRRs.
    pub fn from_registers(read: impl Fn(u32) -> u64) -> Self {
        let capability = read(x86::msr::IA32_MTRRCAP);
        let mut types = Self {
            default: read(x86::msr::IA32_MTRR_DEF_TYPE),
            ..Self::WRITE_BACK
        };
        if capability & 1 << 8 == 0 {
            types.default &= !(1 << 10);
        } else {
            for (value, register) in types.fixed.iter_mut().zip(FIXED) {
                *value = read(register);
            }
        }
        let count = (capability & 0xff) as usize;
        let pairs = (x86::msr::IA32_MTRR_PHYSBASE0..).step_by(2);
        for (range, register) in types.variable.iter_mut().take(count).zip(pairs) {
            *range = Variable {
                base: read(register),
                mask: read(register + 1),
            };
        }
        types
    }

    /// Reads them from this CPU.
    #[must_use]
    pub fn read() -> Self {
        const HAS_MTRRS: u32 = 1 << 12;
        if instruction::identify(1, 0)[3] & HAS_MTRRS == 0 {
            return Self::WRITE_BACK;
        }
        Self::from_registers(instruction::read_known_msr)
    }

    const fn on(&self) -> bool {
        self.default & 1 << 11 != 0
    }

    const fn fixed_on(&self) -> bool {
        self.on() && self.default & 1 << 10 != 0
    }

    /// The type at an address.
    #[must_use]
    pub fn at(&self, address: u64) -> u8 {
        if !self.on() {
            return UNCACHEABLE;
        }
        if self.fixed_on() && address < FIXED_END {
            return self.fixed_at(address);
        }
        self.variable
            .iter()
            .filter(|range| range.valid() && range.holds(address))
            .map(|range| range.kind())
            .reduce(overlap)
            .unwrap_or(self.default as u8)
    }

    /// Eight types a register, the lowest address in the lowest byte.
    fn fixed_at(&self, address: u64) -> u8 {
        let (register, byte) = match address {
            0..0x8_0000 => (0, address >> 16),
            0x8_0000..0xc_0000 => (1 + ((address - 0x8_0000) >> 17), address >> 14 & 7),
            _ => (3 + ((address - 0xc_0000) >> 15), address >> 12 & 7),
        };
        let value = self.fixed.get(register as usize).copied().unwrap_or(0);
        (value >> (8 * byte)) as u8
    }

    /// Whether one type holds over an aligned span. It may say no where parts
    /// happen to be alike; of a page it always says yes.
    #[must_use]
    pub fn uniform(&self, start: u64, span: u64) -> bool {
        if span <= 4096 || !self.on() {
            return true;
        }
        if self.fixed_on() && start < FIXED_END {
            return false;
        }
        self.variable
            .iter()
            .filter(|range| range.valid())
            .all(|range| range.whole(start, span))
    }
}

/// Two ranges over one address (11.11.4.1): uncacheable wins, write-through
/// beats write-back; anything else is undefined, and uncacheable is always right.
fn overlap(one: u8, other: u8) -> u8 {
    match (one, other) {
        _ if one == other => one,
        (WRITE_BACK, WRITE_THROUGH) | (WRITE_THROUGH, WRITE_BACK) => WRITE_THROUGH,
        _ => UNCACHEABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::vec::Vec;

    /// A PC with 512 MiB: default write-back, the hole below 4 GiB uncacheable.
    fn types(more: &[(u32, u64)]) -> MemoryTypes {
        let mut registers = HashMap::from([
            (0xfe, 1 << 8 | 8),
            (0x2ff, 1 << 11 | 1 << 10 | 6),
            (0x200, 0xc000_0000),
            (0x201, 0xff_c000_0000 | 1 << 11),
            (0x250, 0x0606_0606_0606_0606),
            (0x258, 0x0606_0606_0606_0606),
            (0x26f, 0x0504_0504_0504_0506),
        ]);
        registers.extend(more.iter().copied());
        MemoryTypes::from_registers(|number| registers.get(&number).copied().unwrap_or(0))
    }

    #[test]
    fn fixed_ranges_are_read_low_byte_first() {
        let types = types(&[]);
        assert_eq!(types.at(0), 6);
        assert_eq!(types.at(0x9_ffff), 6);
        // 0xa0000: not set, so uncacheable.
        assert_eq!(types.at(0xa_0000), 0);
        assert_eq!(types.at(0xf_8000), 6);
        assert_eq!(types.at(0xf_9000), 5);
        assert_eq!(types.at(0xf_f000), 5);
        assert_eq!(types.at(0x10_0000), 6);
    }

    #[test]
    fn overlaps_go_to_the_more_careful_one() {
        // Write-back and write-through over 1 GiB, uncacheable over 2 MiB in it.
        let one_gib = 0xff_c000_0000 | 1 << 11;
        let types = types(&[
            (0x202, 0x4000_0006),
            (0x203, one_gib),
            (0x204, 0x4000_0004),
            (0x205, one_gib),
            (0x206, 0x4020_0000),
            (0x207, 0xff_ffe0_0000 | 1 << 11),
        ]);
        assert_eq!(types.at(0x4000_0000), WRITE_THROUGH);
        assert_eq!(types.at(0x4020_0000), UNCACHEABLE);
        assert_eq!(types.at(0x403f_ffff), UNCACHEABLE);
        assert_eq!(types.at(0x4040_0000), WRITE_THROUGH);
        assert_eq!(overlap(1, WRITE_BACK), UNCACHEABLE);
        assert!(!types.uniform(0x4000_0000, 1 << 30));
        assert!(types.uniform(0x4020_0000, 2 << 20));
        assert!(types.uniform(0xc000_0000, 1 << 30));
        assert!(types.uniform(0x8000_0000, 1 << 30));
        assert!(!types.uniform(0, 2 << 20));
        assert!(types.uniform(0x20_0000, 2 << 20));
    }

    #[test]
    fn switched_off_means_uncacheable() {
        let off = types(&[(0x2ff, 6)]);
        assert_eq!((off.at(0), off.at(0x1000_0000)), (0, 0));
        // No fixed ranges: the variable ones reach down to 0.
        let plain = types(&[(0x2ff, 1 << 11 | 6)]);
        assert_eq!(plain.at(0xa_0000), 6);
        assert_eq!(types(&[(0xfe, 8)]).at(0xa_0000), 6);
    }

    /// Whatever is called uniform has one type from end to end.
    #[test]
    fn uniform_means_what_it_says() {
        let all = types(&[
            (0x202, 0x1_0000_0004),
            (0x203, 0xff_8000_0000 | 1 << 11),
            (0x204, 0x0100_0000),
            (0x205, 0xff_ff00_0000 | 1 << 11),
        ]);
        for level in [1u32, 2] {
            let span = 1u64 << (12 + 9 * level);
            let starts: Vec<u64> = (0..64).map(|number| number * (span / 8)).collect();
            for start in starts {
                let start = start & !(span - 1);
                if all.uniform(start, span) {
                    let first = all.at(start);
                    for step in 0..256 {
                        assert_eq!(all.at(start + step * (span / 256)), first);
                    }
                }
            }
        }
    }
}
