// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: stores by the test module, in the kernel.

use super::{Answered, ONCE, Touched};
use crate::probe::Probe;
use anyhow::Result;

const REPEATED: Answered = Answered::Dropped { exactly: false };

/// A protection fault.
pub(super) const REFUSAL: i64 = 13;

/// The store that does least harm if it goes wrong.
pub(in crate::suite) const MILDEST: &str = "mov_immediate";

/// The first is the mildest if it goes wrong (see `x86/hole.c`).
const STORES: [(&str, Answered); 23] = [
    ("read", Answered::Nothing),
    ("mov_immediate", ONCE),
    ("mov1", ONCE),
    ("mov2", ONCE),
    ("mov4", ONCE),
    ("mov8", ONCE),
    ("mov_indexed", ONCE),
    ("movnti", ONCE),
    ("movdqa", ONCE),
    ("movups", ONCE),
    ("two_pages", ONCE),
    ("stosb", REPEATED),
    ("stosq", REPEATED),
    ("stosq_down", REPEATED),
    ("stosb_across", REPEATED),
    ("movsq_in", REPEATED),
    ("movsq_out", Answered::Nothing),
    ("mov_across", Answered::Either),
    ("lock_inc", Answered::Refused),
    ("lock_bts", Answered::Refused),
    ("xchg", Answered::Refused),
    ("cmpxchg", Answered::Refused),
    ("add", Answered::Refused),
];

/// All of them.
pub(super) fn accesses() -> &'static [(&'static str, Answered)] {
    &STORES
}

/// One of them.
pub(super) fn touch(probe: &Probe, cpu: u32, address: u64, name: &str) -> Result<Touched> {
    let answer = probe.ask(&format!("hole {cpu} {address:x} {name}"))?;
    // 2: the bytes beside the frame were stored, and no others.
    let edges = (answer.number("left")?, answer.number("right_page")?);
    Ok(Touched {
        trap: answer.signed("trap")?,
        right: answer.number("right")? == 1,
        zero: answer.number("zero")? == 1,
        beside: name != "stosb_across" || edges == (2, 2),
    })
}
