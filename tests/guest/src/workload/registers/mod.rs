// SPDX-License-Identifier: MIT OR Apache-2.0
//! Register state held across time: every register that a program may load is
//! loaded with a known pattern, kept while a loop spins (and the scheduler, or
//! Mercury, comes in between), stored and compared. Which registers there are
//! is the architecture's.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
mod sve;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::run;
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::run;

/// Turns of the empty loop: about a scheduler's tick under emulation.
const TURNS: u64 = 400_000;
