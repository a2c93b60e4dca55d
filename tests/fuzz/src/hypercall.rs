// SPDX-License-Identifier: MIT OR Apache-2.0
//! The number of a hypercall: only ours are requests, and each has one number.

use arbitrary::Unstructured;
use mercury_hal::call::{BASE, Request};

/// How many requests there are.
const REQUESTS: u64 = 19;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let number: u64 = input.arbitrary().unwrap_or_default();
    let argument: u64 = input.arbitrary().unwrap_or_default();
    let found = Request::decode(number, argument);
    let ours = number.checked_sub(BASE).is_some_and(|low| low < REQUESTS);
    assert_eq!(found.is_some(), ours, "{number:#x} is {found:?}");
    let carried = match found {
        Some(
            Request::Seal(carried)
            | Request::Log(carried)
            | Request::Counters(carried)
            | Request::Cover(carried)
            | Request::Trace(carried),
        ) => carried,
        _ => argument,
    };
    assert_eq!(carried, argument);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..=REQUESTS)
        .map(|low| [(BASE | low).to_le_bytes(), 5u64.to_le_bytes()].concat())
        .collect()
}
