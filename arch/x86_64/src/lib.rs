// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64: registers, tables and instructions, and the door between running
//! on the machine and running in a guest.
//!
//! What VMX and SVM have in common stands at the top level: the snapshot of a
//! CPU ([`snapshot`]), the segments ([`segment`]), the image's own descriptor
//! tables ([`tables`]), what a roll-back needs ([`guard`]), looking at guest memory ([`guest_memory`]), decoding a
//! store to the hole ([`store`]) and carrying it out ([`hole`]), what exits have alike
//! ([`exit`]) and whether one can be taken back ([`sound`], [`freed`]), the registers in a world
//! switch (`switch`), and the choice
//! between their nested tables ([`stage2`]). What only SVM has is in [`svm`]
//! (and [`leave`], its way back into the kernel), what only VMX has in [`vmx`]
//! (and [`pad`] and [`nmi`], because it cannot hold NMIs off). Nothing here decides anything
//! that is Mercury's business: that is asked of a
//! [`Policy`](mercury_hal::exit::Policy).
//!
//! Manual sections are of the AMD64 Architecture Programmer's Manual volume 2
//! (APM) unless said otherwise.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod area;
pub mod exception;
pub mod exit;
pub mod freed;
pub mod guard;
pub mod guest_memory;
pub mod hole;
pub mod instruction;
pub mod leave;
pub mod mutant;
pub mod mutate;
pub mod nmi;
pub mod noted;
pub mod pad;
pub mod registers;
pub mod segment;
pub mod snapshot;
pub mod sound;
pub mod stage2;
pub mod store;
pub mod svm;
#[cfg(target_os = "none")]
mod switch;
pub mod tables;
pub mod vmx;
pub mod window;
