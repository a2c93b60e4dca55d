// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store on a memory of a few pages.

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use mercury_hal::door::Block;
use mercury_hal::pages::Sum;

use super::*;

/// Pages by address; what was never written is zero.
#[derive(Default)]
struct Memory(BTreeMap<u64, Vec<u64>>);

impl Memory {
    fn page(&mut self, page: HostPhysical) -> &mut Vec<u64> {
        assert_eq!(page.0 % PAGE_SIZE, 0);
        self.0.entry(page.0).or_insert_with(|| vec![0; WORDS])
    }
}

impl Pages for Memory {
    fn read(&mut self, page: HostPhysical, index: usize) -> u64 {
        self.page(page)[index]
    }
    fn write(&mut self, page: HostPhysical, index: usize, word: u64) {
        self.page(page)[index] = word;
    }
    fn copy(&mut self, from: HostPhysical, to: HostPhysical) -> u64 {
        let words = self.page(from).clone();
        *self.page(to) = words;
        self.sum(to)
    }
    fn sum(&mut self, page: HostPhysical) -> u64 {
        let words = self.page(page).iter();
        words.fold(Sum::new(), |sum, word| sum.with(*word)).value()
    }
    fn put_back(&mut self, from: HostPhysical, to: HostPhysical) -> bool {
        let words = self.page(from).clone();
        let changed = words != *self.page(to);
        *self.page(to) = words;
        changed
    }
}

/// Two blocks: the store's frames lie in both. Page 40000 is in the second table of
/// marks, and the store's block from 0x100 on.
const BLOCKS: &[Block] = &[
    Block {
        start: 0x10_0000,
        pages: 20,
    },
    Block {
        start: 0x20_0000,
        pages: 20,
    },
];
const SCRATCH: u64 = 0x5000;

fn store(frames: u64) -> Result<Store, Error> {
    Store::new(Lent::new(BLOCKS).unwrap(), frames, 2, 40_001, 100)
}

fn mark(memory: &mut Memory, store: &mut Store, numbers: &[u64]) -> Result<(), Error> {
    for table in 0..2 {
        let page = memory.page(HostPhysical(SCRATCH));
        page.fill(0);
        for number in numbers.iter().filter(|number| *number / MARKED == table) {
            page[(number % MARKED / 64) as usize] |= 1 << (number % 64);
        }
        store.mark(memory, SCRATCH | table)?;
    }
    Ok(())
}

fn page(number: u64) -> HostPhysical {
    HostPhysical(number * PAGE_SIZE)
}

#[test]
fn what_was_marked_comes_back_and_nothing_else() {
    let mut memory = Memory::default();
    let mut store = store(30).unwrap();
    // 2 saved, 2 record, 16 story, 2 marks, 1 sums.
    assert_eq!(store.room(), 7);
    let kept = [7, 8, 64, 40_000];
    mark(&mut memory, &mut store, &kept).unwrap();
    for number in kept {
        memory.write(page(number), 3, number);
    }
    memory.write(page(9), 0, 1);
    assert_eq!(store.verify(&mut memory), Err(Error::NoCheckpoint));
    let figures = store
        .keep(&mut memory, |memory, [first, second]| {
            memory.write(first, 0, 11);
            memory.write(second, 0, 12);
            Ok(())
        })
        .unwrap();
    assert_eq!((figures.kept, figures.checkpoints), (4, 1));
    for round in 1..=2 {
        memory.write(page(7), 3, 99);
        memory.write(page(40_000), 511, 99);
        memory.write(page(9), 0, 2);
        store.verify(&mut memory).unwrap();
        let figures = store.put_back(&mut memory, 1).unwrap();
        assert_eq!((figures.changed, figures.rolled_back), (2, round));
        for number in kept {
            assert_eq!(memory.read(page(number), 3), number);
        }
        assert_eq!(memory.read(page(40_000), 511), 0);
        assert_eq!(memory.read(page(9), 0), 2, "it was not marked");
    }
    let [first, second] = store.saved().unwrap();
    assert_eq!((memory.read(first, 0), memory.read(second, 0)), (11, 12));
    assert!(store.give_up());
    assert_eq!(store.verify(&mut memory), Err(Error::NoCheckpoint));
}

