// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log: a ring of records that every CPU writes and nobody waits for.
//!
//! A writer takes the next sequence number and with it a slot, marks the slot
//! as being written, stores the record, and marks it as that number's. A reader
//! takes a copy and looks whether the slot said the same number before and
//! after; if not, the record was torn and counts as gone. Writers never wait
//! for each other or for a reader: a CPU that writes so slowly that the ring
//! goes once around loses its record, which is what a ring is for.
//!
//! Sequence numbers begin at 1 and have no gaps, so a reader sees what it
//! missed.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use core::sync::atomic::fence;

/// Words in a record beside its sequence number.
pub const RECORD_WORDS: usize = 7;

/// Records that are kept; a power of two.
pub const RECORDS: usize = 128;

/// While a slot's sequence word has this bit the record is being written.
const BEING_WRITTEN: u64 = 1 << 63;

#[derive(Debug)]
struct Slot {
    sequence: AtomicU64,
    words: [AtomicU64; RECORD_WORDS],
}

impl Slot {
    const EMPTY: Self = Self {
        sequence: AtomicU64::new(0),
        words: [const { AtomicU64::new(0) }; RECORD_WORDS],
    };
}

/// The ring.
#[derive(Debug)]
pub struct Ring {
    /// The last sequence number that was given out.
    last: AtomicU64,
    slots: [Slot; RECORDS],
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

impl Ring {
    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last: AtomicU64::new(0),
            slots: [const { Slot::EMPTY }; RECORDS],
        }
    }

    fn slot(&self, sequence: u64) -> &Slot {
        // The index is below RECORDS, which is a power of two.
        &self.slots[sequence as usize & (RECORDS - 1)]
    }

    /// Appends a record.
    pub fn write(&self, words: [u64; RECORD_WORDS]) {
        let sequence = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let slot = self.slot(sequence);
        slot.sequence
            .store(sequence | BEING_WRITTEN, Ordering::Relaxed);
        // A reader that sees one of the new words must also see the mark.
        fence(Ordering::Release);
        for (to, from) in slot.words.iter().zip(words) {
            to.store(from, Ordering::Relaxed);
        }
        slot.sequence.store(sequence, Ordering::Release);
    }

    /// The record of this number, or the oldest after it that is still there,
    /// with its number.
    pub fn read(&self, wanted: u64) -> Option<(u64, [u64; RECORD_WORDS])> {
        let last = self.last.load(Ordering::Acquire);
        let oldest = (last + 1).saturating_sub(RECORDS as u64).max(1);
        for sequence in wanted.max(oldest)..=last {
            let slot = self.slot(sequence);
            if slot.sequence.load(Ordering::Acquire) != sequence {
                continue;
            }
            let mut words = [0; RECORD_WORDS];
            for (to, from) in words.iter_mut().zip(&slot.words) {
                *to = from.load(Ordering::Relaxed);
            }
            // No word above may be newer than the sequence read below.
            fence(Ordering::Acquire);
            if slot.sequence.load(Ordering::Relaxed) == sequence {
                return Some((sequence, words));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_and_the_oldest_goes_first() {
        let ring = Ring::new();
        assert_eq!(ring.read(0), None);
        for number in 1..=200u64 {
            ring.write([number; RECORD_WORDS]);
        }
        let oldest = 200 - RECORDS as u64 + 1;
        assert_eq!(ring.read(1), Some((oldest, [oldest; RECORD_WORDS])));
        assert_eq!(ring.read(200), Some((200, [200; RECORD_WORDS])));
        assert_eq!(ring.read(201), None);
    }

    #[test]
    fn a_record_being_written_is_not_read() {
        let ring = Ring::new();
        ring.write([1; RECORD_WORDS]);
        ring.write([2; RECORD_WORDS]);
        ring.slot(1)
            .sequence
            .store(1 | BEING_WRITTEN, Ordering::Relaxed);
        assert_eq!(ring.read(1), Some((2, [2; RECORD_WORDS])));
    }

    #[test]
    fn no_torn_record_is_ever_read() {
        let ring = Ring::new();
        std::thread::scope(|scope| {
            for writer in 0..2u64 {
                let ring = &ring;
                scope.spawn(move || {
                    for number in 0..20_000 {
                        ring.write([writer << 32 | number; RECORD_WORDS]);
                    }
                });
            }
            let mut next = 1;
            while next < 40_000 {
                if let Some((sequence, words)) = ring.read(next) {
                    assert!(words.iter().all(|word| *word == words[0]), "{words:x?}");
                    next = sequence + 1;
                }
            }
        });
    }
}
