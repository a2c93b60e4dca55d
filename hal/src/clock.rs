// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time, as far as the image needs it: a counter for the log.

/// A counter that every CPU can read without an exit.
pub trait Clock {
    /// The counter now. Unit and start are the architecture's (x86: TSC).
    fn ticks() -> u64;
}