#[test]
fn too_much_and_too_little_are_refused() {
    assert_eq!(store(23).unwrap_err(), Error::StoreTooSmall);
    assert_eq!(store(41).unwrap_err(), Error::StoreTooSmall);
    let mut memory = Memory::default();
    let mut store = store(25).unwrap();
    assert_eq!(store.room(), 2);
    let nothing = |_: &mut Memory, _| Ok(());
    assert_eq!(store.keep(&mut memory, nothing), Err(Error::StoreTooSmall));
    mark(&mut memory, &mut store, &[1, 2, 3]).unwrap();
    assert_eq!(store.keep(&mut memory, nothing), Err(Error::StoreTooSmall));
    assert_eq!(store.figures().wanted, 3);
    mark(&mut memory, &mut store, &[1, 2]).unwrap();
    store.keep(&mut memory, nothing).unwrap();
    // New marks give the old checkpoint up.
    mark(&mut memory, &mut store, &[1]).unwrap();
    assert_eq!(store.verify(&mut memory), Err(Error::NoCheckpoint));
}

#[test]
fn lent_frames_are_not_kept_and_not_read() {
    let mut memory = Memory::default();
    let mut store = store(30).unwrap();
    let nothing = |_: &mut Memory, _| Ok(());
    let lent = [0x100, 0x113, 0x200, 0x213];
    for number in 0xf0..0x220 {
        mark(&mut memory, &mut store, &[number]).unwrap();
        let inside = (0x100..0x114).contains(&number) || (0x200..0x214).contains(&number);
        let expected = if inside {
            Err(Error::BadAddress)
        } else {
            Ok(1)
        };
        let kept = store.keep(&mut memory, nothing).map(|figures| figures.kept);
        assert_eq!(kept, expected, "page {number:#x}");
    }
    for number in lent {
        let argument = number * PAGE_SIZE;
        assert_eq!(store.mark(&mut memory, argument), Err(Error::BadAddress));
        assert_eq!(store.tell(&mut memory, argument), Err(Error::BadAddress));
    }
    assert_eq!(store.mark(&mut memory, SCRATCH | 2), Err(Error::BadAddress));
    assert_eq!(
        store.tell(&mut memory, SCRATCH | 16),
        Err(Error::BadAddress)
    );
}

#[test]
fn every_damage_to_a_kept_page_is_noticed() {
    let mut memory = Memory::default();
    let mut store = store(30).unwrap();
    mark(&mut memory, &mut store, &[1, 2, 3]).unwrap();
    memory.write(page(2), 0, 5);
    store.keep(&mut memory, |_, _| Ok(())).unwrap();
    let data: Vec<_> = store
        .lent
        .from(store.first + store.layout.data)
        .take(3)
        .collect();
    for frame in data {
        for (index, bit) in [(0, 0), (17, 63), (511, 31)] {
            let word = memory.read(frame, index);
            memory.write(frame, index, word ^ 1 << bit);
            assert_eq!(store.verify(&mut memory), Err(Error::StoreDamaged));
            memory.write(frame, index, word);
            store.verify(&mut memory).unwrap();
        }
    }
}

#[test]
fn the_story_is_told_and_retold() {
    let mut memory = Memory::default();
    let store = store(30).unwrap();
    memory.write(HostPhysical(SCRATCH), 9, 0xabc);
    store.tell(&mut memory, SCRATCH | 3).unwrap();
    let frames = record::frames(2);
    let words = store.retell(&mut memory, (frames + 3) * 512 + 8);
    assert_eq!(words, [0, 0xabc, 0, 0, 0, 0, 0, 0]);
    let record = store.record(1).unwrap();
    memory.write(record, 32, 7);
    assert_eq!(store.retell(&mut memory, 512 + 32)[0], 7);
    assert_eq!(store.retell(&mut memory, (frames + STORY) * 512), [0; 8]);
    assert_eq!(store.retell(&mut memory, u64::MAX), [0; 8]);
    assert_eq!(store.record(frames), Err(Error::BadAddress));
}

#[test]
fn the_sixth_time_in_a_short_time_is_a_loop() {
    let mut memory = Memory::default();
    let mut store = store(30).unwrap();
    for now in 1..=5 {
        assert!(!store.loops(now), "{now} are none");
        store.put_back(&mut memory, now).unwrap();
    }
    assert!(store.loops(6) && store.loops(100));
    assert!(!store.loops(101), "the first is long ago");
    store.put_back(&mut memory, 101).unwrap();
    assert!(store.loops(101) && !store.loops(102));
}
