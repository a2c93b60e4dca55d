// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a control block says of whether its exit can be taken back
//! ([`crate::sound`]), and what it takes to load its segments.

use super::vmcb::ControlBlock;
use super::vmcb::code;
use super::vmcb::event;
use crate::guest_memory;
use crate::guest_memory::Look;
use crate::registers;
use crate::sound::Obstacle;

/// What the control block says.
#[must_use]
pub const fn of_block(block: &ControlBlock) -> Option<Obstacle> {
    if block.exit_code == code::SHUTDOWN || block.exit_code as u32 == code::INVALID {
        Some(Obstacle::Shutdown)
    } else if block.exit_event & event::VALID != 0 {
        Some(Obstacle::Delivery)
    } else if block.interrupt_shadow & 1 != 0 {
        Some(Obstacle::Shadow)
    } else if block.cpl == 3 && block.cr4 & registers::CR4_CET != 0 {
        Some(Obstacle::ShadowStack)
    } else {
        None
    }
}

/// A data selector as the way out may load it: itself, or none if it would fault
/// there. One of the GDT is the kernel's own and good; one of an LDT may outlive
/// its descriptor (a task that drops its LDT). The ordinary way out faults then, and
/// the kernel's fixup loads none; here there is no stack for a fault.
pub fn data_selector(block: &ControlBlock, look: &mut impl Look, selector: u16) -> u16 {
    const LOCAL: u16 = 1 << 2;
    // Present, a segment of memory.
    const USABLE: u64 = 1 << 47 | 1 << 44;
    const CODE: u64 = 1 << 43;
    const READABLE: u64 = 1 << 41;
    if selector & LOCAL == 0 {
        return selector;
    }
    let paging = block.paging();
    let offset = u64::from(selector & !7);
    if offset + 7 > u64::from(block.ldtr.limit) {
        return 0;
    }
    let at = block.ldtr.base.wrapping_add(offset);
    let descriptor = guest_memory::translate(look, paging, at)
        .and_then(|found| look.word(found.page(), found.0 & 0xff8));
    let loads = descriptor.is_some_and(|descriptor| {
        let privilege = (descriptor >> 45 & 3) as u16;
        descriptor & USABLE == USABLE
            && descriptor & (CODE | READABLE) != CODE
            && privilege >= selector & 3
    });
    if loads { selector } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> ControlBlock {
        ControlBlock::blank()
    }

    #[test]
    fn a_plain_exit_can_be_taken_back_and_others_not() {
        assert_eq!(of_block(&block()), None);
        let mut one = block();
        one.exit_event = 0xec | event::VALID;
        assert_eq!(of_block(&one), Some(Obstacle::Delivery));
        one.exit_code = code::SHUTDOWN;
        assert_eq!(of_block(&one), Some(Obstacle::Shutdown));
        let mut one = block();
        one.interrupt_shadow = 1;
        assert_eq!(of_block(&one), Some(Obstacle::Shadow));
        let mut one = block();
        one.cpl = 3;
        assert_eq!(of_block(&one), None);
        one.cr4 = registers::CR4_CET;
        assert_eq!(of_block(&one), Some(Obstacle::ShadowStack));
    }
}
