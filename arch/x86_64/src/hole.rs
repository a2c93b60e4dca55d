// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store to the hole, carried out but for the storing.
//!
//! What the store is, [`crate::store`] has found out; what is left to do is the
//! same under VMX and SVM: general registers move on as they would have.

use crate::area::Registers;
use crate::area::register;
use crate::mutant;
use crate::mutant::Mutant;
use crate::registers::RFLAGS_DF;
use crate::store::Kind;
use crate::store::Store;

/// Moves the registers on; gives the length of the instruction if it is done, and
/// nothing if it has to come back for the rest. A repeated store goes as far as the
/// end of the page.
pub fn drop_store(
    registers: &mut Registers,
    rflags: u64,
    store: Store,
    address: u64,
    mutant: u64,
) -> Option<u8> {
    let length = if mutant::active(mutant, Mutant::HoleLength) {
        store.length.saturating_sub(1)
    } else {
        store.length
    };
    let Kind::String { repeats, moves } = store.kind else {
        return Some(length);
    };
    // Never 0; said so that no division by it is compiled in.
    let size = u64::from(store.size).max(1);
    let down = rflags & RFLAGS_DF != 0;
    let registers = &mut registers.0;
    let left = registers[register::RCX];
    let times = if !repeats || down {
        1
    } else {
        let in_page = 4096 - (address & 4095);
        left.min(in_page.div_ceil(size))
    };
    let step = if down {
        size.wrapping_neg()
    } else {
        size.wrapping_mul(times)
    };
    registers[register::RDI] = registers[register::RDI].wrapping_add(step);
    if moves {
        registers[register::RSI] = registers[register::RSI].wrapping_add(step);
    }
    if repeats {
        registers[register::RCX] = left.wrapping_sub(times);
    }
    (!repeats || left == times).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_store_stops_at_the_end_of_the_page() {
        let store = Store {
            length: 3,
            size: 8,
            kind: Kind::String {
                repeats: true,
                moves: true,
            },
        };
        let mut registers = Registers::default();
        registers.0[register::RCX] = 10;
        assert_eq!(drop_store(&mut registers, 0, store, 0x1fe0, 0), None);
        assert_eq!(registers.0[register::RCX], 6);
        assert_eq!(registers.0[register::RDI], 32);
        assert_eq!(registers.0[register::RSI], 32);
        assert_eq!(drop_store(&mut registers, 0, store, 0x2000, 0), Some(3));
        assert_eq!(registers.0[register::RCX], 0);
    }

    #[test]
    fn downwards_one_at_a_time() {
        let store = Store {
            length: 2,
            size: 1,
            kind: Kind::String {
                repeats: true,
                moves: false,
            },
        };
        let mut registers = Registers::default();
        registers.0[register::RCX] = 2;
        registers.0[register::RDI] = 5;
        assert_eq!(
            drop_store(&mut registers, RFLAGS_DF, store, 0x1005, 0),
            None
        );
        assert_eq!(registers.0[register::RDI], 4);
    }
}
