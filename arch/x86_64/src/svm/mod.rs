// SPDX-License-Identifier: MIT OR Apache-2.0
//! AMD SVM: what only it has.
//!
//! The control block ([`vmcb`]) is filled from the snapshot of the live CPU
//! ([`build`]), the world switch ([`run`]) enters the guest with it, exits are
//! taken apart in [`exit`], and [`depart`] turns the guest's state back into
//! the machine's. Very little is intercepted: the SVM instructions and
//! hypercalls, three registers ([`permission`]), and shutdown. CPUID,
//! interrupts, NMIs, I/O and all else run as on the bare machine.
//!
//! All of the image runs with the global interrupt flag clear (APM 15.17): the
//! trampoline clears it before it changes anything, and sets it when everything
//! is back. So there is no moment at which an NMI could find half a state.

pub mod build;
pub mod capabilities;
pub mod depart;
pub mod exit;
pub mod nested;
pub mod permission;
pub mod run;
pub mod sound;
pub mod vmcb;
