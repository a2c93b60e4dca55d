// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARMv8-A: EL2, and the door between running on the machine and running
//! beneath it.
//!
//! Linux that boots at EL2 without VHE drops to EL1 and leaves a stub there
//! that lets whoever asks run at EL2. Mercury asks, keeps every register of
//! EL2's as it was but the few that it needs, and turns the second stage of
//! translation on. Interrupts, timers, PSCI and the system registers of EL1
//! stay the guest's own.
//!
//! What is here so far is what needs no machine to be tested: the second
//! stage's entries ([`stage2`]), the syndrome of an exit taken apart
//! ([`syndrome`]) and the shape of the map from the ID registers ([`shape`]).
//! Entry, vectors and the image come with `make run ARCH=aarch64`.
//!
//! Manual sections are of the Arm Architecture Reference Manual for A-profile
//! (Arm ARM, DDI 0487).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod shape;
pub mod stage2;
pub mod syndrome;
