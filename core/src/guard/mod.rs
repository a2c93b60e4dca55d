// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store: what a checkpoint keeps, and how it is put back.
//!
//! The checkpoint is eager: all pages that are in use are copied, because a device
//! writes past the nested map, and a page that is in use now may be freed, filled by a
//! device and never be written by a CPU. Which pages are in use only the kernel knows;
//! the module marks them, one bit a page, before it asks for the checkpoint.
//!
//! The store is the last of the lent frames, so it lies in the hole: no guest reaches
//! it, whatever it has become. From its start:
//!
//! | frames | what |
//! | --- | --- |
//! | [`SAVED`] | the CPU that took it, as the backend writes it down |
//! | record | the last roll-back: why, and every CPU's registers ([`record`]) |
//! | [`STORY`] | the kernel's own log of its end |
//! | marks | a bit for each page of memory |
//! | sums | a checksum for each page kept |
//! | data | the pages, in the order of their bits |
//!
//! What is rolled back is all of the guest. What is not: the image and its tables, the
//! log ring, the counters, and the store itself. So no frame may be marked that is
//! lent, and none changes hands while a checkpoint exists.

pub mod gather;
pub mod pci;
pub mod record;

use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::HostPhysical;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::call::MARKED;
use mercury_hal::error::Error;
use mercury_hal::pages::Pages;
use mercury_hal::pages::WORDS;

use crate::lent::Lent;

/// Frames in which a backend writes the CPU down.
pub const SAVED: u64 = 2;
/// Frames for the kernel's story.
pub const STORY: u64 = 16;
/// Pages whose sums one frame holds.
const SUMS: u64 = WORDS as u64;

/// So many roll-backs in a short time are a loop: what crashes the kernel is in the
/// checkpoint, or comes with it each time, and going back once more helps nobody.
pub const CRASHES: usize = 5;

/// Where in the store things begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    record: u64,
    story: u64,
    marks: u64,
    sums: u64,
    data: u64,
    end: u64,
}

impl Layout {
    fn new(frames: u64, cpus: u32, memory_end: u64) -> Option<Self> {
        let record = SAVED;
        let story = record + record::frames(cpus);
        let marks = story + STORY;
        let sums = marks + memory_end.div_ceil(MARKED);
        let left = frames.checked_sub(sums)?;
        // Of each SUMS + 1 frames one holds the sums of the others.
        let data = sums + left.div_ceil(SUMS + 1);
        (data < frames).then_some(Self {
            record,
            story,
            marks,
            sums,
            data,
            end: frames,
        })
    }

    const fn room(&self) -> u64 {
        self.end - self.data
    }
}

/// What a checkpoint or a roll-back came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Checkpoints taken so far.
    pub checkpoints: u64,
    /// Roll-backs so far.
    pub rolled_back: u64,
    /// Pages of the checkpoint that exists; 0: there is none.
    pub kept: u64,
    /// Pages that the last roll-back found changed.
    pub changed: u64,
    /// Pages that were to be kept when it was last asked for.
    pub wanted: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Store {
    lent: Lent,
    first: u64,
    layout: Layout,
    figures: Figures,
    /// When the last roll-backs were, the oldest first; 0: none.
    recent: [u64; CRASHES],
    crash_loop_ticks: u64,
}

impl Store {
    /// A store of the last `frames` lent frames, for so many CPUs and memory that ends
    /// before page `memory_end`; so many roll-backs within `crash_loop_ticks` are a loop.
    ///
    /// # Errors
    /// [`Error::StoreTooSmall`] if no page could be kept in it.
    pub fn new(
        lent: Lent,
        frames: u64,
        cpus: u32,
        memory_end: u64,
        crash_loop_ticks: u64,
    ) -> Result<Self, Error> {
        let first = lent.frames().checked_sub(frames);
        let layout = Layout::new(frames, cpus, memory_end);
        match (first, layout) {
            (Some(first), Some(layout)) => Ok(Self {
                lent,
                first,
                layout,
                figures: Figures::default(),
                recent: [0; CRASHES],
                crash_loop_ticks,
            }),
            _ => Err(Error::StoreTooSmall),
        }
    }

