// SPDX-License-Identifier: MIT OR Apache-2.0
//! Entries of the nested page tables (APM 15.25.5).
//!
//! They are ordinary long-mode entries. Every nested access counts as one from
//! user mode, so the user bit is always set. Accessed and dirty are set from
//! the start, so that the walker has nothing to write. Memory types are not
//! here: nested paging honours the MTRRs and the guest's own PAT (APM 15.25.8),
//! and entry bits 3 and 4 of 0 say "no further restriction".

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::Stage2Format;

use crate::stage2;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;

/// The format of nested page tables.
#[derive(Debug)]
pub struct NestedFormat;

impl Stage2Format for NestedFormat {
    const BREAK_BEFORE_MAKE: bool = false;

    fn table(next: HostPhysical) -> u64 {
        next.0 | PRESENT | WRITABLE | USER | ACCESSED
    }

    fn leaf(level: Level, target: HostPhysical, access: Access) -> u64 {
        let rights = match access {
            Access::All => WRITABLE,
            Access::Read => NO_EXECUTE,
        };
        let large = if level > 0 { LARGE } else { 0 };
        target.0 | PRESENT | USER | ACCESSED | DIRTY | rights | large
    }

    fn decode(level: Level, raw: u64) -> Entry {
        if raw & PRESENT == 0 {
            return Entry::Empty;
        }
        stage2::meaning(level, raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_decode_to_what_they_were() {
        for level in 0..=2 {
            for access in [Access::All, Access::Read] {
                let target = HostPhysical(0x40_0000_0000);
                let raw = NestedFormat::leaf(level, target, access);
                assert_eq!(
                    NestedFormat::decode(level, raw),
                    Entry::Leaf(target, access)
                );
            }
        }
        let next = HostPhysical(0x1234_5000);
        let raw = NestedFormat::table(next);
        assert_eq!(NestedFormat::decode(2, raw), Entry::Table(next));
        assert_eq!(NestedFormat::decode(2, 0), Entry::Empty);
    }

    #[test]
    fn the_zero_page_can_be_read_and_nothing_else() {
        let raw = NestedFormat::leaf(0, HostPhysical(0x1000), Access::Read);
        assert_eq!(raw & WRITABLE, 0);
        assert_ne!(raw & NO_EXECUTE, 0);
    }
}
