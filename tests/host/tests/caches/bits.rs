// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an ARM64 CPU reads registers and entries, written from the manual and
//! not from `arch/aarch64` (Arm ARM D8.2, D8.3, D24.2).

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_sim::weak::Bits;
use mercury_sim::weak::Start;

pub(crate) const BITS: Bits = Bits {
    stage2: |hcr| hcr & 1 == 1,
    vmid: |vttbr| (vttbr >> 48) as u16,
    start,
    entry,
};

fn start(vtcr: u64, vttbr: u64, address: u64) -> Option<Start> {
    let field = |low: u32, bits: u32| vtcr >> low & ((1 << bits) - 1);
    if address >> (64 - field(0, 6)) != 0 {
        return None;
    }
    // SL0 counts from level 2 up; here, levels count from the leaves up.
    let level = field(6, 2) as u8 + 1;
    let table = address >> (12 + 9 * (u32::from(level) + 1));
    Some(Start {
        table: (vttbr & 0x0000_ffff_ffff_fffe) + table * 4096,
        level,
        // Inner and outer write-back, inner shareable.
        cached: (field(8, 2), field(10, 2), field(12, 2)) == (1, 1, 3),
    })
}

fn entry(level: Level, raw: u64) -> Entry {
    let address = HostPhysical(raw & 0x0000_ffff_ffff_f000);
    match (raw & 3, level) {
        (3, 1..) => Entry::Table(address),
        (3, 0) | (1, 1 | 2) => Entry::Leaf(
            address,
            if raw >> 7 & 1 == 1 {
                Access::All
            } else {
                Access::Read
            },
        ),
        _ => Entry::Empty,
    }
}
