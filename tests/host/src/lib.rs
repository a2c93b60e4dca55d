// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host tests have in common.
//!
//! The tests themselves are in `tests/`. Here are their ways to the C side
//! ([`header`]: what a header means; [`walk`], [`preflight`], [`publish`], [`rendezvous`]:
//! the module's code itself), the walk's other end on the simulated machine ([`stroll`]), and the
//! core's lock-free parts compiled for the model checker ([`interleaved`]).

pub mod header;
pub mod interleaved;
pub mod preflight;
pub mod publish;
pub mod rendezvous;
pub mod stroll;
pub mod walk;
