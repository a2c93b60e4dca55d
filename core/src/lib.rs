// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mercury's logic: what it means to attach, to be attached, and to detach.
//!
//! Nothing here knows an architecture. Registers, instructions and the bits of
//! a table entry are behind the traits of `mercury-hal`; the same code runs in
//! the image beneath a kernel and, on the simulated machine, in host tests.
//!
//! From bottom to top: [`lent`] numbers the frames that the kernel lent,
//! [`stage2`] builds the nested map from them, [`ring`] and [`stats`] keep the
//! log and the counters, [`guard`] keeps a checkpoint, [`phase`] says who is in and whether the switch is
//! sealed, and [`hypervisor`] is all of it together, the one object that the
//! exits of every CPU ask.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod generation;
pub mod guard;
pub mod hypervisor;
pub mod lent;
pub mod phase;
pub mod ring;
pub mod stage2;
pub mod stats;
mod sync;
