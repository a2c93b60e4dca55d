// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices and Mercury's memory. The nested map binds CPUs, not devices: what
//! keeps a bus master away from Mercury's frames is Linux's IOMMU in translated
//! mode, and nothing else. Both are shown with a device that writes where it is
//! told (QEMU's `edu`): with such an IOMMU the write does not arrive, and a legal
//! transfer still does; without one it arrives, and `mercury status` says so. The
//! second is the control of the first.

use super::hole;
use crate::expect;
use crate::kernel_log::KernelLog;
use crate::probe::Probe;
use crate::tool;
use anyhow::{Context, Result, ensure};
use mercury_device::Device;

/// What `mercury status` says: whether devices are held off, and why.
fn said() -> Result<(bool, String)> {
    let output = tool::mercury(&["--json", "status"])
        .output()
        .context("running mercury status")?;
    let status: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("mercury status printed what is no JSON")?;
    let devices = &status["devices"];
    let held_off = devices["held_off"]
        .as_bool()
        .with_context(|| format!("mercury status says of devices: {devices}"))?;
    Ok((
        held_off,
        devices["reason"].as_str().unwrap_or_default().to_owned(),
    ))
}

fn attached(device: &Device, probe: &Probe, held_off: bool) -> Result<String> {
    // First of all: on some architectures a device is put behind the IOMMU when it
    // gets a driver.
    ensure!(
        probe.ask("dma legal")?.number("works")? == 1,
        "a transfer by the DMA API does not arrive"
    );
    let (says, reason) = said()?;
    ensure!(
        says == held_off,
        "mercury status says held_off={says} ({reason}); this machine was booted for {held_off}"
    );
    let frame = hole::last_frame(device)?;
    let arrived = probe
        .ask(&format!("dma rogue {frame:x}"))?
        .number("arrived")?
        == 1;
    ensure!(
        arrived != held_off,
        "a device's write to Mercury's frame at {frame:#x} {}, although {reason}",
        if arrived { "arrived" } else { "did not arrive" }
    );
    let zeros = probe.ask(&format!("hole 0 {frame:x} read"))?;
    ensure!(
        zeros.number("zero")? == 1,
        "what the device wrote shows through the hole"
    );
    Ok(reason)
}

/// `held_off`: the machine was booted with an IOMMU that translates.
pub(crate) fn run(held_off: bool) -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    expect::attach(&device)?;
    let outcome = attached(&device, &probe, held_off);
    expect::detach(&device)?;
    let reason = outcome?;
    log.quiet()?;
    println!(
        "dma: a rogue device's write to Mercury's memory {}, a legal transfer works; {reason}",
        if held_off { "is blocked" } else { "arrives" }
    );
    Ok(())
}
