// SPDX-License-Identifier: MIT OR Apache-2.0
//! Atomics of the model checker that can be made in a constant.
//!
//! Those of `loom` belong to one execution of the model and cannot exist
//! outside of it; the core's objects are constants. So the real one is made at
//! the first touch. No other thread of the model can come between: they change
//! places only inside of an operation.

use std::sync::OnceLock;

pub(crate) use loom::sync::atomic::Ordering;
pub(crate) use loom::sync::atomic::fence;

#[derive(Debug)]
pub(crate) struct AtomicU64 {
    initial: u64,
    made: OnceLock<loom::sync::atomic::AtomicU64>,
}

impl AtomicU64 {
    pub(crate) const fn new(initial: u64) -> Self {
        Self {
            initial,
            made: OnceLock::new(),
        }
    }

    fn real(&self) -> &loom::sync::atomic::AtomicU64 {
        self.made
            .get_or_init(|| loom::sync::atomic::AtomicU64::new(self.initial))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.real().load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.real().store(value, order);
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.real().fetch_add(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.real().compare_exchange(current, new, success, failure)
    }
}
