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
//! From outside to inside: [`shape`] sizes the map from the ID registers,
//! [`stage2`] writes its entries, [`guest`] turns it on and off, [`syndrome`]
//! takes an exit apart, [`exit`] answers it, [`inject`] is what the guest gets
//! where the answer is no. [`guard`] is what a roll-back needs beside. [`el2`] is what the order of stores, barriers and
//! invalidations is written in, and [`frames`] the memory of the tables. The instructions on the way between the MMU off and
//! the MMU on are the image's (`image/aarch64`).
//!
//! Manual sections are of the Arm Architecture Reference Manual for A-profile
//! (Arm ARM, DDI 0487).
#![no_std]

#[cfg(test)]
extern crate std;

pub mod area;
pub mod el2;
pub mod exit;
pub mod frame;
pub mod frames;
pub mod guard;
pub mod guest;
pub mod inject;
pub mod instruction;
pub mod leave;
pub mod mutant;
pub mod shape;
pub mod stage2;
pub mod syndrome;
pub mod window;
