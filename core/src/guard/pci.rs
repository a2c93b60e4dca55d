// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices are taken off the memory before its first byte changes: they would go on
//! with rings that are other data by then.
//!
//! Every function of the first segment is looked at (PCI Local Bus 3.0, 6.2), and its
//! command register loses the bus master bit. Those of PCI Express are then waited for
//! until no transaction of theirs is pending. Bridges keep the bit: Linux does not give
//! it back to all of them, and nothing is behind them that still asks. Configuration
//! comes back with the drivers' resume.

use mercury_hal::pci::Configuration;

const COMMAND: u8 = 0x04;
/// Not the upper half: ones there clear status bits.
const COMMAND_MASK: u32 = 0xffff;
const BUS_MASTER: u32 = 1 << 2;
const CAPABILITIES: u32 = 1 << 20;
const CLASS: u8 = 0x08;
const BRIDGE_TO_HOST: u32 = 0x0600;
const HEADER: u8 = 0x0c;
const MANY_FUNCTIONS: u32 = 1 << 23;
const FIRST_CAPABILITY: u8 = 0x34;
const EXPRESS: u32 = 0x10;
const DEVICE_CONTROL: u8 = 8;
const TRANSACTIONS_PENDING: u32 = 1 << 21;
/// How often a device is asked whether it is done.
const PATIENCE: u32 = 100_000;

/// Where a function's PCI Express capability is.
fn express(pci: &mut impl Configuration, function: u16) -> Option<u8> {
    if pci.read(function, COMMAND) & CAPABILITIES == 0 {
        return None;
    }
    let mut at = pci.read(function, FIRST_CAPABILITY) as u8 & !3;
    // A list that bites its tail ends.
    for _ in 0..48 {
        if at == 0 {
            break;
        }
        let head = pci.read(function, at);
        if head & 0xff == EXPRESS {
            return Some(at);
        }
        at = (head >> 8) as u8 & !3;
    }
    None
}

/// Takes one function off the memory; says whether it was on it.
fn quiet(pci: &mut impl Configuration, function: u16) -> bool {
    let command = pci.read(function, COMMAND) & COMMAND_MASK;
    if command & BUS_MASTER == 0 {
        return false;
    }
    pci.write(function, COMMAND, command & !BUS_MASTER);
    if let Some(at) = express(pci, function) {
        for _ in 0..PATIENCE {
            if pci.read(function, at.wrapping_add(DEVICE_CONTROL)) & TRANSACTIONS_PENDING == 0 {
                break;
            }
        }
    }
    true
}

/// Takes every device off the memory, and says how many were on it.
pub fn quiet_all(pci: &mut impl Configuration) -> u64 {
    let mut count = 0;
    for device in 0..=u16::MAX >> 3 {
        let mut functions = 1;
        for number in 0..8 {
            let function = device << 3 | number;
            if number >= functions || pci.read(function, 0) as u16 == u16::MAX {
                continue;
            }
            let header = pci.read(function, HEADER);
            if header & MANY_FUNCTIONS != 0 {
                functions = 8;
            }
            let is_bridge = header >> 16 & 0x7f != 0;
            if !is_bridge && pci.read(function, CLASS) >> 16 != BRIDGE_TO_HOST {
                count += u64::from(quiet(pci, function));
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Bus {
        words: BTreeMap<(u16, u8), u32>,
        polls: u32,
    }

    impl Bus {
        fn add(&mut self, function: u16, class: u32, header: u32, command: u32) {
            self.words.insert((function, 0), 0x1234_5678);
            self.words.insert((function, COMMAND), command);
            self.words.insert((function, CLASS), class << 16);
            self.words.insert((function, HEADER), header << 16);
        }
    }

    impl Configuration for Bus {
        fn read(&mut self, function: u16, offset: u8) -> u32 {
            let word = self.words.get(&(function, offset));
            let word = word.copied().unwrap_or(u32::MAX);
            // The device is done after a while.
            if offset == 0x48 + DEVICE_CONTROL {
                self.polls += 1;
                if self.polls > 3 {
                    return word & !TRANSACTIONS_PENDING;
                }
            }
            word
        }
        fn write(&mut self, function: u16, offset: u8, value: u32) {
            assert_eq!(offset, COMMAND);
            assert_eq!(value >> 16, 0, "status would be cleared");
            let word = self.words.entry((function, offset)).or_default();
            *word = *word & 0xffff_0000 | value;
        }
    }

    #[test]
    fn endpoints_lose_the_memory_and_bridges_do_not() {
        let mut bus = Bus::default();
        bus.add(0, BRIDGE_TO_HOST, 0, 7);
        bus.add(1 << 3, 0x0200, 0, 7 | CAPABILITIES);
        bus.words.insert((1 << 3, FIRST_CAPABILITY), 0x40);
        bus.words.insert((1 << 3, 0x40), 0x48 << 8 | 5);
        bus.words.insert((1 << 3, 0x48), EXPRESS);
        bus.words
            .insert((1 << 3, 0x48 + DEVICE_CONTROL), TRANSACTIONS_PENDING);
        bus.add(2 << 3, 0x0604, 1, 7);
        bus.add(3 << 3, 0x0106, 0x80, 3);
        bus.add(3 << 3 | 5, 0x0c03, 0, 6);
        // Not a function: its device has one only.
        bus.add(1 << 3 | 2, 0x0200, 0, 7);
        bus.add(0xff << 8 | 31 << 3, 0x0108, 0, 0xffff_0000 | 4);
        assert_eq!(quiet_all(&mut bus), 3);
        assert_eq!(bus.polls, 4);
        for (function, command) in [
            (0, 7),
            (1 << 3, 3 | CAPABILITIES),
            (2 << 3, 7),
            (3 << 3, 3),
            (3 << 3 | 5, 2),
            (1 << 3 | 2, 7),
            (0xff << 8 | 31 << 3, 0xffff_0000),
        ] {
            assert_eq!(bus.words[&(function, COMMAND)], command, "{function:#x}");
        }
        assert_eq!(quiet_all(&mut bus), 0);
    }

    #[test]
    fn a_list_of_capabilities_that_bites_its_tail_ends() {
        let mut bus = Bus::default();
        bus.add(8, 0x0200, 0, 4 | CAPABILITIES);
        bus.words.insert((8, FIRST_CAPABILITY), 0x40);
        bus.words.insert((8, 0x40), 0x40 << 8 | 5);
        assert_eq!(quiet_all(&mut bus), 1);
    }
}
