// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Mercury leaves behind in a CPU's registers: nothing.
//!
//! CPU state (on ARM64 that of EL2 too) is read on every CPU before the first attach and after the last
//! detach. Task state is compared at the door itself, on both sides of it, by
//! the test module (see `observer.c` there).

use crate::arch;
use crate::expect;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::{Observer, Probe};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::Device;
use std::collections::BTreeMap;

type CpuState = BTreeMap<String, String>;

/// CPU state of every online CPU of a native machine.
pub(crate) fn cpu_states(probe: &Probe) -> Result<BTreeMap<u32, CpuState>> {
    let mut states = BTreeMap::new();
    for cpu in machine::online()? {
        let mut state = CpuState::new();
        for command in arch::STATES {
            state.extend(probe.ask(&format!("{command} {cpu}"))?.into_map());
        }
        arch::without_task(&mut state)?;
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
    let mut left = Vec::new();
    for trip in 0..count {
        machine::pin(cpus[trip as usize % cpus.len()])?;
        device.attach(&mercury_device::AttachOptions::default())?;
        device.detach()?;
        // Each time: damage may undo itself the next time.
        if left.is_empty() {
            left = differences(&before, &cpu_states(probe)?);
        }
    }
    machine::unpin()?;
    let (mut found, passages) = observer.findings()?;
    drop(observer);
    found.extend(left);
    Ok((found, passages))
}

pub(crate) fn run(count: u64) -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    let cpus = machine::online()?.len() as u64;
    for (cpu, state) in cpu_states(&probe)? {
        arch::sound(cpu, &state).context("before anything was done")?;
    }
    let (found, passages) = {
        let _planted = arch::plant(&probe)?;
        watched_trips(&device, &probe, count)?
    };
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
