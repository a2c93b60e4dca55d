// SPDX-License-Identifier: MIT OR Apache-2.0
//! The core's lock-free parts, the same files, with the model checker's
//! atomics in place of the machine's.
//!
//! They say `super::sync`, which is [`sync`] here.

#[path = "../../../../core/src/generation.rs"]
pub mod generation;
#[path = "."]
pub mod guard {
    //! As deep as in the core.
    #[path = "../../../../core/src/guard/gather.rs"]
    pub mod gather;
}
#[path = "../../../../core/src/phase.rs"]
pub mod phase;
#[path = "../../../../core/src/ring.rs"]
pub mod ring;
mod sync;
