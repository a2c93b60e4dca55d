// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: plain stores in the kernel by the test module, and all kinds of
//! accesses in user mode, where a refusal is a signal (`window.rs`).
//!
//! What the hardware describes (ISV in the syndrome) is dropped; what it does
//! not describe, and every fetch, gets an external abort.

use super::{Answered, NO_TRAP, ONCE, Touched};
use crate::machine;
use crate::probe::Probe;
use crate::window::{self, Access, PATTERN, Window};
use anyhow::{Context, Result};
use std::sync::OnceLock;

/// A synchronous external abort in user mode.
pub(super) const REFUSAL: i64 = libc::SIGBUS as i64;

/// The store that does least harm if it goes wrong.
pub(in crate::suite) const MILDEST: &str = "store_1";

const NONE: Answered = Answered::Nothing;
const REFUSED: Answered = Answered::Refused;

/// In the kernel; the mildest of those that may go wrong come first.
const KERNEL: [(&str, Answered); 8] = [
    ("read", NONE),
    ("strb", ONCE),
    ("strh", ONCE),
    ("strw", ONCE),
    ("str", ONCE),
    ("str_zero", ONCE),
    ("str_indexed", ONCE),
    ("stlr", ONCE),
];

/// In user mode.
const USER: [(&str, Answered, Access); 18] = [
    ("store_1", ONCE, window::store_1),
    ("store_2", ONCE, window::store_2),
    ("store_4", ONCE, window::store_4),
    ("store_8", ONCE, window::store_8),
    ("store_zero", ONCE, window::store_zero),
    ("store_indexed", ONCE, window::store_indexed),
    ("store_unaligned", ONCE, window::store_unaligned),
    ("store_release", ONCE, window::store_release),
    ("load_8", NONE, window::load_8),
    ("load_pair", NONE, window::load_pair),
    ("load_acquire", NONE, window::load_acquire),
    ("clean", NONE, window::clean),
    ("store_back", REFUSED, window::store_back),
    ("store_pair", REFUSED, window::store_pair),
    ("store_vector", REFUSED, window::store_vector),
    ("zero_block", REFUSED, window::zero_block),
    ("store_exclusive", REFUSED, window::store_exclusive),
    ("fetch", REFUSED, window::fetch),
];

/// With FEAT_LSE only.
const ATOMIC: [(&str, Answered, Access); 3] = [
    ("add", REFUSED, window::add),
    ("swap", REFUSED, window::swap),
    ("compare_swap", REFUSED, window::compare_swap),
];

/// All that this CPU has.
pub(super) fn accesses() -> &'static [(&'static str, Answered)] {
    static ACCESSES: OnceLock<Vec<(&str, Answered)>> = OnceLock::new();
    ACCESSES.get_or_init(|| {
        let atomic: &[_] = if std::arch::is_aarch64_feature_detected!("lse") {
            &ATOMIC
        } else {
            &[]
        };
        let user = USER.iter().chain(atomic);
        let user = user.map(|&(name, answered, _)| (name, answered));
        KERNEL.into_iter().chain(user).collect()
    })
}

/// One of them.
pub(super) fn touch(probe: &Probe, cpu: u32, address: u64, name: &str) -> Result<Touched> {
    if KERNEL.iter().any(|(known, _)| *known == name) {
        let answer = probe.ask(&format!("hole {cpu} {address:x} {name}"))?;
        return Ok(Touched {
            trap: answer.signed("trap")?,
            right: answer.number("right")? == 1,
            zero: answer.number("zero")? == 1,
            beside: true,
        });
    }
    let (_, answered, access) = *USER
        .iter()
        .chain(&ATOMIC)
        .find(|(known, ..)| *known == name)
        .with_context(|| format!("there is no access '{name}'"))?;
    window::survive()?;
    let window = Window::open(address)?;
    machine::pin(cpu)?;
    let at = window.at(64);
    let reached = access(at);
    machine::unpin()?;
    drop(window);
    let kept = match answered {
        // A load, or a clean, which touches no register.
        Answered::Nothing => reached.value == if name == "clean" { PATTERN } else { 0 },
        _ => reached.value == PATTERN,
    };
    let answer = probe.ask(&format!("hole {cpu} {address:x} read"))?;
    Ok(Touched {
        trap: match reached.signal {
            0 => NO_TRAP,
            signal => signal as i64,
        },
        right: kept && reached.pointer == at && reached.went_on,
        zero: answer.number("zero")? == 1,
        beside: true,
    })
}
