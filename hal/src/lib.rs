// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam between Mercury's logic and the machine: traits and plain types.
//!
//! Three kinds of crate meet here. `mercury-core` holds the logic of attach,
//! detach, the nested map and the hole, and knows no architecture. An
//! architecture crate knows registers and nothing else. The image joins one of
//! each. What they say to each other is in this crate, and so is what the image
//! says to the kernel module ([`door`], [`call`]), because both sides of that
//! are architecture-neutral too.
//!
//! Nothing here executes: no unsafe code, no `cfg(target_arch)`.
#![no_std]
#![forbid(unsafe_code)]

pub mod addr;
pub mod call;
pub mod clock;
pub mod door;
pub mod error;
pub mod event;
pub mod exit;
pub mod frames;
pub mod life;
pub mod pages;
pub mod paging;
pub mod pci;
pub mod quick;
pub mod repetition;
