// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the lock-free parts ([`crate::generation`],
//! [`crate::phase`], [`crate::ring`]) take their
//! atomics from.
//!
//! One place, because tests/host compiles those files a second time with
//! atomics of a model checker, which then tries every interleaving and every
//! reordering that the orderings named in them permit.

pub(crate) use core::sync::atomic::AtomicU64;
pub(crate) use core::sync::atomic::Ordering;
pub(crate) use core::sync::atomic::fence;
