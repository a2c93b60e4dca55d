// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: where nobody answers, reads give all ones or zeros and stores are lost.

use super::{Answer, NO_TRAP};
use crate::machine;
use crate::probe::Probe;
use anyhow::{Context, Result, ensure};

/// What an access meets natively where nobody answers.
pub(super) const NOBODY: i64 = NO_TRAP;
/// A protection fault.
pub(super) const REFUSAL: i64 = 13;

/// How wide physical addresses are.
pub(super) fn address_bits(_: &Probe) -> Result<u32> {
    machine::read("/proc/cpuinfo")?
        .lines()
        .find_map(|line| line.strip_prefix("address sizes")?.split(':').nth(1))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok())
        .context("/proc/cpuinfo names no address sizes")
}

/// Whether there are pages of 1 GiB.
pub(super) fn huge() -> Result<bool> {
    Ok(machine::read("/proc/cpuinfo")?
        .split_whitespace()
        .any(|word| word == "pdpe1gb"))
}

/// One access of 8 bytes by one CPU, or (-1) by all at the same moment.
pub(super) fn touch(probe: &Probe, cpu: i64, address: u64, how: &str) -> Result<Answer> {
    let answer = probe.ask(&format!("touch {cpu} {address:x} {how}"))?;
    let trap = answer.signed("trap")?;
    ensure!(
        (trap == NO_TRAP) == (answer.signed("traps")? == 0),
        "traps without a number"
    );
    Ok(Answer {
        trap,
        value: answer.number("value")?,
    })
}
