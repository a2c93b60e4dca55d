// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the sim's nested tables look: what the software writes into an entry
//! ([`SimFormat`]), and what the hardware reads out of one ([`Hardware`]).
//!
//! The two are written apart on purpose. The core asks the format to write and
//! to decode; the sim's MMU never does, it looks at the bits itself. So a
//! format that writes a wrong bit and reads it back happily is found out. For
//! the same reason no bit lies where a real format has it: code that knew
//! x86's bits by heart would not work here.
//!
//! ```text
//! 63..12  address >> 12, in place
//! 11      valid
//! 10      the next table (otherwise memory)
//! 9       the guest may write and execute
//! ```

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::Stage2Format;

const VALID: u64 = 1 << 11;
const TABLE: u64 = 1 << 10;
const FREE: u64 = 1 << 9;
const ADDRESS: u64 = !0xfff;

/// The sim's format, as software uses it.
#[derive(Debug)]
pub struct SimFormat;

impl Stage2Format for SimFormat {
    const BREAK_BEFORE_MAKE: bool = false;

    fn table(next: HostPhysical) -> u64 {
        next.0 | VALID | TABLE
    }

    fn leaf(_: Level, target: HostPhysical, access: Access) -> u64 {
        let free = match access {
            Access::All => FREE,
            Access::Read => 0,
        };
        target.0 | VALID | free
    }

    fn decode(_: Level, raw: u64) -> Entry {
        let address = HostPhysical(raw & ADDRESS);
        match (raw & VALID != 0, raw & TABLE != 0, raw & FREE != 0) {
            (false, ..) => Entry::Empty,
            (true, true, _) => Entry::Table(address),
            (true, false, true) => Entry::Leaf(address, Access::All),
            (true, false, false) => Entry::Leaf(address, Access::Read),
        }
    }
}

/// What hardware of some architecture makes of an entry at `level`.
pub type Hardware = fn(level: Level, raw: u64) -> Entry;

/// The sim's hardware. It is picky: bits that mean nothing must be clear, and
/// memory must be aligned to what the level spans.
///
/// # Panics
/// On an entry that no correct software writes.
#[must_use]
pub fn sim_hardware(level: Level, raw: u64) -> Entry {
    if raw >> 11 & 1 == 0 {
        assert_eq!(raw, 0, "an entry that is not valid must be empty");
        return Entry::Empty;
    }
    assert_eq!(raw & 0x1ff, 0, "reserved bits in entry {raw:#x}");
    let address = HostPhysical(raw >> 12 << 12);
    if raw >> 10 & 1 == 1 {
        assert_eq!(raw >> 9 & 1, 0, "rights of a table in entry {raw:#x}");
        assert!(level > 0, "a table below the last level: {raw:#x}");
        return Entry::Table(address);
    }
    let span = 1u64 << (12 + 9 * u32::from(level));
    assert_eq!(address.0 % span, 0, "{raw:#x} is not aligned to its level");
    if raw >> 9 & 1 == 1 {
        Entry::Leaf(address, Access::All)
    } else {
        Entry::Leaf(address, Access::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_reads_what_software_writes() {
        for access in [Access::All, Access::Read] {
            for level in 0..3 {
                let raw = SimFormat::leaf(level, HostPhysical(3 << 30), access);
                let entry = Entry::Leaf(HostPhysical(3 << 30), access);
                assert_eq!(sim_hardware(level, raw), entry);
                assert_eq!(SimFormat::decode(level, raw), entry);
            }
        }
        let raw = SimFormat::table(HostPhysical(0x5000));
        assert_eq!(sim_hardware(1, raw), Entry::Table(HostPhysical(0x5000)));
        assert_eq!(sim_hardware(1, 0), Entry::Empty);
    }
}
