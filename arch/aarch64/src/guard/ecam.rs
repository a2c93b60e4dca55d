// SPDX-License-Identifier: MIT OR Apache-2.0
//! PCI configuration space as memory (PCI Express 7.2.2): a page for each function.
#![expect(unsafe_code, reason = "registers of devices")]

use mercury_hal::addr::HostPhysical;
use mercury_hal::addr::PAGE_SIZE;
use mercury_hal::pci::Configuration;

use super::platform::Platform;
use super::sight::Sight;

/// The configuration space of the first segment, through the slots for all memory.
#[derive(Debug)]
pub struct Ecam<'a> {
    sight: &'a mut Sight,
    start: u64,
    bytes: u64,
}

impl<'a> Ecam<'a> {
    /// This machine's.
    pub fn new(sight: &'a mut Sight, platform: &Platform) -> Self {
        Self {
            sight,
            start: platform.configuration,
            bytes: platform.configuration_bytes,
        }
    }

    fn page(&self, function: u16) -> Option<HostPhysical> {
        let offset = u64::from(function) * PAGE_SIZE;
        (offset < self.bytes).then_some(HostPhysical(self.start + offset))
    }
}

impl Configuration for Ecam<'_> {
    /// What is not there reads as ones.
    fn read(&mut self, function: u16, offset: u8) -> u32 {
        let Some(page) = self.page(function) else {
            return u32::MAX;
        };
        // SAFETY: reading configuration has no side effect.
        unsafe { self.sight.read_register(page, u64::from(offset)) }
    }

    fn write(&mut self, function: u16, offset: u8, value: u32) {
        if let Some(page) = self.page(function) {
            // SAFETY: the caller writes the command register only.
            unsafe { self.sight.write_register(page, u64::from(offset), value) }
        }
    }
}
