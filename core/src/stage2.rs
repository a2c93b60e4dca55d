// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nested map: guest physical to host physical.
//!
//! It is the identity in the largest pages that the CPUs have, with one hole:
//! the frames that the kernel lent us. Behind the hole lies one page of zeros,
//! readable and nothing else, so that whoever scans memory reads zeros.
//!
//! Ranges that iomem names are mapped before the first CPU goes in, grown to
//! the largest page. Anything else is mapped when it is touched
//! ([`Stage2::map_at`]): memory that is added later, a device that is plugged
//! in. Only the hole is ever split into 4-KiB pages.
//!
//! A table is filled before an entry points at it, and an entry changes in one
//! store, so a CPU that walks at the same moment sees the map before or after,
//! never between. Entries that were present and change (the proof pages, a
//! split) are announced by a rising [`Stage2::generation`]; each CPU compares
//! it on its way back into the guest and drops what it has cached.
//!
//! Where the architecture wants break-before-make, a present entry is emptied and
//! forgotten by every CPU before it gets its new value ([`Stage2::change`], the
//! one place where present entries change).

use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::GuestRange;
use mercury_hal::addr::HostPhysical;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::error::Error;
use mercury_hal::frames::FrameSource;
use mercury_hal::frames::TableMemory;
use mercury_hal::paging::Access;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::Shape;
use mercury_hal::paging::Stage2Format;
use mercury_hal::paging::span;

/// Entries in a table.
const ENTRIES: usize = 512;

/// How many leaves of each size the map has, and how many tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Leaves by level: 4 KiB, 2 MiB, 1 GiB.
    pub leaves: [u64; 3],
    /// Tables, the root included.
    pub tables: u64,
}

/// What lies behind a guest physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The host physical address, offset included.
    pub target: HostPhysical,
    /// What the guest may do with it.
    pub access: Access,
    /// Level of the leaf.
    pub level: Level,
}

/// The map itself.
#[derive(Debug)]
pub struct Stage2<F, M> {
    shape: Shape,
    root: HostPhysical,
    memory: M,
    census: Census,
    generation: u64,
    /// Where the root's entries are while the map is shut.
    aside: Option<HostPhysical>,
    shut: bool,
    format: core::marker::PhantomData<F>,
}

impl<F: Stage2Format, M: TableMemory + FrameSource> Stage2<F, M> {
    /// An empty map.
    ///
    /// # Errors
    /// [`Error::FramesExhausted`] if there is no frame for the root,
    /// [`Error::BadParameters`] if the shape is none that has been thought of.
    pub fn new(shape: Shape, memory: M) -> Result<Self, Error> {
        let known = (2..=4).contains(&shape.root)
            && (1..=2).contains(&shape.largest_leaf)
            && shape.root_tables.is_power_of_two()
            && shape.root_tables <= 16
            && (32..=52).contains(&shape.address_bits);
        if !known {
            return Err(Error::BadParameters);
        }
        let mut map = Self {
            shape,
            root: HostPhysical(0),
            memory,
            census: Census::default(),
            generation: 0,
            aside: None,
            shut: false,
            format: core::marker::PhantomData,
        };
        // Tables at the root are aligned to their number.
        map.root = map
            .memory
            .take_run(shape.root_tables, shape.root_tables)
            .ok_or(Error::FramesExhausted)?;
        for table in 0..shape.root_tables {
            map.empty(HostPhysical(map.root.0 + table * PAGE_SIZE));
        }
        Ok(map)
    }

    /// The frame of the root table.
    pub fn root(&self) -> HostPhysical {
        self.root
    }

    /// Rises whenever a present entry changes.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Leaves and tables.
    pub fn census(&self) -> Census {
        self.census
    }

    /// The memory that the tables lie in.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The same, for whoever needs a frame of it.
    pub fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// Takes the frames that [`Self::shut`] needs.
    ///
    /// # Errors
    /// [`Error::FramesExhausted`].
    pub fn may_shut(&mut self) -> Result<(), Error> {
        let aside = self.memory.take_run(self.shape.root_tables, 1);
        self.aside = Some(aside.ok_or(Error::FramesExhausted)?);
        Ok(())
    }

    /// Takes everything out of the map until it is opened again: whichever CPU runs
    /// beneath it faults at its next step. Nothing where no frames were taken for it.
    pub fn shut(&mut self) {
        if let Some(aside) = self.aside
            && !self.shut
        {
            self.shut = true;
            self.move_root(self.root, aside);
            for table in 0..self.shape.root_tables {
                let table = HostPhysical(self.root.0 + table * PAGE_SIZE);
                self.memory.fill(table, |_| 0);
            }
            self.memory.forget();
            self.generation += 1;
        }
    }

