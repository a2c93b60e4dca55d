// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at guest memory: the bytes of an instruction, where the CPU does not
//! hand them over.
//!
//! The image maps nothing of the guest. Each CPU has one page-sized slot in its
//! address space; a look maps the page there, copies what is wanted, and takes
//! it out again. Everything on the way is the guest's word: its CR3, its
//! tables, its instruction pointer. A table or page that would lie in the hole,
//! or beyond the physical address space, is not looked at, whatever they say.
#![expect(unsafe_code, reason = "maps a page and reads it")]

use mercury_hal::addr::GuestPhysical;
use mercury_hal::addr::PAGE_SIZE;

use crate::instruction;
use crate::registers::CR0_PG;
use crate::registers::CR4_LA57;
use crate::registers::CR4_PAE;
use crate::registers::EFER_LMA;
use crate::window::PEEK_BASE;

/// The guest's paging as its registers say.
#[derive(Clone, Copy, Debug)]
pub struct Paging {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER.
    pub efer: u64,
}

/// One look at a time at one page.
pub trait Look {
    /// Copies bytes of a guest page from `offset` on, if the guest itself could
    /// read them. They end where the page ends; returns how many there are.
    fn copy(&mut self, page: GuestPhysical, offset: u64, to: &mut [u8]) -> Option<usize>;

    /// The 64-bit word at `offset` (aligned) of a guest page.
    fn word(&mut self, page: GuestPhysical, offset: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        let count = self.copy(page, offset, &mut bytes)?;
        (count == 8).then_some(u64::from_le_bytes(bytes))
    }
}

const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Translates a linear address of a guest in long mode (APM 5.3).
pub fn translate(look: &mut impl Look, paging: Paging, linear: u64) -> Option<GuestPhysical> {
    let long = paging.cr0 & CR0_PG != 0 && paging.cr4 & CR4_PAE != 0 && paging.efer & EFER_LMA != 0;
    if !long {
        return None;
    }
    let mut level = if paging.cr4 & CR4_LA57 != 0 { 5 } else { 4 };
    let mut table = GuestPhysical(paging.cr3 & ADDRESS);
    loop {
        level -= 1;
        let shift = 12 + 9 * level;
        let entry = look.word(table, (linear >> shift & 511) * 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        let is_page = level == 0 || (entry & LARGE != 0 && level <= 2);
        if is_page {
            let within = (1u64 << shift) - 1;
            return Some(GuestPhysical(entry & ADDRESS & !within | linear & within));
        }
        table = GuestPhysical(entry & ADDRESS);
    }
}

/// Copies instruction bytes from a linear address; returns how many there are
/// (fewer than asked for if the next page cannot be read).
pub fn fetch(look: &mut impl Look, paging: Paging, linear: u64, to: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = linear.wrapping_add(done as u64);
        let copied = translate(look, paging, at)
            .and_then(|address| look.copy(address.page(), address.0 % PAGE_SIZE, rest));
        match copied {
            Some(count) if count > 0 => done += count,
            _ => break,
        }
    }
    done
}

/// A CPU's peek slot.
#[derive(Debug)]
pub struct PeekSlot<H> {
    /// Virtual address of the page table entry that maps the slot.
    entry: u64,
    /// Virtual address of the slot.
    slot: u64,
    /// Whether a page may be looked at.
    may_look: H,
}

impl<H: Fn(GuestPhysical) -> bool> PeekSlot<H> {
    /// The slot of a CPU.
    ///
    /// # Safety
    /// `entry` is the virtual address of the entry that maps this CPU's slot,
    /// and nobody else uses either until the value is dropped.
    pub const unsafe fn new(cpu: u32, entry: u64, may_look: H) -> Self {
        Self {
            entry,
            slot: PEEK_BASE + cpu as u64 * PAGE_SIZE,
            may_look,
        }
    }

    fn map(&self, raw: u64) {
        let entry = self.entry as *mut u64;
        // SAFETY: `new` was promised that the entry is this slot's alone.
        unsafe { entry.write_volatile(raw) };
        instruction::invalidate_page(self.slot);
    }
}

impl<H: Fn(GuestPhysical) -> bool> Look for PeekSlot<H> {
    fn copy(&mut self, page: GuestPhysical, offset: u64, to: &mut [u8]) -> Option<usize> {
        if !(self.may_look)(page) {
            return None;
        }
        self.map(page.page().0 | PRESENT);
        let mut count = 0;
        for (byte, at) in to.iter_mut().zip(offset..PAGE_SIZE) {
            let from = (self.slot + at) as *const u8;
            // SAFETY: the slot maps the page until the line below the loop,
            // and `at` is within it; what it holds is the guest's to change,
            // hence volatile.
            *byte = unsafe { from.read_volatile() };
            count += 1;
        }
        self.map(0);
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Memory(HashMap<u64, u64>);

    impl Look for Memory {
        fn copy(&mut self, page: GuestPhysical, offset: u64, to: &mut [u8]) -> Option<usize> {
            let mut count = 0;
            for (byte, at) in to.iter_mut().zip(offset..PAGE_SIZE) {
                let word = self.0.get(&(page.0 + (at & !7)))?;
                *byte = word.to_le_bytes()[(at & 7) as usize];
                count += 1;
            }
            Some(count)
        }
    }

    fn paging(cr4: u64) -> Paging {
        Paging {
            cr0: CR0_PG,
            cr3: 0x1000 | 0xfff,
            cr4: CR4_PAE | cr4,
            efer: EFER_LMA,
        }
    }

    #[test]
    fn all_page_sizes_and_both_depths() {
        let linear = 3u64 << 39 | 4 << 30 | 5 << 21 | 6 << 12 | 0x123;
        let mut four = Memory(HashMap::from([
            (0x1000 + 3 * 8, 0x2001),
            (0x2000 + 4 * 8, 0x3001),
            (0x3000 + 5 * 8, 0x4001),
            (0x4000 + 6 * 8, 1 << 63 | 0x7_7001),
        ]));
        let got = translate(&mut four, paging(0), linear).unwrap();
        assert_eq!(got.0, 0x7_7123);
        let mut two_megabytes = Memory(HashMap::from([
            (0x1000 + 3 * 8, 0x2001),
            (0x2000 + 4 * 8, 0x3001),
            (0x3000 + 5 * 8, 0x4060_0081),
        ]));
        let got = translate(&mut two_megabytes, paging(0), linear).unwrap();
        assert_eq!(got.0, 0x4060_0000 | 6 << 12 | 0x123);
        let mut five = Memory(HashMap::from([
            (0x1000, 0x9001),
            (0x9000 + 3 * 8, 0x2001),
            (0x2000 + 4 * 8, 0x8000_0081),
        ]));
        let got = translate(&mut five, paging(CR4_LA57), linear).unwrap();
        assert_eq!(got.0, 0x8000_0000 | 5 << 21 | 6 << 12 | 0x123);
        assert_eq!(translate(&mut five, paging(0), linear), None);
    }

    #[test]
    fn a_fetch_stops_where_the_guest_could_not_read() {
        let mut memory = Memory(HashMap::from([
            (0x1000, 0x2001),
            (0x2000, 0x3001),
            (0x3000, 0x4001),
            (0x4000, 0x5001),
            (0x5ff8, 0x8877_6655_4433_2211),
        ]));
        let mut bytes = [0; 15];
        let count = fetch(&mut memory, paging(0), 0xffe, &mut bytes);
        assert_eq!((count, &bytes[..2]), (2, &[0x77, 0x88][..]));
    }
}
