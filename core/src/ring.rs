// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log: a ring of records that every CPU writes and nobody waits for.
//!
//! A writer takes the next sequence number and with it a slot, claims the slot
//! (which marks it as being written), stores the record, and marks it as that
//! number's. A reader takes a copy and looks whether the slot said the same
//! number before and after; if not, the record was torn and counts as gone.
//! Nobody ever waits. If the ring goes once around while one CPU writes one
//! record (a hypervisor beneath us may have stopped that CPU), two writers meet
//! in a slot, and the one that comes second gives its record up: the other
//! may still be storing words.
//!
//! A CPU on which the image dies in the middle of a record never ends it. Nobody
//! waits for that either: readers pass its slot over, and so do writers, each time
//! the ring comes around; one record in [`RECORDS`] is lost from then on.
//!
//! Sequence numbers begin at 1 and have no gaps, so a reader sees what it
//! missed.

use super::sync::AtomicU64;
use super::sync::Ordering;
use super::sync::fence;

/// Words in a record beside its sequence number.
pub const RECORD_WORDS: usize = 7;

/// Records that are kept; a power of two.
pub const RECORDS: usize = 128;

/// While a slot's sequence word has this bit the record is being written.
const BEING_WRITTEN: u64 = 1 << 63;

#[derive(Debug)]
struct Slot<const WORDS: usize> {
    sequence: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Slot<WORDS> {
    const fn empty() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// Makes the slot this writer's, or says that it is another's: one that is
    /// at work in it, or a later one.
    fn claim(&self, sequence: u64) -> bool {
        let found = self.sequence.load(Ordering::Relaxed);
        // Acquire: the words of the writer before must not come after ours.
        found < sequence
            && self
                .sequence
                .compare_exchange(
                    found,
                    sequence | BEING_WRITTEN,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

/// The ring: `KEPT` records (a power of two) of `WORDS` words. Other sizes than
/// these are for the model checker.
#[derive(Debug)]
pub struct Ring<const KEPT: usize = RECORDS, const WORDS: usize = RECORD_WORDS> {
    /// The last sequence number that was given out.
    last: AtomicU64,
    slots: [Slot<WORDS>; KEPT],
}

impl<const KEPT: usize, const WORDS: usize> Default for Ring<KEPT, WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const KEPT: usize, const WORDS: usize> Ring<KEPT, WORDS> {
    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(KEPT.is_power_of_two()) };
        Self {
            last: AtomicU64::new(0),
            slots: [const { Slot::empty() }; KEPT],
        }
    }

    fn slot(&self, sequence: u64) -> &Slot<WORDS> {
        // The index is below KEPT, which is a power of two.
        &self.slots[sequence as usize & (KEPT - 1)]
    }

    /// Appends a record.
    pub fn write(&self, words: [u64; WORDS]) {
        let sequence = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let slot = self.slot(sequence);
        if !cfg!(feature = "planted-log-torn") && !slot.claim(sequence) {
            return;
        }
        // A reader that sees one of the new words must also see the mark.
        fence(Ordering::Release);
        for (to, from) in slot.words.iter().zip(words) {
            to.store(from, Ordering::Relaxed);
        }
        slot.sequence.store(sequence, Ordering::Release);
    }

    /// For tests: a writer that dies after its first word.
    #[cfg(any(test, feature = "mutants"))]
    pub fn tear(&self) {
        let sequence = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let slot = self.slot(sequence);
        if slot.claim(sequence) {
            fence(Ordering::Release);
            slot.words[0].store(u64::MAX, Ordering::Relaxed);
        }
    }

    /// The record of this number, or the oldest after it that is still there,
    /// with its number.
    pub fn read(&self, wanted: u64) -> Option<(u64, [u64; WORDS])> {
        let last = self.last.load(Ordering::Acquire);
        let oldest = (last + 1).saturating_sub(KEPT as u64).max(1);
        for sequence in wanted.max(oldest)..=last {
            let slot = self.slot(sequence);
            if slot.sequence.load(Ordering::Acquire) != sequence {
                continue;
            }
            let mut words = [0; WORDS];
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
        let ring: Ring = Ring::new();
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
        let ring: Ring = Ring::new();
        ring.write([1; RECORD_WORDS]);
        ring.write([2; RECORD_WORDS]);
        ring.slot(1)
            .sequence
            .store(1 | BEING_WRITTEN, Ordering::Relaxed);
        assert_eq!(ring.read(1), Some((2, [2; RECORD_WORDS])));
    }

    #[test]
    fn two_writers_in_a_slot_leave_no_mixture() {
        let ring: Ring = Ring::new();
        for _ in 0..RECORDS {
            ring.write([1; RECORD_WORDS]);
        }
        // The writer of record 1 is still at work when the ring comes around.
        ring.slot(1)
            .sequence
            .store(1 | BEING_WRITTEN, Ordering::Relaxed);
        ring.write([2; RECORD_WORDS]);
        let next = RECORDS as u64 + 1;
        assert_eq!(ring.read(next), None);
        // And it has been overtaken by a whole round when it begins.
        assert!(ring.slot(2).claim(2 + RECORDS as u64));
        assert!(!ring.slot(2).claim(2));
    }

    #[test]
    fn a_writer_that_dies_holds_nobody_up() {
        let ring: Ring = Ring::new();
        ring.write([1; RECORD_WORDS]);
        ring.tear();
        // Three rounds: its slot is lost in each, and no other is.
        for number in 3..=3 * RECORDS as u64 {
            ring.write([number; RECORD_WORDS]);
            let lost = number % RECORDS as u64 == 2;
            let read = ring.read(number);
            assert_eq!(read, (!lost).then_some((number, [number; RECORD_WORDS])));
        }
        let (mut next, mut found) = (1, 0);
        while let Some((sequence, words)) = ring.read(next) {
            assert_eq!(words, [sequence; RECORD_WORDS]);
            (next, found) = (sequence + 1, found + 1);
        }
        assert_eq!(found, RECORDS - 1);
    }

    #[test]
    fn no_torn_record_is_ever_read() {
        let ring: Ring = Ring::new();
        let writers = core::sync::atomic::AtomicU64::new(2);
        std::thread::scope(|scope| {
            for writer in 0..2u64 {
                let (ring, writers) = (&ring, &writers);
                scope.spawn(move || {
                    for number in 0..20_000 {
                        ring.write([writer << 32 | number; RECORD_WORDS]);
                    }
                    writers.fetch_sub(1, Ordering::Release);
                });
            }
            let (mut next, mut found) = (1, 0);
            loop {
                let over = writers.load(Ordering::Acquire) == 0;
                while let Some((sequence, words)) = ring.read(next) {
                    assert!(words.iter().all(|word| *word == words[0]), "{words:x?}");
                    assert!(sequence >= next);
                    (next, found) = (sequence + 1, found + 1);
                }
                if over {
                    break;
                }
            }
            assert!(found > 0);
        });
    }
}