    /// The map is what it was before it was shut.
    pub fn open(&mut self) {
        if let Some(aside) = self.aside
            && self.shut
        {
            self.move_root(aside, self.root);
            self.shut = false;
        }
    }

    /// Whether everything is taken away.
    pub fn is_shut(&self) -> bool {
        self.shut
    }

    fn move_root(&mut self, from: HostPhysical, to: HostPhysical) {
        for table in 0..self.shape.root_tables {
            for index in 0..ENTRIES {
                let from = HostPhysical(from.0 + table * PAGE_SIZE);
                let raw = self.memory.read(from, index);
                self.memory
                    .write(HostPhysical(to.0 + table * PAGE_SIZE), index, raw);
            }
        }
    }

    /// Maps a range to itself, grown to the largest leaf, below the limit of
    /// the address space. What is mapped already stays as it is.
    ///
    /// # Errors
    /// [`Error::FramesExhausted`]; what was mapped until then stays mapped.
    pub fn map_identity(&mut self, range: GuestRange) -> Result<(), Error> {
        let grown = range.grown_to(span(self.shape.largest_leaf));
        let end = grown.end().min(self.shape.limit());
        let mut at = grown.start();
        while at < end {
            let level = self.map_leaf(at, self.shape.largest_leaf)?;
            at = (at & !(span(level) - 1)) + span(level);
        }
        Ok(())
    }

    /// Maps the page around an address that faulted, in the largest page that
    /// fits beside what is there already.
    ///
    /// # Errors
    /// [`Error::BadAddress`] beyond the limit of the address space,
    /// [`Error::FramesExhausted`], [`Error::MapConflict`] if it is mapped or the map
    /// is shut.
    pub fn map_at(&mut self, address: GuestPhysical) -> Result<(), Error> {
        if self.shut {
            return Err(Error::MapConflict);
        }
        if address.0 >= self.shape.limit() {
            return Err(Error::BadAddress);
        }
        if self.translate(address).is_some() {
            return Err(Error::MapConflict);
        }
        self.map_leaf(address.0, self.shape.largest_leaf)?;
        Ok(())
    }

    /// Fills the empty entry over `at`, at `level` or, where a table is in the
    /// way or one leaf would say too much, below it. Returns the level at which
    /// `at` is mapped now.
    fn map_leaf(&mut self, at: u64, level: Level) -> Result<Level, Error> {
        let mut table = self.start(at);
        let mut here = self.shape.root;
        loop {
            let index = index(at, here);
            match F::decode(here, self.memory.read(table, index)) {
                Entry::Leaf(..) => return Ok(here),
                Entry::Table(next) if here > 0 => table = next,
                Entry::Table(_) => return Err(Error::MapConflict),
                Entry::Empty if here > level || here > 0 && !F::one_leaf(here, base(at, here)) => {
                    let next = if cfg!(feature = "planted-publish-before-fill") {
                        let next = self.memory.take().ok_or(Error::FramesExhausted)?;
                        self.memory.write(table, index, F::table(next));
                        self.empty(next);
                        next
                    } else {
                        self.empty_table()?
                    };
                    self.memory.write(table, index, F::table(next));
                    table = next;
                }
                Entry::Empty => {
                    self.memory
                        .write(table, index, F::leaf(here, base(at, here), Access::All));
                    self.count(here, 1);
                    return Ok(here);
                }
            }
            // `here` > 0: at 0 every arm above returns.
            here = here.saturating_sub(1);
        }
    }

    /// Puts one 4-KiB entry in the place of whatever maps the page now,
    /// splitting what is larger. `None` takes the page out of the map.
    ///
    /// # Errors
    /// [`Error::FramesExhausted`] (the map is as it was, seen by the guest),
    /// [`Error::BadAddress`] beyond the limit, [`Error::MapConflict`] if the map is shut.
    pub fn replace(
        &mut self,
        page: GuestPhysical,
        with: Option<(HostPhysical, Access)>,
    ) -> Result<(), Error> {
        if self.shut {
            return Err(Error::MapConflict);
        }
        let at = page.page().0;
        if at >= self.shape.limit() {
            return Err(Error::BadAddress);
        }
        let mut table = self.start(at);
        let mut here = self.shape.root;
        while here > 0 {
            let index = index(at, here);
            table = match F::decode(here, self.memory.read(table, index)) {
                Entry::Table(next) => next,
                Entry::Leaf(target, access) => self.split(table, index, here, target, access)?,
                Entry::Empty => {
                    let next = self.empty_table()?;
                    self.memory.write(table, index, F::table(next));
                    next
                }
            };
            here -= 1;
        }
        let index = index(at, 0);
        let was = F::decode(0, self.memory.read(table, index));
        let raw = match with {
            Some((target, access)) => {
                self.count(0, 1);
                F::leaf(0, target, access)
            }
            None => 0,
        };
        if was == Entry::Empty {
            self.memory.write(table, index, raw);
        } else {
            self.uncount(0);
            self.change(table, index, raw);
        }
        Ok(())
    }

