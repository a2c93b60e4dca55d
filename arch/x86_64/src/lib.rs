// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64: registers, tables and instructions, and the door between running
//! on the machine and running in a guest.
//!
//! What VMX and SVM have in common stands at the top level: the snapshot of a
//! CPU ([`snapshot`]), the segments ([`segment`]), the image's own descriptor
//! tables ([`tables`]), the way back into the kernel ([`leave`]), looking at
//! guest memory ([`guest_memory`]) and decoding a store to the hole
//! ([`store`]). What only SVM has is in [`svm`]. Nothing here decides anything
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
pub mod guest_memory;
pub mod instruction;
pub mod leave;
pub mod mutant;
pub mod noted;
pub mod registers;
pub mod segment;
pub mod snapshot;
pub mod store;
pub mod svm;
pub mod tables;
pub mod window;
