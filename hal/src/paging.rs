// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an architecture says of its second-stage tables.
//!
//! All three backends have tables of 512 entries of 64 bits; they differ in
//! bits, in the number of levels and in which sizes a leaf may have. So the
//! walker stands once in the core and asks here how an entry is written.

use crate::addr::HostPhysical;

/// Height of a table above the 4-KiB leaves: 0 maps 4 KiB an entry, 1 maps
/// 2 MiB, 2 maps 1 GiB, 3 maps 512 GiB, 4 maps 256 TiB.
pub type Level = u8;

/// Bytes that one entry of a table at this level spans.
#[must_use]
pub const fn span(level: Level) -> u64 {
    1 << (12 + 9 * level as u32)
}

/// What the guest may do with a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything: ordinary memory and devices.
    All,
    /// Reads only, no execution: the zero page behind the hole.
    Read,
}

/// An entry, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing there: an access faults.
    Empty,
    /// The next table.
    Table(HostPhysical),
    /// Memory.
    Leaf(HostPhysical, Access),
}

/// How this architecture writes entries.
pub trait Stage2Format {
    /// Whether a present entry may change into another present one only by way
    /// of an empty one that every CPU has seen.
    const BREAK_BEFORE_MAKE: bool;
    /// The entry that names the next table.
    fn table(next: HostPhysical) -> u64;
    /// The entry that maps memory at `level`; `target` is aligned to its span.
    fn leaf(level: Level, target: HostPhysical, access: Access) -> u64;
    /// What an entry found at `level` means.
    fn decode(level: Level, raw: u64) -> Entry;
    /// Whether one leaf at `level` may say what is to be said of `target` and
    /// all of its span; if not, smaller ones must. Where memory types stand in
    /// the leaves, a leaf is no larger than the region of one type.
    fn one_leaf(_level: Level, _target: HostPhysical) -> bool {
        true
    }
}

/// The shape of the nested map on this machine, from the CPUs' ID registers:
/// the minimum over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Level of the root (2: three levels, 3: four, 4: five).
    pub root: Level,
    /// Tables at the root that follow each other: a power of two, for address
    /// spaces that are a little larger than one table reaches.
    pub root_tables: u64,
    /// Largest leaf that every CPU can use (1: 2 MiB, 2: 1 GiB).
    pub largest_leaf: Level,
    /// Bits of a physical address.
    pub address_bits: u32,
}

impl Shape {
    /// First address beyond what the map can hold and the CPU can name.
    #[must_use]
    pub const fn limit(self) -> u64 {
        let table_bits = 12 + 9 * (self.root as u32 + 1) + self.root_tables.trailing_zeros();
        let bits = if self.address_bits < table_bits {
            self.address_bits
        } else {
            table_bits
        };
        1 << bits
    }
}