    /// Replaces a large leaf by a table of 512 smaller ones that say the same.
    fn split(
        &mut self,
        table: HostPhysical,
        index: usize,
        level: Level,
        target: HostPhysical,
        access: Access,
    ) -> Result<HostPhysical, Error> {
        let below = level - 1;
        let next = self.memory.take().ok_or(Error::FramesExhausted)?;
        self.census.tables += 1;
        self.memory.fill(next, |entry| {
            let shifted = cfg!(feature = "planted-split-shifted") && entry == 511;
            let part = if shifted { 510 } else { entry as u64 };
            F::leaf(below, HostPhysical(target.0 + part * span(below)), access)
        });
        self.uncount(level);
        self.count(below, ENTRIES as u64);
        self.change(table, index, F::table(next));
        Ok(next)
    }

    /// What lies behind an address, as the hardware would find it.
    pub fn translate(&self, address: GuestPhysical) -> Option<Translation> {
        if address.0 >= self.shape.limit() {
            return None;
        }
        let mut table = self.start(address.0);
        let mut here = self.shape.root;
        loop {
            match F::decode(here, self.memory.read(table, index(address.0, here))) {
                Entry::Empty => return None,
                Entry::Leaf(target, access) => {
                    return Some(Translation {
                        target: HostPhysical(target.0 + (address.0 & (span(here) - 1))),
                        access,
                        level: here,
                    });
                }
                Entry::Table(next) => table = next,
            }
            here = here.checked_sub(1)?;
        }
    }

    fn empty_table(&mut self) -> Result<HostPhysical, Error> {
        let table = self.memory.take().ok_or(Error::FramesExhausted)?;
        self.empty(table);
        Ok(table)
    }

    fn empty(&mut self, table: HostPhysical) {
        self.memory.fill(table, |_| 0);
        self.census.tables += 1;
    }

    /// The table of the root that an address falls into.
    fn start(&self, address: u64) -> HostPhysical {
        let table = address >> (12 + 9 * (u32::from(self.shape.root) + 1));
        HostPhysical(self.root.0 + table * PAGE_SIZE)
    }

    /// Changes an entry that the hardware may have cached.
    fn change(&mut self, table: HostPhysical, index: usize, raw: u64) {
        if F::BREAK_BEFORE_MAKE && !cfg!(feature = "planted-break-before-make") {
            self.memory.write(table, index, 0);
            self.memory.forget();
        }
        self.memory.write(table, index, raw);
        self.generation += 1;
    }

    fn count(&mut self, level: Level, leaves: u64) {
        if let Some(counter) = self.census.leaves.get_mut(usize::from(level)) {
            *counter += leaves;
        }
    }

    fn uncount(&mut self, level: Level) {
        if let Some(counter) = self.census.leaves.get_mut(usize::from(level)) {
            *counter = counter.saturating_sub(1);
        }
    }
}

/// What a leaf at `level` over this address points at.
const fn base(address: u64, level: Level) -> HostPhysical {
    HostPhysical(address & !(span(level) - 1))
}

