// SPDX-License-Identifier: MIT OR Apache-2.0
//! How large the stage 2 map must be, and how it begins (Arm ARM D8.2).
//!
//! The input size is the physical address size of the CPUs, the smallest of all
//! of them. Up to 42 bits the walk begins at level 1, with up to eight tables of
//! 512 entries that follow each other ("concatenated"); a start at level 0 is
//! allowed only where the CPU has 44 bits or more.

/// What VTCR_EL2 and the root have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartOfWalk {
    /// Bits of an intermediate physical address.
    pub address_bits: u32,
    /// Root tables that follow each other: 1, 2 or 8.
    pub root_tables: u32,
    /// Levels of tables, the leaves' included: 3 or 4.
    pub levels: u32,
}

/// The start for a value of ID_AA64MMFR0_EL1.PARange; nothing for values that
/// no manual has given a meaning yet or that this granule cannot reach.
#[must_use]
pub const fn start_of_walk(physical_range: u64) -> Option<StartOfWalk> {
    let address_bits = match physical_range & 0xf {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        // 52 bits need another table format (LPA2); 48 of them are used.
        5..=6 => 48,
        _ => return None,
    };
    Some(if address_bits <= 39 {
        StartOfWalk {
            address_bits,
            root_tables: 1,
            levels: 3,
        }
    } else if address_bits <= 42 {
        StartOfWalk {
            address_bits,
            root_tables: 1 << (address_bits - 39),
            levels: 3,
        }
    } else {
        StartOfWalk {
            address_bits,
            root_tables: 1,
            levels: 4,
        }
    })
}

/// The value of ID_AA64MMFR0_EL1.PARange that stands for so many bits; nothing
/// for numbers of bits that no CPU has.
#[must_use]
pub const fn physical_range(bits: u32) -> Option<u64> {
    Some(match bits {
        32 => 0,
        36 => 1,
        40 => 2,
        42 => 3,
        44 => 4,
        48 => 5,
        52 => 6,
        _ => return None,
    })
}

impl StartOfWalk {
    /// VTCR_EL2 for this start: 4-KiB granule, walks write-back and inner
    /// shareable, 8-bit VMIDs.
    #[must_use]
    pub const fn vtcr(self, physical_range: u64) -> u64 {
        const RESERVED_ONE: u64 = 1 << 31;
        const INNER_SHAREABLE: u64 = 3 << 12;
        const OUTER_WRITE_BACK: u64 = 1 << 10;
        const INNER_WRITE_BACK: u64 = 1 << 8;
        let physical = if physical_range & 0xf > 5 {
            5
        } else {
            physical_range & 0xf
        };
        // SL0: 1 begins at level 1 (three levels), 2 at level 0.
        let start = (self.levels as u64 - 2) << 6;
        RESERVED_ONE
            | physical << 16
            | INNER_SHAREABLE
            | OUTER_WRITE_BACK
            | INNER_WRITE_BACK
            | start
            | (64 - self.address_bits as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_bits_are_two_tables_at_level_1() {
        let start = start_of_walk(2).unwrap();
        assert_eq!((start.levels, start.root_tables), (3, 2));
        // As the late launch ran with it, but for PARange (there 4, of an a72).
        assert_eq!(start.vtcr(4), 0x8004_3558);
    }

    #[test]
    fn every_range_is_covered() {
        for (range, bits, levels, tables) in [
            (0, 32, 3, 1),
            (1, 36, 3, 1),
            (2, 40, 3, 2),
            (3, 42, 3, 8),
            (4, 44, 4, 1),
            (5, 48, 4, 1),
            (6, 48, 4, 1),
        ] {
            let start = start_of_walk(range).unwrap();
            assert_eq!(
                (start.address_bits, start.levels, start.root_tables),
                (bits, levels, tables)
            );
            let reach = 12 + 9 * start.levels + start.root_tables.ilog2();
            assert!(reach >= bits, "{range}");
        }
        assert_eq!(start_of_walk(9), None);
        for range in 0..=6 {
            let bits = [32, 36, 40, 42, 44, 48, 52][range as usize];
            assert_eq!(physical_range(bits), Some(range));
        }
        assert_eq!(physical_range(39), None);
    }
}
