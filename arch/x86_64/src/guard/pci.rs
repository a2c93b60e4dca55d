// SPDX-License-Identifier: MIT OR Apache-2.0
//! PCI configuration space through the ports 0xcf8 and 0xcfc (PCI Local Bus 3.0,
//! 3.2.2.3.2).

#![expect(unsafe_code, reason = "the configuration ports")]

use core::arch::asm;

use mercury_hal::pci::Configuration;

/// The machine's own, through its ports.
#[derive(Debug)]
pub struct Ports;

impl Ports {
    fn choose(function: u16, offset: u8) {
        let address = 1 << 31 | u32::from(function) << 8 | u32::from(offset & !3);
        // SAFETY: chooses a register and has no other effect; whoever was choosing one
        // when the machine was stopped chooses again.
        unsafe { asm!("out dx, eax", in("dx") 0xcf8u16, in("eax") address, options(nostack)) };
    }
}

impl Configuration for Ports {
    fn read(&mut self, function: u16, offset: u8) -> u32 {
        Self::choose(function, offset);
        let value;
        // SAFETY: reading configuration has no side effect.
        unsafe { asm!("in eax, dx", in("dx") 0xcfcu16, out("eax") value, options(nostack)) };
        value
    }

    fn write(&mut self, function: u16, offset: u8, value: u32) {
        Self::choose(function, offset);
        // SAFETY: the callers above write the command register only.
        unsafe { asm!("out dx, eax", in("dx") 0xcfcu16, in("eax") value, options(nostack)) };
    }
}
