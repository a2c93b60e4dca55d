// SPDX-License-Identifier: MIT OR Apache-2.0
//! Physical memory.
//!
//! Only lent frames are kept, by address; every other address answers with
//! [`pattern`], which is different for each. A word of a lent frame that was
//! never written since it was lent is *unwritten*, not zero, and whoever reads
//! it (the core or the MMU) is stopped.
//!
//! Here the contract of `TableMemory` is held up to the core. The first free
//! frame is the root. From there a frame becomes a table at some level at the
//! moment when an entry that names it is stored into a table, and at that
//! moment all of it must be written, and if it takes the place of a large leaf
//! it must say the same as the leaf did.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use mercury_core::lent::Lent;
use mercury_hal::addr::HostPhysical;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::paging::Entry;
use mercury_hal::paging::Level;
use mercury_hal::paging::span;

use crate::format::Hardware;

/// Words of a frame.
pub const WORDS: usize = 512;
/// Not a table, as far as anybody can reach.
const NO_TABLE: u8 = u8::MAX;

struct Frame {
    words: Vec<AtomicU64>,
    written: Vec<AtomicBool>,
    level: AtomicU8,
}

impl Frame {
    fn new() -> Self {
        Self {
            words: (0..WORDS).map(|_| AtomicU64::new(u64::MAX)).collect(),
            written: (0..WORDS).map(|_| AtomicBool::new(false)).collect(),
            level: AtomicU8::new(NO_TABLE),
        }
    }
}

/// Lent frames by address, and rules about them.
pub struct Memory {
    lent: Lent,
    first_free: u64,
    hardware: Hardware,
    frames: BTreeMap<u64, Frame>,
}

impl core::fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Memory")
            .field("lent", &self.lent)
            .finish_non_exhaustive()
    }
}

/// What stands at an address that is not lent.
#[must_use]
pub fn pattern(address: HostPhysical) -> u64 {
    (address.0 ^ 0x6d65_7263).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

impl Memory {
    /// Memory in which these frames were lent, of which those from
    /// `first_free` on are for the core to use. The first of them is the root,
    /// a table at `root`.
    #[must_use]
    pub fn new(lent: Lent, first_free: u64, root: Level, hardware: Hardware) -> Self {
        let mut frames = BTreeMap::new();
        for number in 0..lent.frames() {
            let frame = Frame::new();
            if number == first_free {
                frame.level.store(root, Ordering::Relaxed);
            }
            let address = lent.address(number).expect("a lent frame has an address");
            frames.insert(address.0, frame);
        }
        Self {
            lent,
            first_free,
            hardware,
            frames,
        }
    }

    /// The lent frames.
    #[must_use]
    pub const fn lent(&self) -> Lent {
        self.lent
    }

    /// A word, as a load from the bus finds it.
    ///
    /// # Panics
    /// If the word is a lent frame's and was never written.
    #[must_use]
    pub fn load(&self, address: HostPhysical) -> u64 {
        match self.frames.get(&address.page().0) {
            Some(_) => self.entry(address.page(), (address.0 & 0xfff) as usize / 8),
            None => pattern(HostPhysical(address.0 & !7)),
        }
    }

    /// An entry of a table, as the MMU reads it.
    ///
    /// # Panics
    /// If there is no such frame, or the word was never written.
    #[must_use]
    pub fn entry(&self, table: HostPhysical, index: usize) -> u64 {
        let frame = self.frame(table);
        assert!(
            frame.written[index].load(Ordering::Acquire),
            "word {index} of frame {:#x} was read and never written",
            table.0
        );
        frame.words[index].load(Ordering::Acquire)
    }

    /// What the entry means to the hardware, at this level.
    #[must_use]
    pub fn meaning(&self, level: Level, table: HostPhysical, index: usize) -> Entry {
        (self.hardware)(level, self.entry(table, index))
    }

    /// The address of a frame that the core may use.
    pub(crate) fn usable(&self, number: u64) -> HostPhysical {
        assert!(
            (self.first_free..self.lent.frames()).contains(&number),
            "frame {number} is not the core's to touch"
        );
        self.lent.address(number).expect("it is in range")
    }

    /// Stores a word, if the rules allow it.
    pub(crate) fn store(&self, frame: HostPhysical, index: usize, value: u64) {
        let into = self.frame(frame);
        let level = into.level.load(Ordering::Acquire);
        if level != NO_TABLE {
            self.publish(level, frame, index, value);
        }
        into.words[index].store(value, Ordering::Release);
        into.written[index].store(true, Ordering::Release);
    }

    /// `value` goes into a table that CPUs can reach.
    fn publish(&self, level: Level, table: HostPhysical, index: usize, value: u64) {
        let into = self.frame(table);
        let before = if into.written[index].load(Ordering::Acquire) {
            (self.hardware)(level, into.words[index].load(Ordering::Acquire))
        } else {
            Entry::Empty
        };
        let after = (self.hardware)(level, value);
        assert!(
            !matches!(before, Entry::Table(_)) || before == after,
            "a table is dropped from the map: {before:?}, then {after:?}"
        );
        let Entry::Table(next) = after else {
            return;
        };
        let number = self.lent.number(next);
        assert!(
            number.is_some_and(|number| number > self.first_free),
            "{:#x} is no frame for a table",
            next.0
        );
        let below = level - 1;
        for entry in 0..WORDS {
            // Stops at a word that was not written.
            let found = self.meaning(below, next, entry);
            if let Entry::Leaf(target, access) = before {
                let part = HostPhysical(target.0 + entry as u64 * span(below));
                assert_eq!(
                    found,
                    Entry::Leaf(part, access),
                    "a split changed the map at entry {entry}"
                );
            }
        }
        self.frame(next).level.store(below, Ordering::Release);
        for entry in 0..WORDS {
            // Tables below it are reachable now, too.
            self.publish(below, next, entry, self.entry(next, entry));
        }
    }

    fn frame(&self, address: HostPhysical) -> &Frame {
        assert_eq!(
            address.0 % PAGE_SIZE,
            0,
            "{:#x} is inside a frame",
            address.0
        );
        self.frames
            .get(&address.0)
            .unwrap_or_else(|| panic!("{:#x} was never lent", address.0))
    }
}
