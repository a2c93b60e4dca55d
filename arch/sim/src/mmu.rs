// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a CPU translates: the walk, the census of what a walk can find, and
//! the cache of translations.
//!
//! The walk reads words from [`Memory`] and knows nothing of the core's
//! walker, which it is compared with. The cache is the worst that hardware may
//! do: it never forgets by itself, and what it has is used though the table
//! says something else by now.

use std::collections::HashMap;

use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::HostPhysical;
use mercury_hal::exit::Touch;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Shape;
use mercury_hal::paging::span;

use crate::memory::Memory;
use crate::memory::WORDS;

/// What the hardware finds behind an address, offset included.
#[must_use]
pub fn walk(
    memory: &Memory,
    root: HostPhysical,
    shape: Shape,
    address: GuestPhysical,
) -> Option<(HostPhysical, Access)> {
    if address.0 >= shape.limit() {
        return None;
    }
    let mut table = root;
    for level in (0..=shape.root).rev() {
        let index = (address.0 >> (12 + 9 * u32::from(level))) as usize % WORDS;
        match memory.meaning(level, table, index) {
            Entry::Empty => return None,
            Entry::Table(next) => table = next,
            Entry::Leaf(target, access) => {
                assert!(level <= shape.largest_leaf, "no CPU has such leaves");
                let offset = address.0 % span(level);
                return Some((HostPhysical(target.0 + offset), access));
            }
        }
    }
    panic!("the table of the last level named another table");
}

/// Leaves by level and tables, counted by looking at every table that can be
/// reached.
#[must_use]
pub fn recount(memory: &Memory, root: HostPhysical, shape: Shape) -> ([u64; 3], u64) {
    let (mut leaves, mut tables) = ([0; 3], 0);
    let mut left = vec![(shape.root, root)];
    while let Some((level, table)) = left.pop() {
        tables += 1;
        for index in 0..WORDS {
            match memory.meaning(level, table, index) {
                Entry::Empty => {}
                Entry::Table(next) => left.push((level - 1, next)),
                Entry::Leaf(..) => leaves[usize::from(level)] += 1,
            }
        }
    }
    (leaves, tables)
}

/// Whether `access` allows the touch.
#[must_use]
pub fn allows(access: Access, touch: Touch) -> bool {
    match access {
        Access::All => true,
        // The walker sets bits in the guest's own tables, so it stores.
        Access::Read => touch == Touch::Read,
    }
}

/// One CPU's cache of translations, by page.
#[derive(Debug, Default)]
pub struct Tlb {
    pages: HashMap<GuestPhysical, (HostPhysical, Access)>,
    /// How often it was emptied.
    pub flushes: u64,
}

impl Tlb {
    /// Forgets everything.
    pub fn flush(&mut self) {
        self.pages.clear();
        self.flushes += 1;
    }

    /// The translation that is cached, or that the walk finds. What is found
    /// is kept; what is not there is not.
    pub fn translate(
        &mut self,
        memory: &Memory,
        root: HostPhysical,
        shape: Shape,
        address: GuestPhysical,
    ) -> Option<(HostPhysical, Access)> {
        let page = address.page();
        let found = match self.pages.get(&page) {
            Some(found) => *found,
            None => {
                let found = walk(memory, root, shape, page)?;
                self.pages.insert(page, found);
                found
            }
        };
        Some((HostPhysical(found.0.0 + address.0 % 4096), found.1))
    }
}
