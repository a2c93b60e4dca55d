// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM beside Mercury: while attached KVM finds the extension taken, by itself
//! and without a warning; natively it works, before and after.

use crate::expect::{self, skip};
use crate::kernel_log::KernelLog;
use crate::kvm;
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Device, Requirement};

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    if !kvm::load() {
        return skip("this kernel has no kvm_amd, or it does not load on this machine");
    }
    let mut log = KernelLog::from_here()?;
    // A kernel whose KVM takes the extension when it is loaded (6.12 and later,
    // kvm.enable_virt_at_load) has to be refused for as long as it is loaded.
    let Ok(()) = device.attach(&mercury_device::AttachOptions::default()) else {
        return held_for_ever(&device, &mut log);
    };
    expect::attached(&device)?;
    let busy = kvm::Machine::create();
    expect::detach(&device)?;
    match busy? {
        Ok(_) => bail!("KVM made a machine while Mercury was attached"),
        Err(error) => ensure!(
            error.raw_os_error() == Some(libc::EBUSY),
            "KVM_CREATE_VM while attached failed with '{error}' where EBUSY was expected"
        ),
    }
    log.quiet().context("KVM while Mercury is attached")?;
    let machine = kvm::Machine::create()?.context("KVM_CREATE_VM after detach")?;
    machine.run_hlt().context("KVM after detach")?;
    drop(machine);
    expect::round_trip(&device).context("attach after KVM has gone")?;
    log.quiet()?;
    println!("kvm-busy: EBUSY while attached, a guest ran after detach, no warning");
    Ok(())
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
        .run_hlt()?;
    log.quiet()?;
    println!(
        "kvm-busy: this KVM holds the extension while it is loaded; attach is refused, KVM works"
    );
    Ok(())
}
