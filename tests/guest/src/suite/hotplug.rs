// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs that go offline and come back while Mercury is attached. A CPU that
//! comes up becomes a guest; if it cannot, the machine is called mixed, with
//! the CPU and the reason, and never attached.

use crate::expect::{self, skip};
use crate::kernel_log::KernelLog;
#[cfg(target_arch = "aarch64")]
use crate::kvm;
use crate::workload::Workload;
use crate::{machine, parameters};
use anyhow::{Context, Result, ensure};
use mercury_device::{CpuState, CpuStatus, Device, Event, ProofVerdict, State};
use std::path::Path;

const TIMES: u32 = 5;

fn cpu_status(device: &Device, cpu: u32) -> Result<CpuStatus> {
    let status = device.status()?;
    let found = status.cpus.iter().find(|entry| entry.cpu == cpu).copied();
    found.with_context(|| format!("CPU {cpu} is not in the status"))
}

fn is(device: &Device, cpu: u32, state: CpuState) -> Result<()> {
    let found = cpu_status(device, cpu)?.state;
    ensure!(
        found == state,
        "CPU {cpu} is {found} where {state} was expected"
    );
    Ok(())
}

/// Off and on while attached.
fn comes_back(device: &Device, cpu: u32) -> Result<()> {
    expect::attach(device)?;
    let entries = cpu_status(device, cpu)?.entries;
    for time in 1..=TIMES {
        machine::set_online(cpu, false)?;
        expect::attached(device).with_context(|| format!("CPU {cpu} offline"))?;
        is(device, cpu, CpuState::Offline)?;
        machine::set_online(cpu, true)?;
        expect::attached(device).with_context(|| format!("CPU {cpu} online again"))?;
        is(device, cpu, CpuState::Attached)?;
        let now = cpu_status(device, cpu)?.entries;
        ensure!(
            now == entries + u64::from(time),
            "CPU {cpu} came back {time} times and counts {} entries more",
            now - entries
        );
    }
    expect::proven(device, ProofVerdict::Guest)?;
    expect::detach(device)?;
    expect::proven(device, ProofVerdict::Native)
}

/// Offline at attach, and at detach.
fn was_away(device: &Device, cpu: u32) -> Result<()> {
    machine::set_online(cpu, false)?;
    expect::attach(device)?;
    is(device, cpu, CpuState::Offline)?;
    machine::set_online(cpu, true)?;
    expect::attached(device).context("with a CPU that was offline at attach")?;
    is(device, cpu, CpuState::Attached)?;
    machine::set_online(cpu, false)?;
    expect::detach(device)?;
    machine::set_online(cpu, true)?;
    expect::native(device).context("with a CPU that was offline at detach")?;
    is(device, cpu, CpuState::Native)?;
    expect::proven(device, ProofVerdict::Native)
}

/// Comes up, and cannot become a guest.
fn cannot_enter(device: &Device, cpu: u32) -> Result<()> {
    expect::attach(device)?;
    machine::set_online(cpu, false)?;
    let set = parameters::set("inject", &format!("enter@{cpu}"))?;
    // Linux may let the CPU come up natively or take it down again.
    let brought_up = machine::set_online(cpu, true);
    drop(set);
    let status = device.status()?;
    let found = cpu_status(device, cpu)?;
    if found.state == CpuState::Offline {
        ensure!(
            brought_up.is_err() && status.state == State::Attached,
            "CPU {cpu} could not enter and is offline; the machine is {}",
            status.state
        );
    } else {
        ensure!(
            status.state == State::Mixed && found.state == CpuState::Native,
            "CPU {cpu} could not enter; it is {} and the machine {}",
            found.state,
            status.state
        );
        ensure!(
            found.why == u32::from(Event::HotplugFailed as u16),
            "CPU {cpu} is native in a mixed machine, and the reason given is event {}",
            found.why
        );
        machine::set_online(cpu, false)?;
    }
    machine::set_online(cpu, true)?;
    expect::attached(device).context("once the CPU could enter again")?;
    expect::detach(device)?;
    // And out of a mixed machine.
    expect::attach(device)?;
    machine::set_online(cpu, false)?;
    let set = parameters::set("inject", &format!("enter@{cpu}"))?;
    let _ = machine::set_online(cpu, true);
    drop(set);
    expect::detach(device).context("out of a mixed machine")?;
    if cpu_status(device, cpu)?.state == CpuState::Offline {
        machine::set_online(cpu, true)?;
    }
    expect::native(device)?;
    Ok(())
}

