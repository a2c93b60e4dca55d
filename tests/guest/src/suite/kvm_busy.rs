// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM beside Mercury: while attached KVM does not get the extension; natively
//! it works, before and after.
//!
//! On SVM it finds the extension taken, by itself and without a warning. On VMX
//! it finds out by a VMXON that raises #UD, of which it warns. On ARM64 it has no
//! way to find out: it makes a machine in the belief that EL2 is its own, and
//! warns that it is not as it should be. (The rows name these warnings.) Mercury
//! must stay beneath Linux all the while.

use crate::expect::{self, skip};
use crate::kernel_log::KernelLog;
use crate::{arch, kvm};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Device, ProofVerdict, Requirement};

/// KVM has the extension: a machine of its own runs. Skips where there is none.
pub(crate) fn guest() -> Result<()> {
    if !kvm::load() {
        return skip("this kernel has no KVM, or it does not load on this machine");
    }
    let machine = kvm::Machine::create()?.context("KVM_CREATE_VM")?;
    machine.run_guest()
}

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    if !kvm::load() {
        return skip("this kernel has no KVM, or it does not load on this machine");
    }
    let mut log = KernelLog::from_here()?;
    guest().context("natively")?;
    // A kernel whose KVM takes the extension when it is loaded (6.12 and later,
    // kvm.enable_virt_at_load) has to be refused for as long as it is loaded.
    let Ok(()) = device.attach(&mercury_device::AttachOptions::default()) else {
        return held_for_ever(&device, &mut log);
    };
    expect::attached(&device)?;
    let busy = kvm::Machine::create();
    let still =
        expect::attached(&device).and_then(|_| expect::proven(&device, ProofVerdict::Guest));
    let said = judge(busy);
    expect::detach(&device)?;
    still.context("while KVM was asked for a machine")?;
    let said = said?;
    if arch::kvm_warns()? {
        for line in log.alarms()? {
            println!("kvm-busy: the kernel's log: {line}");
        }
    }
    log.quiet().context("KVM while Mercury is attached")?;
    guest().context("after detach")?;
    expect::round_trip(&device).context("attach after KVM has gone")?;
    log.quiet()?;
    println!("kvm-busy: {said} while attached, a guest ran after detach");
    Ok(())
}

/// What KVM may answer while attached. A machine that it gives out is closed
/// here, while Mercury is attached still.
fn judge(busy: Result<std::io::Result<kvm::Machine>>) -> Result<&'static str> {
    match busy? {
        Ok(_) if arch::KVM_BELIEVES => Ok("a machine that cannot run"),
        Ok(_) => bail!("KVM made a machine while Mercury was attached"),
        Err(error) => {
            ensure!(
                error.raw_os_error() == Some(libc::EBUSY),
                "KVM_CREATE_VM while attached failed with '{error}' where EBUSY was expected"
            );
            Ok("EBUSY")
        }
    }
}

fn held_for_ever(device: &Device, log: &mut KernelLog) -> Result<()> {
    let said = expect::refused(device.attach(&mercury_device::AttachOptions::default()))?;
    ensure!(
        said.requirement == Requirement::Free && said.errno == libc::EBUSY,
        "with KVM loaded attach was refused with {said:?}"
    );
    expect::native(device)?;
    kvm::Machine::create()?
        .context("KVM_CREATE_VM")?
        .run_guest()?;
    log.quiet()?;
    println!(
        "kvm-busy: this KVM holds the extension while it is loaded; attach is refused, KVM works"
    );
    Ok(())
}
