// SPDX-License-Identifier: MIT OR Apache-2.0
//! PCI configuration space, as far as it is reached in the same way on all machines.

/// Reads and writes 32-bit words of configuration space.
pub trait Configuration {
    /// The word at `offset` of a function: bus, device and function as in a requester
    /// number.
    fn read(&mut self, function: u16, offset: u8) -> u32;
    /// Stores one.
    fn write(&mut self, function: u16, offset: u8, value: u32);
}