/// One CPU at attach; the others come one by one. And the other way round.
fn all_but_one(device: &Device, stays: u32, others: &[u32]) -> Result<()> {
    for &cpu in others {
        machine::set_online(cpu, false)?;
    }
    expect::attach(device).with_context(|| format!("with CPU {stays} alone"))?;
    for (index, &cpu) in others.iter().enumerate() {
        is(device, cpu, CpuState::Offline)?;
        machine::set_online(cpu, true)?;
        let status = expect::attached(device).with_context(|| format!("CPU {cpu} came"))?;
        ensure!(
            status.cpus_online as usize == index + 2,
            "{} CPUs are online where {} were expected",
            status.cpus_online,
            index + 2
        );
        is(device, cpu, CpuState::Attached)?;
    }
    expect::proven(device, ProofVerdict::Guest)?;
    for &cpu in others {
        machine::set_online(cpu, false)?;
    }
    expect::attached(device).with_context(|| format!("CPU {stays} alone again"))?;
    expect::detach(device).with_context(|| format!("with CPU {stays} alone"))?;
    for &cpu in others {
        machine::set_online(cpu, true)?;
    }
    expect::native(device)?;
    expect::proven(device, ProofVerdict::Native)
}

/// The CPUs that this kernel can switch off. The first one is seldom among them:
/// Linux lets it go on Intel machines only, and since 6.5 on none.
fn can_go(cpus: &[u32]) -> Vec<u32> {
    let mut able = cpus.to_vec();
    able.retain(|cpu| Path::new(&format!("/sys/devices/system/cpu/cpu{cpu}/online")).exists());
    able
}

/// KVM after CPUs came and went. On ARM64 Linux remembers at which level its
/// CPUs came up: had one come up as a guest, KVM would be gone for good. That
/// its machine runs too is shown on CPUs of ARMv8.1 and later only: on older
/// ones of QEMU 7.2 it hangs, without Mercury as well, where the CPU was off.
#[cfg(target_arch = "aarch64")]
fn kvm_after() -> Result<()> {
    let machine = kvm::Machine::create()?.context("KVM_CREATE_VM after CPUs came and went")?;
    if std::arch::is_aarch64_feature_detected!("lse") {
        machine
            .run_guest()
            .context("KVM after CPUs came and went")?;
    }
    Ok(())
}

/// KVM notices nothing of it here.
#[cfg(not(target_arch = "aarch64"))]
fn kvm_after() -> Result<()> {
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    let cpus = machine::online()?;
    if cpus.len() < 2 {
        return skip("one CPU only: it cannot go offline");
    }
    let going = can_go(&cpus);
    let mut log = KernelLog::from_here()?;
    let mut workload = Workload::start(&[])?;
    for &cpu in &going {
        comes_back(&device, cpu)?;
        was_away(&device, cpu)?;
        if parameters::need_testing().is_ok() {
            cannot_enter(&device, cpu)?;
        }
        workload.still_right()?;
    }
    for &stays in &cpus {
        let others: Vec<u32> = cpus.iter().copied().filter(|&cpu| cpu != stays).collect();
        if others.iter().all(|cpu| going.contains(cpu)) {
            all_but_one(&device, stays, &others)?;
        }
        workload.still_right()?;
    }
    workload.finish()?;
    expect::native(&device)?;
    kvm_after()?;
    log.quiet()?;
    println!(
        "hotplug: {} of {} CPUs went and came back as guests, were away at attach and at detach, alone and all others, \
         and failed to enter: always what status said; workload right",
        going.len(),
        cpus.len()
    );
    Ok(())
}
