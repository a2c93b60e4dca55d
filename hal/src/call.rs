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
}

impl Answer {
    /// The status word: [`BASE`], plus the error's number if it failed.
    #[must_use]
    pub const fn status(self) -> u64 {
        match self {
            Self::Words(_) | Self::Leave => BASE,
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
        assert_eq!(Request::decode(BASE | 12, 0), None);
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
