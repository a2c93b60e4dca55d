// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that does not come on.
//!
//! Most exits end with the guest one instruction further, or with an exception
//! that takes it elsewhere. A few run the same instruction again, because what
//! it wanted is there now, or deliver the same event again. If it is not there
//! after all, guest and image hand each other the same exit for ever: the CPU
//! takes no interrupt and no NMI, every other CPU waits for it, and nobody can
//! say why. So such exits are counted, and past a limit that no guest that comes
//! on can reach, the CPU ends as one does on which nothing can go on.
//!
//! A guest may well do the same thing over and over (a hypercall in a loop, a
//! read of the hole that is caught each time). It comes on: either its
//! instruction was done, or it was sent to a handler and came back. What counts
//! is an exit that is the last one again although nothing was delivered in
//! between: either nothing was to be, or the exit says that it still is.

/// Most equal exits in a row. An instruction touches a few dozen pages at most,
/// its page tables and stack included, and each is mapped at once.
pub const LIMIT: u32 = 1 << 12;

/// Why, of an exit that is none of those counted here: it ends what was counted.
pub const QUICK: u64 = 0xffff_fffe;

/// What one CPU's last exit was, and how many before it were the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Repetition {
    /// First, and first of it why: the assembly of [`crate::quick`] puts
    /// [`QUICK`] there.
    last: [u64; 4],
    came_on: bool,
    count: u32,
}

impl Repetition {
    /// An exit: what it was (why, where, which address, and the counter of a
    /// repeated instruction), and whether an event is still to be delivered.
    /// Returns how many there were before it without the guest coming on.
    pub const fn exit(&mut self, what: [u64; 4], undelivered: bool) -> u32 {
        let [why, place, address, counter] = what;
        let same = why == self.last[0]
            && place == self.last[1]
            && address == self.last[2]
            && counter == self.last[3];
        self.count = if same && (undelivered || !self.came_on) {
            self.count.saturating_add(1)
        } else {
            0
        };
        self.last = what;
        self.count
    }

    /// The guest goes on: behind its instruction or with an event of ours, or
    /// (not `came_on`) with the same instruction again.
    pub const fn entry(&mut self, came_on: bool) {
        self.came_on = came_on;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: [u64; 4] = [0x400, 0x1000, 0x2000, 0];

    fn after(times: u32, what: [u64; 4], undelivered: bool, comes_on: bool) -> u32 {
        let mut repetition = Repetition::default();
        let mut count = 0;
        for _ in 0..times {
            count = repetition.exit(what, undelivered);
            repetition.entry(comes_on);
        }
        count
    }

    #[test]
    fn an_instruction_that_runs_again_and_again_is_counted() {
        assert_eq!(after(100, FAULT, false, false), 99);
    }

    #[test]
    fn an_event_that_never_arrives_is_counted() {
        assert_eq!(after(100, FAULT, true, true), 99);
    }

    #[test]
    fn an_instruction_that_was_done_or_sent_to_a_handler_is_not() {
        assert_eq!(after(100, FAULT, false, true), 0);
    }

    #[test]
    fn a_guest_that_comes_on_is_not() {
        let mut repetition = Repetition::default();
        for step in 1..100 {
            for place in 0..4 {
                let mut what = FAULT;
                what[place] += step;
                assert_eq!(repetition.exit(what, false), 0);
                repetition.entry(false);
            }
        }
    }
}
