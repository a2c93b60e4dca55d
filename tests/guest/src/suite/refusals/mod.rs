// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every refusal: which requirement, which errno, which exit code of the tool;
//! afterwards the machine is native, nothing is held, and attach works.
//!
//! What this machine can be made to have, it has (KVM holding a CPU, missing
//! rights, spoilt images). What it cannot have is put in the place of the value
//! read, by a parameter of a module built for tests.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

use super::{images, privilege};
use crate::expect::{self, Refused, skip};
use crate::kernel_log::KernelLog;
use crate::{kvm, machine, parameters, tool};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{AttachOptions, Device, Error, Requirement};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A value put in the place of the one read, the requirement that then fails, and
/// its errno if that is one that a caller relies on.
type Override = (&'static str, Requirement, Option<i32>);

/// What `mercury attach` says to the user of a kernel whose KVM takes the extension
/// when it is loaded (Linux 6.12).
const LATE_KVM: &str = "kvm.enable_virt_at_load=0";

fn judge(
    device: &Device,
    name: &str,
    requirement: Requirement,
    errno: Option<i32>,
    said: &Refused,
) -> Result<()> {
    ensure!(
        said.requirement == requirement && errno.is_none_or(|errno| errno == said.errno),
        "{name}: refused with {said:?} where {requirement} (errno {errno:?}) was expected"
    );
    expect::native(device).with_context(|| format!("{name}, after the refusal"))?;
    println!(
        "refused: {name}: {requirement}, errno {}: {}",
        said.errno, said.detail
    );
    Ok(())
}

fn attach(device: &Device) -> Result<Refused> {
    expect::refused(device.attach(&AttachOptions::default()))
}

fn overridden(device: &Device) -> Result<usize> {
    let mut done = 0;
    let last = machine::online()?.last().copied().unwrap_or(0);
    for &(value, requirement, errno) in arch::overrides()? {
        for (text, cpu) in [
            (value.to_owned(), None),
            (format!("{value}@{last}"), Some(last)),
        ] {
            let set = parameters::set("override", &text)?;
            let said = attach(device).with_context(|| text.clone())?;
            judge(device, &text, requirement, errno, &said)?;
            if let Some(cpu) = cpu {
                ensure!(
                    said.cpu == Some(cpu),
                    "{text}: the refusal names CPU {:?} instead of {cpu}",
                    said.cpu
                );
            }
            tool::refuses(&mut tool::mercury(&["attach"]), requirement)?;
            drop(set);
            done += 1;
        }
    }
    expect::round_trip(device)?;
    Ok(done)
}

/// Last of all: a KVM that holds the extension while loaded spoils the rest.
fn held_by_kvm(device: &Device) -> Result<usize> {
    if !kvm::load() {
        println!("not shown: this machine has no KVM that could hold the extension");
        return Ok(0);
    }
    let machine = kvm::Machine::create()?.context("KVM_CREATE_VM")?;
    machine.run_guest()?;
    let said = attach(device).context("KVM holds a machine")?;
    judge(
        device,
        "KVM holds a machine",
        Requirement::Free,
        Some(libc::EBUSY),
        &said,
    )?;
    let advice = tool::refuses(&mut tool::mercury(&["attach"]), Requirement::Free)?;
    ensure!(
        advice.contains(LATE_KVM),
        "mercury attach does not name {LATE_KVM} while KVM holds the extension: {advice}"
    );
    drop(machine);
    Ok(1)
}

fn states(device: &Device) -> Result<usize> {
    let said = expect::refused(device.detach()).context("detach of a native machine")?;
    judge(
        device,
        "detach of a native machine",
        Requirement::Attached,
        None,
        &said,
    )?;
    tool::refuses(&mut tool::mercury(&["detach"]), Requirement::Attached)?;
    expect::refused(device.keep()).context("keep on a native machine")?;
    expect::attach(device)?;
    let said = attach(device).context("attach of an attached machine")?;
    ensure!(
        said.requirement == Requirement::Native,
        "attach of an attached machine: refused with {said:?}"
    );
    tool::refuses(&mut tool::mercury(&["attach"]), Requirement::Native)?;
    println!(
        "refused: already attached: {}, errno {}",
        said.requirement, said.errno
    );
    expect::attached(device).context("after a second attach was refused")?;
    expect::detach(device)?;
    Ok(3)
}

/// Two callers at once: one of them must be told that a switch is under way,
/// and neither may see anything but its own success or a clear refusal.
fn race(device: &Device) -> Result<usize> {
    const TRIES: u32 = 3000;
    let over = AtomicBool::new(false);
    let busy = thread::scope(|scope| -> Result<u32> {
        let other = scope.spawn(|| -> Result<u32> {
            let device = Device::open()?;
            let mut busy = 0;
            while !over.load(Ordering::Relaxed) {
                for outcome in [device.attach(&AttachOptions::default()), device.detach()] {
                    busy += u32::from(is_busy(outcome)?);
                }
            }
            Ok(busy)
        });
        let mut busy = 0;
        for _ in 0..TRIES {
            for outcome in [device.attach(&AttachOptions::default()), device.detach()] {
                busy += u32::from(is_busy(outcome)?);
            }
            if busy >= 5 {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        let others = other
            .join()
            .map_err(|_| anyhow::anyhow!("the other caller panicked"))??;
        Ok(busy + others)
    })
    .inspect_err(|_| over.store(true, Ordering::Relaxed))?;
    ensure!(
        busy > 0,
        "two callers switched at once, and none was ever told that a switch is under way"
    );
    if device.status()?.state == mercury_device::State::Attached {
        device.detach()?;
    }
    expect::native(device)?;
    println!("refused: a switch under way: idle, {busy} times");
    Ok(1)
}

/// Whether another switch was under way; anything but that, success, or being
/// too late is an error.
fn is_busy(outcome: Result<(), Error>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(false),
        Err(Error::Refused(refusal)) => match refusal.verdict.requirement {
            Requirement::Idle => {
                ensure!(
                    refusal.errno == libc::EBUSY,
                    "a switch under way gave errno {}",
                    refusal.errno
                );
                Ok(true)
            }
            Requirement::Native | Requirement::Attached => Ok(false),
            _ => bail!("two callers at once: {}", refusal.verdict),
        },
        Err(other) => Err(other.into()),
    }
}

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    parameters::need_testing()?;
    let mut log = KernelLog::from_here()?;
    expect::round_trip(&device)?;
    let mut done = overridden(&device)?;
    done += arch::taken(&device)?;
    done += states(&device)?;
    done += race(&device)?;
    done += privilege::refusals()?;
    done += images::refusals(&device, |name, requirement, errno, said| {
        judge(&device, name, requirement, errno, &said)
    })?;
    expect::round_trip(&device)?;
    done += held_by_kvm(&device)?;
    expect::native(&device)?;
    log.quiet()?;
    println!(
        "refusals: {done} refusals, each with its requirement and errno, nothing changed by any"
    );
    Ok(())
}

/// Locks the kernel down; there is no way back but a reboot.
pub(crate) fn lockdown() -> Result<()> {
    const FILE: &str = "/sys/kernel/security/lockdown";
    let device = Device::open()?;
    if !Path::new(FILE).exists() {
        return skip(format!("{FILE} is not there: this kernel has no lockdown"));
    }
    expect::round_trip(&device)?;
    machine::write(FILE, "integrity")?;
    let said = attach(&device).context("the kernel is locked down")?;
    judge(
        &device,
        "kernel lockdown",
        Requirement::Lockdown,
        Some(libc::EPERM),
        &said,
    )?;
    tool::refuses(&mut tool::mercury(&["attach"]), Requirement::Lockdown)?;
    println!("lockdown: attach is refused once the kernel is locked down");
    Ok(())
}
