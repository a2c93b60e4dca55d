// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory, and the cache in front of it.
//!
//! The cache is shared by all CPUs and keeps everything. A line is in memory,
//! as somebody finds it who reads past the cache, when it was cleaned or
//! evicted since it was stored to. Before anybody stores to it, memory is full
//! of something, which looks like tables and leaves that lead nowhere good.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::chance::Chance;

/// Bytes of a cache line.
pub const LINE: u64 = 64;
const WORDS: usize = 512;

#[derive(Clone, Debug)]
struct Frame {
    cached: [u64; WORDS],
    behind: [u64; WORDS],
}

/// Some frames of memory; there is nothing else.
#[derive(Clone, Debug)]
pub struct Memory {
    frames: BTreeMap<u64, Box<Frame>>,
    dirty: BTreeSet<u64>,
}

fn place(address: u64) -> (u64, usize) {
    (address & !0xfff, (address & 0xfff) as usize / 8)
}

impl Memory {
    /// Frames at these addresses, full of `junk`.
    pub fn new(frames: impl Iterator<Item = u64>, mut junk: impl FnMut() -> u64) -> Self {
        let frame = |address| {
            let words = std::array::from_fn(|_| junk());
            let (cached, behind) = (words, words);
            (address, Box::new(Frame { cached, behind }))
        };
        Self {
            frames: frames.map(frame).collect(),
            dirty: BTreeSet::new(),
        }
    }

    /// A word, as a cached access finds it.
    #[must_use]
    pub fn cached(&self, address: u64) -> Option<u64> {
        let (frame, word) = place(address);
        self.frames.get(&frame).map(|frame| frame.cached[word])
    }

    /// A word, as an access past the cache finds it.
    #[must_use]
    pub fn behind(&self, address: u64) -> Option<u64> {
        let (frame, word) = place(address);
        self.frames.get(&frame).map(|frame| frame.behind[word])
    }

    /// A store arrives in the cache.
    pub fn store(&mut self, address: u64, value: u64) {
        let (frame, word) = place(address);
        if let Some(frame) = self.frames.get_mut(&frame) {
            frame.cached[word] = value;
            self.dirty.insert(address & !(LINE - 1));
        }
    }

    /// The line around an address is written to memory.
    pub fn clean(&mut self, address: u64) {
        let line = address & !(LINE - 1);
        let (frame, word) = place(line);
        if self.dirty.remove(&line)
            && let Some(frame) = self.frames.get_mut(&frame)
        {
            let line = word..word + LINE as usize / 8;
            frame.behind[line.clone()].copy_from_slice(&frame.cached[line]);
        }
    }

    /// Some line is, because the cache wants its place.
    pub fn evict(&mut self, chance: &mut Chance) {
        let chosen = chance.below(self.dirty.len());
        if let Some(line) = self.dirty.iter().nth(chosen).copied() {
            self.clean(line);
        }
    }
}
