// SPDX-License-Identifier: MIT OR Apache-2.0
//! An attached machine with nothing to do comes out of its guests for nothing,
//! under VMX for CPUID and nothing else.
//!
//! Asking for the status takes hypercalls itself. How many is measured first,
//! by asking twice in a row; whatever exceeds that after the time is an exit.

use crate::{arch, expect};
use anyhow::{Result, ensure};
use mercury_device::{Device, Exits, Status};
use std::thread::sleep;
use std::time::Duration;

fn exits(status: &Status) -> Vec<(u32, Exits)> {
    status.online().map(|cpu| (cpu.cpu, cpu.exits)).collect()
}

/// Exits between two looks, of each CPU, by reason.
fn between(before: &[(u32, Exits)], after: &[(u32, Exits)]) -> Vec<Vec<u64>> {
    let pairs = before.iter().zip(after);
    pairs
        .map(|((_, before), (_, after))| {
            before
                .0
                .iter()
                .zip(&after.0)
                .map(|(before, after)| after - before)
                .collect()
        })
        .collect()
}

/// Exits while nothing happens, beside those of asking.
#[derive(Debug)]
pub(crate) struct Idle {
    /// That cannot be helped.
    pub(crate) usual: u64,
    /// All others.
    pub(crate) others: u64,
    cpus: usize,
}

/// Waits so long on an attached machine.
pub(crate) fn watch(device: &Device, seconds: u64) -> Result<Idle> {
    let first = exits(&device.status()?);
    let second = exits(&device.status()?);
    sleep(Duration::from_secs(seconds));
    let third = exits(&device.status()?);
    let (asking, idle) = (between(&first, &second), between(&second, &third));
    let (mut total, mut usual) = (0, 0);
    for ((cpu, _), (asking, idle)) in first.iter().zip(asking.iter().zip(&idle)) {
        for (reason, (asking, idle)) in asking.iter().zip(idle).enumerate() {
            let more = idle.saturating_sub(*asking);
            if more > 0 {
                let reason = mercury_device::ExitReason::from_code(reason as u32);
                println!("CPU {cpu}: {more} exits of kind {reason}");
                if arch::exits_when_idle(reason)? {
                    usual += more;
                } else {
                    total += more;
                }
            }
        }
    }
    Ok(Idle {
        usual,
        others: total,
        cpus: first.len(),
    })
}

pub(crate) fn run(seconds: u64) -> Result<()> {
    let device = Device::open()?;
    expect::attach(&device)?;
    let idle = watch(&device, seconds)?;
    expect::detach(&device)?;
    let (usual, total) = (idle.usual, idle.others);
    ensure!(total == 0, "{total} exits in {seconds} idle seconds");
    println!(
        "idle: {usual} exits that cannot be helped and 0 others on {} CPUs in {seconds} s (those of asking, taken off)",
        idle.cpus
    );
    Ok(())
}
