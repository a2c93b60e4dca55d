// SPDX-License-Identifier: MIT OR Apache-2.0
//! INIT and SIPI under VMX. A CPU goes offline as a guest, which Mercury lets
//! happen in a build for tests alone; Linux then starts it as it starts any CPU.
//! Both signals exit: the guest waits, begins in real mode where Linux says, and is
//! a guest all the while.
//!
//! Debian's Bochs 2.7 does not clear an INIT that made a guest exit (its event.cc:
//! only a reset does): the CPU gets it again as soon as it has begun, and never
//! comes up. So this ends with two answers; after the second the machine is fit for
//! nothing but a reset, and the script resets it in any case.

use crate::expect::{self, skip};
use crate::{arch, machine, parameters};
use anyhow::{Result, ensure};
use mercury_device::{CpuState, Device, Event, ProofVerdict};

/// The CPU that goes.
const CPU: u32 = 1;

pub(crate) fn run() -> Result<()> {
    if arch::backend()? != arch::Backend::Vmx {
        return skip("INIT does not exit under SVM as Mercury uses it");
    }
    let device = Device::open()?;
    parameters::need_testing()?;
    expect::attach(&device)?;
    let from = device.log(0)?.next;
    let set = parameters::set("inject", &format!("stay@{CPU}"))?;
    let down = machine::set_online(CPU, false);
    drop(set);
    down?;
    let up = machine::set_online(CPU, true);
    let records = device.log(from)?.items;
    let came = |event: Event| {
        let of_this = records.iter().filter(|record| record.cpu == Some(CPU));
        of_this
            .filter(|record| record.event() == Some(event))
            .count()
    };
    let (init, sipi) = (came(Event::Initialized), came(Event::Started));
    ensure!(
        init >= 1 && sipi >= 1,
        "CPU {CPU} went down as a guest and was started again: {init} INIT and {sipi} SIPI exits are in the log"
    );
    ensure!(
        came(Event::Reset) == 0 && came(Event::EntryFailed) == 0,
        "CPU {CPU} failed after INIT and SIPI"
    );
    if let Err(error) = up {
        println!("init: {init} INIT and {sipi} SIPI exits; the CPU did not come up ({error:#})");
        return Ok(());
    }
    let status = expect::attached(&device)?;
    let state = status.online().find(|entry| entry.cpu == CPU);
    ensure!(
        state.is_some_and(|entry| entry.state == CpuState::Attached),
        "CPU {CPU} came up and is not attached"
    );
    expect::proven(&device, ProofVerdict::Guest)?;
    expect::detach(&device)?;
    expect::proven(&device, ProofVerdict::Native)?;
    println!("init: {init} INIT and {sipi} SIPI exits; the CPU came up as the guest that it was");
    Ok(())
}
