// SPDX-License-Identifier: MIT OR Apache-2.0
//! All memory, through two slots of the image's address space.
//!
//! Only one CPU looks through them: the one that takes a checkpoint or leads a
//! roll-back, under a lock of the image. A page is mapped when it is named and stays until
//! the next one is; [`Sight`]'s end takes both out again. Every change goes by way of an
//! entry that is none (break-before-make, Arm ARM D8.16.1), and is this CPU's own affair:
//! what another CPU may have walked to of its own accord it never uses, and it forgets
//! everything of EL2's before it looks itself ([`Sight::new`]).
//!
//! Memory is Normal, write-back, as the kernel has nearly all of it. Some pages the
//! kernel, too, has past the caches (buffers of devices that do not look there). So a page
//! of the guest's is cleaned out of the caches before it is read, and again when it was
//! changed: then memory has it, whoever looks by which way, and so do instruction fetches
//! once [`instruction::forget_all_memory`] is done.
#![expect(unsafe_code, reason = "maps any page and reads and writes it")]

use mercury_hal::addr::HostPhysical;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::door::SIGHTS;
use mercury_hal::pages::Pages;
use mercury_hal::pages::Sum;
use mercury_hal::pages::WORDS;

use crate::instruction;
use crate::window::IMAGE_BASE;
use mercury_hal::door::PEEK_OFFSET;

/// A page at level 3, accessed, not to be executed; AP[1] is RES1 at EL2.
const PAGE: u64 = 3 | 1 << 6 | 1 << 10 | 1 << 54;
/// SH: inner shareable; index 0 of MAIR_EL2 is write-back.
const MEMORY: u64 = 3 << 8;
/// Index 1 of MAIR_EL2, which the image leaves at 0: Device-nGnRnE.
const DEVICE: u64 = 1 << 2;

/// The two slots.
#[derive(Debug)]
pub struct Sight {
    /// Virtual address of the entry of the first slot; the second's follows.
    entries: *mut u64,
    /// Virtual address of the first slot.
    slots: u64,
    /// What the entries hold.
    mapped: [u64; SIGHTS as usize],
    /// Bytes of the smallest cache line.
    line: usize,
}

impl Sight {
    /// The slots behind those of `cpus` CPUs, whose entries begin at the virtual
    /// address `entries`.
    ///
    /// # Safety
    /// The module mapped both as [`mercury_hal::door`] says, and no other CPU looks
    /// through them until the value is dropped.
    #[must_use]
    pub unsafe fn new(cpus: u32, entries: u64) -> Self {
        instruction::tlbi_alle2();
        instruction::dsb_nsh();
        instruction::isb();
        Self {
            entries: (entries + u64::from(cpus) * 8) as *mut u64,
            slots: IMAGE_BASE + PEEK_OFFSET + u64::from(cpus) * PAGE_SIZE,
            mapped: [0; SIGHTS as usize],
            line: instruction::smallest_line(),
        }
    }

    /// Maps a page in slot 0 or 1, and gives its first word's virtual address.
    #[inline(never)]
    fn map(&mut self, slot: usize, entry: u64) -> *mut u64 {
        let slot = slot & 1;
        let address = self.slots + slot as u64 * PAGE_SIZE;
        if let Some(mapped) = self.mapped.get_mut(slot)
            && *mapped != entry
        {
            *mapped = entry;
            let at = self.entries.wrapping_add(slot);
            // SAFETY: `new` was promised that the entries are these slots' alone.
            unsafe { at.write_volatile(0) };
            instruction::dsb_ishst();
            instruction::tlbi_vae2(address);
            instruction::dsb_nsh();
            // SAFETY: as above.
            unsafe { at.write_volatile(entry) };
            instruction::dsb_ishst();
            instruction::isb();
        }
        address as *mut u64
    }

    fn memory(&mut self, slot: usize, page: HostPhysical) -> *mut u64 {
        self.map(slot, page.page().0 | PAGE | MEMORY)
    }

    /// A page that is mapped is in memory, and in no cache.
    fn clean(&self, page: *mut u64) {
        // Not step_by, which can panic.
        let mut at = 0;
        while at < PAGE_SIZE as usize {
            instruction::clean(page as u64 + at as u64);
            at += self.line;
        }
        instruction::dsb_sy();
    }

    fn register(&mut self, page: HostPhysical, offset: u64) -> *mut u32 {
        self.map(0, page.page().0 | PAGE | DEVICE)
            .cast::<u32>()
            .wrapping_add((offset % PAGE_SIZE / 4) as usize)
    }

    /// A 32-bit device register, at a multiple of four from a page's start.
    ///
    /// # Safety
    /// The device is there, and reading the register does what the caller wants.
    pub unsafe fn read_register(&mut self, page: HostPhysical, offset: u64) -> u32 {
        let page = HostPhysical(page.0 + (offset & !(PAGE_SIZE - 1)));
        let register = self.register(page, offset);
        // SAFETY: mapped a line above; the caller vouches for the device.
        unsafe { register.read_volatile() }
    }

    /// Writes one.
    ///
    /// # Safety
    /// As [`Self::read_register`].
    pub unsafe fn write_register(&mut self, page: HostPhysical, offset: u64, value: u32) {
        let page = HostPhysical(page.0 + (offset & !(PAGE_SIZE - 1)));
        let register = self.register(page, offset);
        // SAFETY: as above.
        unsafe { register.write_volatile(value) };
    }
}

impl Drop for Sight {
    fn drop(&mut self) {
        self.map(0, 0);
        self.map(1, 0);
    }
}

impl Pages for Sight {
    fn read(&mut self, page: HostPhysical, index: usize) -> u64 {
        let word = self.memory(0, page).wrapping_add(index % WORDS);
        // SAFETY: mapped a line above, and the index is within the page.
        unsafe { word.read_volatile() }
    }

    fn write(&mut self, page: HostPhysical, index: usize, value: u64) {
        let word = self.memory(0, page).wrapping_add(index % WORDS);
        // SAFETY: as above; the caller owns the frame.
        unsafe { word.write_volatile(value) };
    }

    fn copy(&mut self, from: HostPhysical, to: HostPhysical) -> u64 {
        let (from, to) = (self.memory(0, from), self.memory(1, to));
        self.clean(from);
        let mut sum = Sum::new();
        for index in 0..WORDS {
            // SAFETY: both are mapped, and nobody else runs who could change them.
            let word = unsafe { from.wrapping_add(index).read_volatile() };
            // SAFETY: as above; the caller owns the target.
            unsafe { to.wrapping_add(index).write_volatile(word) };
            sum = sum.with(word);
        }
        sum.value()
    }

    fn sum(&mut self, page: HostPhysical) -> u64 {
        let page = self.memory(0, page);
        let mut sum = Sum::new();
        for index in 0..WORDS {
            // SAFETY: mapped a line above.
            sum = sum.with(unsafe { page.wrapping_add(index).read_volatile() });
        }
        sum.value()
    }

    fn put_back(&mut self, from: HostPhysical, to: HostPhysical) -> bool {
        let (from, to) = (self.memory(0, from), self.memory(1, to));
        self.clean(to);
        let mut changed = false;
        for index in 0..WORDS {
            // SAFETY: both are mapped, and nobody else runs.
            let word = unsafe { from.wrapping_add(index).read_volatile() };
            let to = to.wrapping_add(index);
            // SAFETY: as above.
            if unsafe { to.read_volatile() } != word {
                // SAFETY: as above; the caller owns all memory now.
                unsafe { to.write_volatile(word) };
                changed = true;
            }
        }
        if changed {
            self.clean(to);
        }
        changed
    }
}
