// SPDX-License-Identifier: MIT OR Apache-2.0
//! Entries of the stage 2 tables, 4-KiB granule (Arm ARM D8.3).
//!
//! Memory is mapped Normal, inner and outer write-back, inner shareable. That
//! is the weakest type there is, and the stricter of both stages wins (D8.6.2):
//! a page that the kernel maps as a device stays a device. The access flag is
//! set from the start, so that no access faults to set it.

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::Stage2Format;

const VALID: u64 = 1;
/// A table above level 3 (the leaves' level), a page at it.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// MemAttr: Normal, write-back both inner and outer.
const WRITE_BACK: u64 = 0b1111 << 2;
/// S2AP: read.
const READABLE: u64 = 1 << 6;
/// S2AP: write.
const WRITABLE: u64 = 1 << 7;
/// SH: inner shareable.
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESS_FLAG: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 1 << 54;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// The format of stage 2 tables.
#[derive(Debug)]
pub struct Stage2Tables;

impl Stage2Format for Stage2Tables {
    const BREAK_BEFORE_MAKE: bool = true;

    fn table(next: HostPhysical) -> u64 {
        next.0 | VALID | TABLE_OR_PAGE
    }

    fn leaf(level: Level, target: HostPhysical, access: Access) -> u64 {
        let rights = match access {
            Access::All => READABLE | WRITABLE,
            Access::Read => READABLE | EXECUTE_NEVER,
        };
        let page = if level == 0 { TABLE_OR_PAGE } else { 0 };
        target.0 | VALID | page | WRITE_BACK | rights | INNER_SHAREABLE | ACCESS_FLAG
    }

    fn decode(level: Level, raw: u64) -> Entry {
        let address = HostPhysical(raw & ADDRESS);
        let access = if raw & WRITABLE != 0 {
            Access::All
        } else {
            Access::Read
        };
        match (raw & VALID != 0, raw & TABLE_OR_PAGE != 0, level) {
            (true, true, 1..) => Entry::Table(address),
            (true, true, 0) | (true, false, 1..) => Entry::Leaf(address, access),
            // Not valid, or a block where only pages may be.
            (false, ..) | (true, false, 0) => Entry::Empty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_decode_to_what_they_were() {
        for level in 0..=2 {
            for access in [Access::All, Access::Read] {
                let target = HostPhysical(0x80_4000_0000);
                let raw = Stage2Tables::leaf(level, target, access);
                assert_eq!(
                    Stage2Tables::decode(level, raw),
                    Entry::Leaf(target, access)
                );
            }
        }
        let next = HostPhysical(0x4012_3000);
        assert_eq!(
            Stage2Tables::decode(2, Stage2Tables::table(next)),
            Entry::Table(next)
        );
        assert_eq!(Stage2Tables::decode(1, 0), Entry::Empty);
    }

    #[test]
    fn leaves_are_as_the_late_launch_proved_them() {
        // The block and page attributes with which Linux was run beneath EL2
        // on six CPU models.
        assert_eq!(Stage2Tables::leaf(2, HostPhysical(0), Access::All), 0x7fd);
        assert_eq!(Stage2Tables::leaf(0, HostPhysical(0), Access::All), 0x7ff);
    }

    #[test]
    fn the_zero_page_can_be_read_and_nothing_else() {
        let raw = Stage2Tables::leaf(0, HostPhysical(0x1000), Access::Read);
        assert_eq!(raw & WRITABLE, 0);
        assert_ne!(raw & EXECUTE_NEVER, 0);
    }
}
