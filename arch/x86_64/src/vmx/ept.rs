// SPDX-License-Identifier: MIT OR Apache-2.0
//! Entries of the extended page tables (SDM volume 3, 28.3.2).
//!
//! Bits 0 to 2 of an entry are read, write and execute; bits 3 to 5 of a leaf
//! are the memory type, which stands for the MTRRs ([`super::mtrr`]); bit 6
//! would ignore the guest's own PAT, and stays clear. Accessed and dirty bits
//! are not used (the pointer does not switch them on).

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;

use crate::stage2;

const READ: u64 = 1;
const WRITE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 2;
const LARGE: u64 = 1 << 7;

/// An entry that names the next table.
#[must_use]
pub const fn table(next: HostPhysical) -> u64 {
    next.0 | READ | WRITE | EXECUTE
}

/// A leaf of this memory type.
#[must_use]
pub const fn leaf(level: Level, target: HostPhysical, access: Access, memory_type: u8) -> u64 {
    let rights = match access {
        Access::All => READ | WRITE | EXECUTE,
        Access::Read => READ,
    };
    let large = if level > 0 { LARGE } else { 0 };
    target.0 | rights | (memory_type as u64 & 7) << 3 | large
}

/// What an entry means.
#[must_use]
pub const fn decode(level: Level, raw: u64) -> Entry {
    if raw & (READ | WRITE | EXECUTE) == 0 {
        return Entry::Empty;
    }
    stage2::meaning(level, raw)
}

/// The EPT pointer: tables are write-back, walked from the root at this level.
#[must_use]
pub const fn pointer(root: HostPhysical, root_level: Level) -> u64 {
    root.0 | (root_level as u64) << 3 | super::mtrr::WRITE_BACK as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_decode_to_what_they_were() {
        for level in 0..=2 {
            for access in [Access::All, Access::Read] {
                for memory_type in [0, 1, 4, 5, 6] {
                    let target = HostPhysical(0x40_0000_0000);
                    let raw = leaf(level, target, access, memory_type);
                    assert_eq!(decode(level, raw), Entry::Leaf(target, access));
                    assert_eq!(raw >> 3 & 7, u64::from(memory_type));
                }
            }
        }
        let next = HostPhysical(0x1234_5000);
        assert_eq!(decode(2, table(next)), Entry::Table(next));
        assert_eq!(decode(2, 0), Entry::Empty);
    }

    #[test]
    fn the_zero_page_can_be_read_and_nothing_else() {
        assert_eq!(leaf(0, HostPhysical(0x1000), Access::Read, 6) & 7, READ);
    }

    #[test]
    fn the_pointer_counts_levels_from_zero() {
        // SDM: bits 3 to 5 are the length of the walk minus 1.
        assert_eq!(pointer(HostPhysical(0x5000), 3), 0x5000 | 3 << 3 | 6);
    }
}
