// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an x86 CPU reads nested page tables (APM volume 2, 5.3 and 15.25),
//! written without a look at the code that writes them.

use mercury_hal::addr::HostPhysical;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::span;

const fn bit(raw: u64, number: u32) -> bool {
    raw >> number & 1 == 1
}

/// What the CPU makes of an entry; stops where it would fault, or do something
/// that nobody asked for.
pub(crate) fn hardware(level: Level, raw: u64) -> Entry {
    if !bit(raw, 0) {
        assert_eq!(raw, 0, "an entry that is not present is empty");
        return Entry::Empty;
    }
    assert!(bit(raw, 2), "nested accesses come from user mode: {raw:#x}");
    assert!(bit(raw, 5), "the CPU would have to set A: {raw:#x}");
    assert!(!bit(raw, 3) && !bit(raw, 4), "a memory type in {raw:#x}");
    assert_eq!(raw >> 52 & 0x7ff, 0, "reserved bits in {raw:#x}");
    let (writable, no_execute) = (bit(raw, 1), bit(raw, 63));
    let address = HostPhysical(raw & 0x000f_ffff_ffff_f000);
    if level > 0 && !bit(raw, 7) {
        assert!(writable && !no_execute, "a table that restricts: {raw:#x}");
        return Entry::Table(address);
    }
    assert!(level <= 2, "no leaf is larger than 1 GiB");
    assert!(level > 0 || !bit(raw, 7), "PAT in {raw:#x}");
    assert!(bit(raw, 6), "the CPU would have to set D: {raw:#x}");
    assert_eq!(address.0 % span(level), 0, "{raw:#x} is not aligned");
    match (writable, no_execute) {
        (true, false) => Entry::Leaf(address, Access::All),
        (false, true) => Entry::Leaf(address, Access::Read),
        other => panic!("{other:?}: neither memory nor the zero page"),
    }
}
