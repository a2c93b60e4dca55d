// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Mercury leaves behind in a CPU's registers: nothing.
//!
//! CPU state is read on every CPU before the first attach and after the last
//! detach. Task state is compared at the door itself, on both sides of it, by
//! the test module (see `observer.c` there).

use crate::expect;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::{Observer, Probe};
use anyhow::{Result, bail, ensure};
use mercury_device::Device;
use std::collections::BTreeMap;

type CpuState = BTreeMap<String, String>;

/// CPU state of every online CPU.
pub(crate) fn cpu_states(probe: &Probe) -> Result<BTreeMap<u32, CpuState>> {
    let mut states = BTreeMap::new();
    for cpu in machine::online()? {
        let mut state = probe.ask(&format!("state {cpu}"))?.into_map();
        // Two bits of CR4 belong to the task that was interrupted, not to the
        // CPU: TSD (2) and PCE (8).
        if let Some(cr4) = state.get_mut("cr4") {
            let value = u64::from_str_radix(cr4.trim_start_matches("0x"), 16)?;
            *cr4 = format!("{:#x}", value & !(1 << 2 | 1 << 8));
        }
        states.insert(cpu, state);
    }
    Ok(states)
}

/// Every difference, as a sentence.
pub(crate) fn differences(
    before: &BTreeMap<u32, CpuState>,
    after: &BTreeMap<u32, CpuState>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (cpu, registers) in before {
        for (name, value) in registers {
            let now = after.get(cpu).and_then(|state| state.get(name));
            if now != Some(value) {
                found.push(format!(
                    "{name} of CPU {cpu} was {value} and is {}",
                    now.map_or("absent", String::as_str)
                ));
            }
        }
    }
    found
}

/// Round trips from every CPU in turn, watched; all differences, and how many
/// passages through the door were seen.
pub(crate) fn watched_trips(
    device: &Device,
    probe: &Probe,
    count: u64,
) -> Result<(Vec<String>, u64)> {
    let cpus = machine::online()?;
    let before = cpu_states(probe)?;
    let observer = Observer::start(probe)?;
    for trip in 0..count {
        machine::pin(cpus[trip as usize % cpus.len()])?;
        device.attach(&mercury_device::AttachOptions::default())?;
        device.detach()?;
    }
    machine::unpin()?;
    let (mut found, passages) = observer.findings()?;
    drop(observer);
    found.extend(differences(&before, &cpu_states(probe)?));
    Ok((found, passages))
}

pub(crate) fn run(count: u64) -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    let cpus = machine::online()?.len() as u64;
    for (cpu, state) in cpu_states(&probe)? {
        ensure!(
            state.get("tss_type").map(String::as_str) == Some("0x8b"),
            "the task segment of CPU {cpu} is of type {:?}, not busy (0x8b), before anything was done",
            state.get("tss_type")
        );
    }
    let (found, passages) = watched_trips(&device, &probe, count)?;
    if !found.is_empty() {
        bail!(
            "{} registers were not left as they were: {}",
            found.len(),
            found.join("; ")
        );
    }
    ensure!(
        passages == 2 * cpus * count,
        "{count} round trips of {cpus} CPUs are {} passages through the door; the observer saw {passages}",
        2 * cpus * count
    );
    expect::native(&device)?;
    log.quiet()?;
    println!(
        "residue: {passages} passages through the door on {cpus} CPUs, every register as it was"
    );
    Ok(())
}
