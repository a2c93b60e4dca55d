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
//! On ARM a change of a present entry needs break-before-make; that belongs
//! into [`Stage2::replace`], the one place where present entries change.

use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::GuestRange;
use mercury_hal::addr::HostPhysical;
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
    format: core::marker::PhantomData<F>,
}

impl<F: Stage2Format, M: TableMemory + FrameSource> Stage2<F, M> {
    /// An empty map.
    ///
    /// # Errors
    /// [`Error::FramesExhausted`] if there is no frame for the root,
    /// [`Error::BadParameters`] if the shape is none that has been thought of.
    pub fn new(shape: Shape, memory: M) -> Result<Self, Error> {
        let known = (3..=4).contains(&shape.root)
            && (1..=2).contains(&shape.largest_leaf)
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
            format: core::marker::PhantomData,
        };
        map.root = map.empty_table()?;
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

    /// Maps a range to itself, grown to the largest leaf, below the limit of
    /// the address space. What is mapped already stays as it is.
    ///
    /// # Errors
    /// [`Error::FramesExhausted`]; what was mapped until then stays mapped.
    pub fn map_identity(&mut self, range: GuestRange) -> Result<(), Error> {
        let step = span(self.shape.largest_leaf);
        let grown = range.grown_to(step);
        let end = grown.end().min(self.shape.limit());
        let mut at = grown.start();
        while at < end {
            self.map_leaf(at, self.shape.largest_leaf)?;
            at += step;
        }
        Ok(())
    }

    /// Maps the page around an address that faulted, in the largest page that
    /// fits beside what is there already.
    ///
    /// # Errors
    /// [`Error::BadAddress`] beyond the limit of the address space,
    /// [`Error::FramesExhausted`], [`Error::MapConflict`] if it is mapped.
    pub fn map_at(&mut self, address: GuestPhysical) -> Result<(), Error> {
        if address.0 >= self.shape.limit() {
            return Err(Error::BadAddress);
        }
        if self.translate(address).is_some() {
            return Err(Error::MapConflict);
        }
        self.map_leaf(address.0, self.shape.largest_leaf)
    }

    /// Fills the empty entry over `at`, at `level` or, where a table is in the
    /// way, below it.
    fn map_leaf(&mut self, at: u64, level: Level) -> Result<(), Error> {
        let mut table = self.root;
        let mut here = self.shape.root;
        loop {
            let index = index(at, here);
            match F::decode(here, self.memory.read(table, index)) {
                Entry::Leaf(..) => return Ok(()),
                Entry::Table(next) if here > 0 => table = next,
                Entry::Table(_) => return Err(Error::MapConflict),
                Entry::Empty if here > level => {
                    let next = self.empty_table()?;
                    self.memory.write(table, index, F::table(next));
                    table = next;
                }
                Entry::Empty => {
                    let target = HostPhysical(at & !(span(here) - 1));
                    self.memory
                        .write(table, index, F::leaf(here, target, Access::All));
                    self.count(here, 1);
                    return Ok(());
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
    /// [`Error::BadAddress`] beyond the limit.
    pub fn replace(
        &mut self,
        page: GuestPhysical,
        with: Option<(HostPhysical, Access)>,
    ) -> Result<(), Error> {
        let at = page.page().0;
        if at >= self.shape.limit() {
            return Err(Error::BadAddress);
        }
        let mut table = self.root;
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
        if let Entry::Leaf(..) = F::decode(0, self.memory.read(table, index)) {
            self.generation += 1;
            self.uncount(0);
        }
        let raw = match with {
            Some((target, access)) => {
                self.count(0, 1);
                F::leaf(0, target, access)
            }
            None => 0,
        };
        self.memory.write(table, index, raw);
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
        for (entry, part) in (0..ENTRIES).zip(0u64..) {
            let target = HostPhysical(target.0 + part * span(below));
            self.memory
                .write(next, entry, F::leaf(below, target, access));
        }
        self.memory.write(table, index, F::table(next));
        self.uncount(level);
        self.count(below, ENTRIES as u64);
        self.generation += 1;
        Ok(next)
    }

    /// What lies behind an address, as the hardware would find it.
    pub fn translate(&self, address: GuestPhysical) -> Option<Translation> {
        if address.0 >= self.shape.limit() {
            return None;
        }
        let mut table = self.root;
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
        for entry in 0..ENTRIES {
            self.memory.write(table, entry, 0);
        }
        self.census.tables += 1;
        Ok(table)
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

/// Which entry of a table at `level` an address falls into.
const fn index(address: u64, level: Level) -> usize {
    ((address >> (12 + 9 * level as u32)) & 511) as usize
}