    /// How many pages can be kept.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.layout.room()
    }

    /// What it came to so far.
    #[must_use]
    pub const fn figures(&self) -> Figures {
        self.figures
    }

    /// Whether there is something to go back to.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.figures.kept != 0
    }

    fn frame(&self, number: u64) -> Result<HostPhysical, Error> {
        self.lent
            .address(self.first + number)
            .ok_or(Error::BadAddress)
    }

    /// The frames in which the CPU is written down.
    ///
    /// # Errors
    /// None in a store that exists.
    pub fn saved(&self) -> Result<[HostPhysical; SAVED as usize], Error> {
        Ok([self.frame(0)?, self.frame(1)?])
    }

    /// The frame of the record with this number, from 0.
    ///
    /// # Errors
    /// [`Error::BadAddress`] if there are not so many.
    pub fn record(&self, number: u64) -> Result<HostPhysical, Error> {
        if number >= self.layout.story - self.layout.record {
            return Err(Error::BadAddress);
        }
        self.frame(self.layout.record + number)
    }

    /// Copies a page of the guest's into the store: its address, and in the low bits
    /// which of the `most` frames from `at` on it is for.
    fn take_page(
        &self,
        pages: &mut impl Pages,
        argument: u64,
        at: u64,
        most: u64,
    ) -> Result<(), Error> {
        let number = argument % PAGE_SIZE;
        let page = GuestPhysical(argument).page();
        if number >= most || self.lent.covers(page) {
            return Err(Error::BadAddress);
        }
        let frame = self.frame(at + number)?;
        pages.copy(page.identity(), frame);
        Ok(())
    }

    /// Takes a page of marks over. An earlier checkpoint is given up by it.
    ///
    /// # Errors
    /// [`Error::BadAddress`].
    pub fn mark(&mut self, pages: &mut impl Pages, argument: u64) -> Result<(), Error> {
        let most = self.layout.sums - self.layout.marks;
        self.figures.kept = 0;
        self.take_page(pages, argument, self.layout.marks, most)
    }

    /// Takes a page of the kernel's story over.
    ///
    /// # Errors
    /// [`Error::BadAddress`].
    pub fn tell(&self, pages: &mut impl Pages, argument: u64) -> Result<(), Error> {
        self.take_page(pages, argument, self.layout.story, STORY)
    }

    /// Eight words of record and story, from this one on; nothing behind their end.
    pub fn retell(&self, pages: &mut impl Pages, from: u64) -> [u64; 8] {
        let mut words = [0; 8];
        let number = self.layout.record.saturating_add(from / WORDS as u64);
        if number >= self.layout.marks || !from.is_multiple_of(8) {
            return words;
        }
        if let Ok(frame) = self.frame(number) {
            for (offset, word) in words.iter_mut().enumerate() {
                *word = pages.read(frame, (from % WORDS as u64) as usize + offset);
            }
        }
        words
    }

    /// Every marked page in order: its number, itself, and where it is kept.
    fn each<P: Pages>(
        &self,
        pages: &mut P,
        mut visit: impl FnMut(&mut P, u64, HostPhysical, HostPhysical) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut data = self.lent.from(self.first + self.layout.data);
        let mut number = 0;
        for table in self.layout.marks..self.layout.sums {
            let frame = self.frame(table)?;
            for index in 0..WORDS {
                let mut word = pages.read(frame, index);
                while word != 0 {
                    let bit = u64::from(word.trailing_zeros());
                    word &= word - 1;
                    let page = (table - self.layout.marks) * MARKED + index as u64 * 64 + bit;
                    let kept = data.next().ok_or(Error::StoreTooSmall)?;
                    visit(pages, number, HostPhysical(page * PAGE_SIZE), kept)?;
                    number += 1;
                }
            }
        }
        Ok(number)
    }

    fn count(&self, pages: &mut impl Pages) -> Result<u64, Error> {
        let mut count = 0;
        for table in self.layout.marks..self.layout.sums {
            let frame = self.frame(table)?;
            for index in 0..WORDS {
                count += u64::from(pages.read(frame, index).count_ones());
            }
        }
        Ok(count)
    }

    /// Whether a lent frame is marked.
    fn marks_lent(&self, pages: &mut impl Pages) -> Result<bool, Error> {
        for block in self.lent.blocks() {
            let first = block.start / PAGE_SIZE;
            let end = first + block.pages;
            let mut page = first;
            while page < end {
                let table = page / MARKED;
                if table >= self.layout.sums - self.layout.marks {
                    break;
                }
                let frame = self.frame(self.layout.marks + table)?;
                let word = pages.read(frame, (page % MARKED / 64) as usize);
                let next = (page / 64 + 1) * 64;
                let inside = u64::MAX << (page % 64);
                let beyond = if next > end {
                    u64::MAX << (end % 64)
                } else {
                    0
                };
                if word & inside & !beyond != 0 {
                    return Ok(true);
                }
                page = next;
            }
        }
        Ok(false)
    }

    /// The frame with the sum of a kept page.
    fn sum_frame(&self, number: u64) -> Result<HostPhysical, Error> {
        self.frame(self.layout.sums + number / SUMS)
    }

    /// Keeps the marked pages. `write_down` writes the CPU into the frames of
    /// [`Self::saved`], and is the last that can fail.
    ///
    /// # Errors
    /// [`Error::StoreTooSmall`]; [`Error::BadAddress`] if a lent frame is marked, or
    /// what `write_down` says. There is no checkpoint then.
    pub fn keep<P: Pages>(
        &mut self,
        pages: &mut P,
        write_down: impl FnOnce(&mut P, [HostPhysical; 2]) -> Result<(), Error>,
    ) -> Result<Figures, Error> {
        self.figures.kept = 0;
        let wanted = self.count(pages)?;
        self.figures.wanted = wanted;
        if wanted > self.room() || wanted == 0 {
            return Err(Error::StoreTooSmall);
        }
        if self.marks_lent(pages)? {
            return Err(Error::BadAddress);
        }
        let mut sums = self.sum_frame(0)?;
        self.each(pages, |pages, number, page, kept| {
            if number % SUMS == 0 {
                sums = self.sum_frame(number)?;
            }
            let sum = pages.copy(page, kept);
            pages.write(sums, (number % SUMS) as usize, sum);
            Ok(())
        })?;
        write_down(pages, self.saved()?)?;
        self.figures.kept = wanted;
        self.figures.checkpoints += 1;
        Ok(self.figures)
    }

    /// Whether everything that was kept still is what it was.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`]; [`Error::StoreDamaged`].
    pub fn verify(&self, pages: &mut impl Pages) -> Result<(), Error> {
        if !self.is_taken() {
            return Err(Error::NoCheckpoint);
        }
        let mut sums = self.sum_frame(0)?;
        let count = self.each(pages, |pages, number, _, kept| {
            if number % SUMS == 0 {
                sums = self.sum_frame(number)?;
            }
            let sum = pages.read(sums, (number % SUMS) as usize);
            if pages.sum(kept) == sum {
                Ok(())
            } else {
                Err(Error::StoreDamaged)
            }
        })?;
        if count == self.figures.kept {
            Ok(())
        } else {
            Err(Error::StoreDamaged)
        }
    }

    /// Whether one roll-back more would be a loop's.
    #[must_use]
    pub const fn loops(&self, now: u64) -> bool {
        let [oldest, ..] = self.recent;
        oldest != 0 && now.wrapping_sub(oldest) < self.crash_loop_ticks
    }

    /// Puts every page back, at this time. The caller has verified the store, and nobody else runs.
    ///
    /// # Errors
    /// None after [`Self::verify`] had none.
    pub fn put_back(&mut self, pages: &mut impl Pages, now: u64) -> Result<Figures, Error> {
        let mut changed = 0;
        self.each(pages, |pages, _, page, kept| {
            changed += u64::from(pages.put_back(kept, page));
            Ok(())
        })?;
        self.figures.changed = changed;
        self.figures.rolled_back += 1;
        self.recent.rotate_left(1);
        if let Some(last) = self.recent.last_mut() {
            *last = now;
        }
        Ok(self.figures)
    }

    /// There is nothing to go back to any more. Says whether there was.
    pub fn give_up(&mut self) -> bool {
        let was = self.is_taken();
        self.figures.kept = 0;
        was
    }
}

#[cfg(test)]
mod tests;
