// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frames that the kernel lent.
//!
//! They come in blocks of physically contiguous frames, whatever the kernel
//! could spare, and are numbered through. The number is what the image's own
//! tables are laid out by ([`mercury_hal::door`]), the address is what the
//! hardware's tables hold; this is the map between the two, and the set that
//! makes up the hole. It never changes while anything is attached.

use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::HostPhysical;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::door::Block;
use mercury_hal::error::Error;
use mercury_hal::frames::FrameAccess;
use mercury_hal::frames::FrameSource;
use mercury_hal::frames::TableMemory;

/// The lent frames, as numbers and as addresses. The list itself stays where
/// the module wrote it: in a lent frame, out of the guest's reach.
#[derive(Clone, Copy, Debug)]
pub struct Lent {
    blocks: &'static [Block],
    frames: u64,
}

impl Lent {
    /// Takes the module's list over.
    ///
    /// # Errors
    /// [`Error::BadParameters`] if a block is empty, unaligned, wraps around or
    /// overlaps another.
    pub fn new(blocks: &'static [Block]) -> Result<Self, Error> {
        let mut frames = 0;
        for (index, block) in blocks.iter().enumerate() {
            let end = block
                .pages
                .checked_mul(PAGE_SIZE)
                .and_then(|bytes| block.start.checked_add(bytes))
                .ok_or(Error::BadParameters)?;
            let overlaps = blocks.iter().take(index).any(|other| {
                // The earlier ones were looked at already and do not wrap.
                block.start < other.start + other.pages * PAGE_SIZE
                    && (other.start < end && !cfg!(feature = "planted-block-overlap")
                        || other.start <= block.start)
            });
            if block.pages == 0 || block.start % PAGE_SIZE != 0 || overlaps {
                return Err(Error::BadParameters);
            }
            frames += block.pages;
        }
        Ok(Self { blocks, frames })
    }

    /// How many frames there are.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// The address of the frame with this number.
    #[must_use]
    pub fn address(&self, number: u64) -> Option<HostPhysical> {
        let mut left = number;
        for block in self.blocks {
            if left < block.pages {
                return Some(HostPhysical(block.start + left * PAGE_SIZE));
            }
            left -= block.pages;
        }
        None
    }

    /// The addresses of this frame and all after it.
    pub fn from(&self, number: u64) -> impl Iterator<Item = HostPhysical> + use<> {
        let mut left = number;
        self.blocks.iter().flat_map(move |block| {
            let skipped = left.min(block.pages);
            left -= skipped;
            (skipped..block.pages).map(|page| HostPhysical(block.start + page * PAGE_SIZE))
        })
    }

    /// The blocks.
    #[must_use]
    pub const fn blocks(&self) -> &'static [Block] {
        self.blocks
    }

    /// The number of the frame that an address lies in, if it is lent.
    #[must_use]
    pub fn number(&self, address: HostPhysical) -> Option<u64> {
        let mut before = 0;
        for block in self.blocks {
            if let Some(offset) = address.0.checked_sub(block.start)
                && offset / PAGE_SIZE < block.pages
            {
                return Some(before + offset / PAGE_SIZE);
            }
            before += block.pages;
        }
        None
    }

    /// Whether a guest that names this address means one of our frames.
    #[must_use]
    pub fn covers(&self, address: GuestPhysical) -> bool {
        self.number(address.identity()).is_some()
    }
}

/// Hands out lent frames, once each, in the order of their numbers, and is the
/// memory of the tables made of them. They go back to the kernel all together,
/// at detach; so there is no giving back.
#[derive(Debug)]
pub struct LentTables<A> {
    lent: Lent,
    next: u64,
    end: u64,
    access: A,
}

impl<A: FrameAccess> LentTables<A> {
    /// All frames from number `first` on, up to `end`.
    pub const fn new(lent: Lent, first: u64, end: u64, access: A) -> Self {
        Self {
            lent,
            next: first,
            end,
            access,
        }
    }

    /// The frames behind it.
    pub const fn lent(&self) -> &Lent {
        &self.lent
    }

    /// How many are left.
    pub const fn left(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }
}

impl<A: FrameAccess> FrameSource for LentTables<A> {
    fn take(&mut self) -> Option<HostPhysical> {
        if self.next >= self.end {
            return None;
        }
        let frame = self.lent.address(self.next)?;
        self.next += 1;
        Some(frame)
    }
}

impl<A: FrameAccess> TableMemory for LentTables<A> {
    fn read(&self, table: HostPhysical, index: usize) -> u64 {
        // An address that is not lent cannot come out of `take`; reading it as
        // empty is the harmless answer to a broken table.
        self.lent
            .number(table)
            .map_or(0, |frame| self.access.read(frame, index))
    }

    fn write(&mut self, table: HostPhysical, index: usize, value: u64) {
        if let Some(frame) = self.lent.number(table) {
            self.access.write(frame, index, value);
        }
    }

    fn fill(&mut self, table: HostPhysical, with: impl Fn(usize) -> u64) {
        if let Some(frame) = self.lent.number(table) {
            self.access.fill(frame, with);
        }
    }

    fn forget(&mut self) {
        self.access.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_blocks() -> Lent {
        Lent::new(&[
            Block {
                start: 0x8000,
                pages: 2,
            },
            Block {
                start: 0x1000,
                pages: 3,
            },
        ])
        .unwrap()
    }

    #[test]
    fn numbers_and_addresses_are_inverse() {
        let lent = two_blocks();
        for number in 0..lent.frames() {
            let address = lent.address(number).unwrap();
            assert_eq!(lent.number(HostPhysical(address.0 + 0xfff)), Some(number));
        }
        assert_eq!(lent.address(5), None);
        assert_eq!(lent.number(HostPhysical(0xa000)), None);
        assert_eq!(lent.number(HostPhysical(0xfff)), None);
    }

    #[test]
    fn contradictory_lists_are_refused() {
        const LISTS: [&[Block]; 4] = [
            &[Block {
                start: 0x1000,
                pages: 0,
            }],
            &[Block {
                start: 0x1001,
                pages: 1,
            }],
            &[
                Block {
                    start: 0x1000,
                    pages: 2,
                },
                Block {
                    start: 0x2000,
                    pages: 1,
                },
            ],
            &[Block {
                start: 0x1000,
                pages: u64::MAX,
            }],
        ];
        for blocks in LISTS {
            assert_eq!(Lent::new(blocks).unwrap_err(), Error::BadParameters);
        }
    }

    #[test]
    fn each_frame_is_handed_out_once() {
        struct Nowhere;
        impl FrameAccess for Nowhere {
            fn read(&self, _: u64, _: usize) -> u64 {
                0
            }
            fn write(&mut self, _: u64, _: usize, _: u64) {}
        }
        let mut free = LentTables::new(two_blocks(), 1, 5, Nowhere);
        assert_eq!(free.left(), 4);
        let taken = [0x9000, 0x1000, 0x2000, 0x3000].map(|_| free.take().unwrap().0);
        assert_eq!(taken, [0x9000, 0x1000, 0x2000, 0x3000]);
        assert_eq!(free.take(), None);
        assert_eq!(free.left(), 0);
    }
}
