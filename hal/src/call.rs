// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hypercalls: what the module on an attached CPU asks of Mercury.
//!
//! The request's number rides in the first register with [`BASE`] in its upper
//! half, so that a hypercall meant for another hypervisor is never taken for
//! ours, and the answer carries [`BASE`] too, so that an answer of another
//! hypervisor is never taken for ours. Up to eight words come back. The C side
//! is `mercury_door.h`; tests hold the two together.

use crate::addr::GuestPhysical;
use crate::error::Error;

/// Upper half of a request's number and of an answer's status: "MERC".
pub const BASE: u64 = 0x4d45_5243_0000_0000;

/// Words that an answer carries beside its status.
pub const WORDS: usize = 8;

/// Pages that one page of marks speaks of ([`Request::Mark`]).
pub const MARKED: u64 = 32768;

/// A request of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing: what an exit costs, and whether anybody answers.
    Null,
    /// This CPU's own facts: cpu, phase, exits in total, entries.
    Status,
    /// Let this CPU go.
    Detach,
    /// All CPUs are in, this many: from here on there is no way back but detach.
    Seal(u64),
    /// The log record of this sequence number, or the oldest after it.
    Log(u64),
    /// Proof: let the first proof page point at the second.
    Flip,
    /// Proof: take the first proof page out of the map.
    Unmap,
    /// Proof: the first proof page is itself again.
    Restore,
    /// This CPU's exit counters, eight from this index on.
    Counters(u64),
    /// Memory and map figures.
    Memory,
    /// Map this address, which will be memory: answers with the first address
    /// behind the leaf that it lies in.
    Cover(u64),
    /// Record each exit in the log, or (0) stop it.
    Trace(u64),
    /// Which pages a checkpoint is to keep: the page at this guest physical address
    /// has a bit for each of 32768, the number in its low bits says of which.
    Mark(u64),
    /// Keep the marked pages and this CPU. Returns twice: the first word is 0 when the
    /// checkpoint is taken, and the number of the roll-back when it is rolled back.
    Checkpoint,
    /// Go back to the checkpoint, for this [`Cause`] (low byte); the next 32 bits say
    /// how many bytes of its story were told ([`Self::Tell`]). Comes back only if it
    /// cannot be done.
    RollBack(u64),
    /// A page of the kernel's own story of its end, at this guest physical address;
    /// the number in its low bits says which.
    Tell(u64),
    /// The record of the last roll-back, eight words from this one on.
    Retell(u64),
    /// The store and what is in it.
    Guarded,
    /// Give the checkpoint up.
    GiveUp,
}

/// Why a machine is rolled back. The numbers are those of `enum mercury_cause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// The kernel panicked.
    Panic = 1,
    /// Somebody asked for it.
    Asked = 2,
    /// The kernel shut itself down: a triple fault.
    Shutdown = 3,
}

impl Request {
    /// Takes a request apart; nothing if it is not ours or not known.
    #[must_use]
    pub const fn decode(number: u64, argument: u64) -> Option<Self> {
        let upper = if cfg!(feature = "planted-call-base") {
            0xffff_0000_0000_0000
        } else {
            0xffff_ffff_0000_0000
        };
        if number & upper != BASE & upper {
            return None;
        }
        match number & 0xffff_ffff {
            0 => Some(Self::Null),
            1 => Some(Self::Status),
            2 => Some(Self::Detach),
            3 => Some(Self::Seal(argument)),
            4 => Some(Self::Log(argument)),
            5 => Some(Self::Flip),
            6 => Some(Self::Unmap),
            7 => Some(Self::Restore),
            8 => Some(Self::Counters(argument)),
            9 => Some(Self::Memory),
            10 => Some(Self::Cover(argument)),
            11 => Some(Self::Trace(argument)),
            12 => Some(Self::Mark(argument)),
            13 => Some(Self::Checkpoint),
            14 => Some(Self::RollBack(argument)),
            15 => Some(Self::Tell(argument)),
            16 => Some(Self::Retell(argument)),
            17 => Some(Self::Guarded),
            18 => Some(Self::GiveUp),
            _ => None,
        }
    }

    /// The request's number, without [`BASE`].
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Status => 1,
            Self::Detach => 2,
            Self::Seal(_) => 3,
            Self::Log(_) => 4,
            Self::Flip => 5,
            Self::Unmap => 6,
            Self::Restore => 7,
            Self::Counters(_) => 8,
            Self::Memory => 9,
            Self::Cover(_) => 10,
            Self::Trace(_) => 11,
            Self::Mark(_) => 12,
            Self::Checkpoint => 13,
            Self::RollBack(_) => 14,
            Self::Tell(_) => 15,
            Self::Retell(_) => 16,
            Self::Guarded => 17,
            Self::GiveUp => 18,
        }
    }
}

/// What a hypercall comes back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; the words mean what the request says.
    Words([u64; WORDS]),
    /// Not done.
    Failed(Error),
    /// Done, and the CPU must leave: it goes on natively after the call.
    Leave,
    /// It needs all memory in sight, and perhaps other CPUs: the image carries it out
    /// when the exit has been taken apart, and answers then.
    Guard(Request),
}

impl Answer {
    /// The status word: [`BASE`], plus the error's number if it failed.
    #[must_use]
    pub const fn status(self) -> u64 {
        match self {
            Self::Words(_) | Self::Leave | Self::Guard(_) => BASE,
            Self::Failed(error) => BASE | error as u64,
        }
    }
}

/// The two pages of the module with which it proves that the nested map is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofPages {
    /// The page that is read.
    pub plain: GuestPhysical,
    /// The page that it is made to point at.
    pub other: GuestPhysical,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_numbers_are_requests() {
        assert_eq!(Request::decode(0, 0), None);
        assert_eq!(Request::decode(2, 0), None);
        assert_eq!(Request::decode(BASE | 2, 0), Some(Request::Detach));
        assert_eq!(Request::decode(BASE | 4, 9), Some(Request::Log(9)));
        assert_eq!(Request::decode(BASE | 19, 0), None);
        for number in 0..64 {
            if let Some(request) = Request::decode(BASE | number, 1) {
                assert_eq!(request.number(), number);
            }
        }
    }

    #[test]
    fn every_status_is_recognizable() {
        assert_eq!(Answer::Leave.status(), BASE);
        for error in Error::ALL {
            let status = Answer::Failed(*error).status();
            assert_eq!(status & !0xffff, BASE);
            assert_ne!(status, BASE);
        }
    }
}
