// SPDX-License-Identifier: MIT OR Apache-2.0
//! The null hypercall, answered by the world switch itself.
//!
//! It does nothing, and what it costs is what an exit costs at the least: the
//! yardstick of everything else, and the question by which the module finds out
//! whether a CPU is a guest. So the assembly behind the exit answers it, with two
//! registers in hand, before the others are even saved. It does so only where
//! nothing but the answer is left to do, and otherwise goes on as for every exit,
//! with nothing changed:
//!
//! - the hypercall is the null one, from kernel mode. On x86 it must be the module's
//!   own instruction ([`crate::door::Door::call_site`]), whose length is known; any
//!   other one the guest's memory has to be asked about. On ARM64 the guest is behind
//!   its HVC already;
//! - the image is alive, and exits are not recorded ([`Quick::usual`]);
//! - on x86, nothing of the nested map has changed since this CPU looked last
//!   ([`Quick::generation`], [`Quick::seen`]: the flush must not be missed), no event
//!   was being delivered, and the guest does not single-step.
//!
//! Such calls are exits and are counted; whoever counts takes them over at the next
//! exit of the usual kind ([`Quick::take`]), before anybody can ask for the sum. They
//! end what [`crate::repetition`] counts. [`crate::life`] stays
//! [`crate::life::Life::Outside`]: a death here, for which a plain load would have to
//! fault, is one between two exits.

use crate::call;

/// What the assembly looks at, of one CPU. It knows the order.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Quick {
    /// Null hypercalls that were answered here and not yet counted elsewhere.
    pub calls: u64,
    /// Virtual address of the byte that is not 0 while these calls go the usual way.
    pub usual: u64,
    /// Virtual address of the nested map's generation.
    pub generation: u64,
    /// The generation that this CPU has seen.
    pub seen: u64,
}

impl Quick {
    /// The calls since this was asked last.
    pub const fn take(&mut self) -> u64 {
        core::mem::replace(&mut self.calls, 0)
    }
}

/// The null hypercall's number, which is also what it is answered with.
pub const NULL: u64 = call::BASE;

/// ARM64's assembly builds it of the upper half.
const _: () = assert!(NULL & 0xffff_ffff == 0);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Answer;
    use crate::call::Request;

    #[test]
    fn the_answer_is_the_number() {
        assert_eq!(Request::decode(NULL, 0), Some(Request::Null));
        assert_eq!(Answer::Words([0; 8]).status(), NULL);
    }

    #[test]
    fn calls_are_taken_once() {
        let mut quick = Quick {
            calls: 7,
            ..Quick::default()
        };
        assert_eq!(quick.take(), 7);
        assert_eq!(quick.take(), 0);
    }
}