/// Which entry of a table at `level` an address falls into.
const fn index(address: u64, level: Level) -> usize {
    ((address >> (12 + 9 * level as u32)) & 511) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use super::*;

    /// Memory that notes in which order entries change.
    #[derive(Default)]
    struct Memory {
        next: u64,
        words: BTreeMap<(u64, usize), u64>,
        history: Vec<Change>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Change {
        Write(u64),
        Forget,
    }

    impl TableMemory for Memory {
        fn read(&self, table: HostPhysical, index: usize) -> u64 {
            self.words.get(&(table.0, index)).copied().unwrap_or(0)
        }
        fn write(&mut self, table: HostPhysical, index: usize, value: u64) {
            self.words.insert((table.0, index), value);
            self.history.push(Change::Write(value));
        }
        fn forget(&mut self) {
            self.history.push(Change::Forget);
        }
    }

    impl FrameSource for Memory {
        fn take(&mut self) -> Option<HostPhysical> {
            self.next += PAGE_SIZE;
            Some(HostPhysical(0x10_0000 + self.next))
        }
    }

    /// Leaves end in 1, tables in 3; bit 2 is "may be written".
    #[derive(Debug)]
    struct Format;

    impl Stage2Format for Format {
        const BREAK_BEFORE_MAKE: bool = true;
        fn table(next: HostPhysical) -> u64 {
            next.0 | 3
        }
        fn leaf(_: Level, target: HostPhysical, access: Access) -> u64 {
            target.0 | 1 | if access == Access::All { 4 } else { 0 }
        }
        fn decode(_: Level, raw: u64) -> Entry {
            let address = HostPhysical(raw & !0xfff);
            match raw & 3 {
                1 if raw & 4 != 0 => Entry::Leaf(address, Access::All),
                1 => Entry::Leaf(address, Access::Read),
                3 => Entry::Table(address),
                _ => Entry::Empty,
            }
        }
    }

    fn map(root_tables: u64) -> Stage2<Format, Memory> {
        let shape = Shape {
            root: 2,
            root_tables,
            largest_leaf: 2,
            address_bits: 42,
        };
        Stage2::new(shape, Memory::default()).unwrap()
    }

    #[test]
    fn tables_at_the_root_follow_each_other_and_are_aligned() {
        let mut map = map(8);
        assert!(map.root().0.is_multiple_of(8 * PAGE_SIZE));
        assert_eq!(map.census().tables, 8);
        // The last gigabyte of 42 bits is in the eighth table.
        let last = GuestRange::new((1 << 42) - 5, 1 << 42).unwrap();
        map.map_identity(last).unwrap();
        let eighth = HostPhysical(map.root().0 + 7 * PAGE_SIZE);
        assert_ne!(map.memory().read(eighth, 511), 0);
        let found = map.translate(GuestPhysical((1 << 42) - 1)).unwrap();
        assert_eq!(found.target.0, (1 << 42) - 1);
        assert_eq!(map.translate(GuestPhysical(1 << 42)), None);
        assert_eq!(map.census().tables, 8);
    }

    #[test]
    fn a_present_entry_is_broken_before_it_is_made() {
        let mut map = map(1);
        map.map_identity(GuestRange::new(0, 1).unwrap()).unwrap();
        let page = GuestPhysical(0x5000);
        map.replace(page, Some((HostPhysical(0x9000), Access::Read)))
            .unwrap();
        let history = &map.memory().history;
        let forgets: Vec<usize> = (0..history.len())
            .filter(|at| history[*at] == Change::Forget)
            .collect();
        // The gigabyte, the two megabytes, the page.
        assert_eq!(forgets.len(), 3);
        for at in forgets {
            assert_eq!(history[at - 1], Change::Write(0));
            assert!(matches!(history[at + 1], Change::Write(new) if new != 0));
        }
    }

    #[test]
    fn a_map_that_is_shut_is_empty_and_opens_as_it_was() {
        let mut map = map(8);
        map.map_identity(GuestRange::new(0, 3 << 30).unwrap())
            .unwrap();
        map.shut();
        assert!(!map.is_shut(), "no frames were taken for it");
        map.may_shut().unwrap();
        let far = GuestPhysical(1 << 40);
        map.map_at(far).unwrap();
        let before = map.translate(far);
        map.shut();
        assert!(map.is_shut());
        assert_eq!(map.memory().history.last(), Some(&Change::Forget));
        for address in [GuestPhysical(0), far] {
            assert_eq!(map.translate(address), None);
            assert_eq!(map.map_at(address), Err(Error::MapConflict));
            assert_eq!(map.replace(address, None), Err(Error::MapConflict));
        }
        map.open();
        assert_eq!(map.translate(far), before);
        assert!(map.translate(GuestPhysical(0x1234)).is_some());
    }

    #[test]
    fn shapes_that_nobody_has_thought_of_are_refused() {
        for (root, root_tables) in [(1, 1), (5, 1), (2, 3), (2, 32)] {
            let shape = Shape {
                root,
                root_tables,
                largest_leaf: 2,
                address_bits: 40,
            };
            assert!(Stage2::<Format, Memory>::new(shape, Memory::default()).is_err());
        }
    }
}
