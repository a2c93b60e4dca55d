// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's registers that an exit may change.
//!
//! A function of Rust keeps X19 to X29 as they are, so an exit saves only the
//! others, on the CPU's stack. Vector registers are neither saved nor used.

use mercury_hal::call::Answer;

/// X0 to X18 and X30, as the vectors push them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Frame {
    /// X0 to X18.
    pub x: [u64; 19],
    /// X30.
    pub link: u64,
}

impl Frame {
    /// The guest finds this answer behind its hypercall.
    pub fn answer(&mut self, answer: &Answer) {
        let [status, places @ ..] = &mut self.x;
        *status = answer.status();
        if let Answer::Words(words) = answer {
            for (place, word) in places.iter_mut().zip(words) {
                *place = *word;
            }
        }
    }
}

/// Bytes of a frame; the stack stays aligned.
pub const FRAME_BYTES: usize = size_of::<Frame>();

const _: () = assert!(FRAME_BYTES == 160);

/// Which vector an exit came through (Arm ARM D1.3.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Vector {
    /// An exception that belongs to an instruction.
    Synchronous = 0,
    /// A physical interrupt.
    Interrupt = 1,
    /// A fast one.
    FastInterrupt = 2,
    /// SError.
    SystemError = 3,
}

impl Vector {
    /// The vector of the number that the assembly passes on.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number & 3 {
            0 => Self::Synchronous,
            1 => Self::Interrupt,
            2 => Self::FastInterrupt,
            _ => Self::SystemError,
        }
    }
}
