// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an exit can be taken back, so that the CPU goes on natively where it
//! came out.
//!
//! Most can: the control block holds the guest as it was before the instruction
//! that exited, or at the hypercall itself, and natively the instruction does what
//! it would have done. What cannot:
//!
//! - an event was being delivered (APM 15.7.2, SDM 27.2.4): the interrupt was taken
//!   from its controller already, and natively nobody would deliver it again;
//! - an interrupt shadow (APM 15.21.5, SDM 24.4.2): it cannot be put back, and a
//!   CPU that has just said STI and is about to HLT would sleep through its
//!   interrupt; nor can a debug trap that waits behind one;
//! - a shutdown, a CPU that waits for its SIPI, or a state that was refused: there
//!   is no guest that could go on;
//! - a guest that is not in long mode, or whose tables do not have the last
//!   instructions of the way out and their stack (a program under page table
//!   isolation): the way would end in the middle;
//! - a program with a shadow stack: IRETQ wants what no control block keeps.
//!
//! What its control block says of an exit, each backend reads itself.

use crate::area::Area;
use crate::guest_memory;
use crate::guest_memory::Look;
use crate::guest_memory::Paging;

/// Why an exit cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Obstacle {
    /// An event was being delivered.
    Delivery = 1,
    /// Interrupt shadow.
    Shadow = 2,
    /// No guest that could go on.
    Shutdown = 3,
    /// The way out does not lie in its tables.
    Unreachable = 4,
    /// A program with a shadow stack.
    ShadowStack = 5,
}

/// What the guest's tables say: the way's last instructions and its stack.
pub fn of_tables<L>(area: &Area<L>, paging: Paging, look: &mut impl Look) -> Option<Obstacle> {
    let way = [area.door.kernel, area.door.way_free, area.door.way_out];
    let reached = way
        .iter()
        .all(|address| guest_memory::translate(look, paging, *address).is_some());
    (!reached).then_some(Obstacle::Unreachable)
}
