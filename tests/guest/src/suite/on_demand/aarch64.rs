// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: where nobody answers, an access gets an external abort, natively and
//! as a guest alike. In user mode that is a signal, so it is made there.

use super::{Answer, EVERY_CPU, NO_TRAP};
use crate::machine;
use crate::probe::Probe;
use crate::window::{self, Window};
use anyhow::{Result, anyhow};
use std::sync::Barrier;
use std::thread;

/// What an access meets natively where nobody answers.
pub(super) const NOBODY: i64 = libc::SIGBUS as i64;
/// The same.
pub(super) const REFUSAL: i64 = libc::SIGBUS as i64;

/// How wide physical addresses are.
pub(super) fn address_bits(probe: &Probe) -> Result<u32> {
    Ok(probe.ask("state 0")?.number("address_bits")? as u32)
}

/// Pages of 1 GiB come with the granule of 4 KiB.
pub(super) fn huge() -> Result<bool> {
    Ok(true)
}

/// One access of 8 bytes by one CPU, or (-1) by all at the same moment.
pub(super) fn touch(_: &Probe, cpu: i64, address: u64, how: &str) -> Result<Answer> {
    window::survive()?;
    let cpus = if cpu == EVERY_CPU {
        machine::online()?
    } else {
        vec![cpu as u32]
    };
    let window = Window::open(address)?;
    let at = window.at((address % window::PAGE as u64) as usize);
    let access = if how == "read" {
        window::load_8
    } else {
        window::store_zero
    };
    let together = Barrier::new(cpus.len());
    let reached = thread::scope(|scope| -> Result<Vec<_>> {
        let threads: Vec<_> = cpus
            .iter()
            .map(|&cpu| {
                let together = &together;
                scope.spawn(move || -> Result<_> {
                    let pinned = machine::pin(cpu);
                    together.wait();
                    pinned?;
                    Ok(access(at))
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|joined| joined.map_err(|_| anyhow!("a thread panicked"))?)
            .collect()
    })?;
    let trapped = reached.iter().find(|reached| reached.signal != 0);
    Ok(Answer {
        trap: trapped.map_or(NO_TRAP, |reached| reached.signal as i64),
        value: reached[0].value,
    })
}
