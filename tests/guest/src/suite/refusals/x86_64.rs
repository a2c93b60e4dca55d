// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: SVM missing, switched off, or somebody else's.

use super::{attach, judge};
use crate::probe::{EFER, EFER_SVME, Observer, Probe};
use crate::{expect, machine};
use anyhow::{Context, Result, ensure};
use mercury_device::{Device, Requirement};

/// Overridden value, requirement, errno if it is one that a caller relies on.
pub(super) const OVERRIDES: &[(&str, Requirement, Option<i32>)] = &[
    (
        "cpuid_extension=0",
        Requirement::Extension,
        Some(libc::ENODEV),
    ),
    ("vm_cr=0x10", Requirement::Enabled, None),
    ("efer=0x1d01", Requirement::Free, Some(libc::EBUSY)),
    ("cpuid_stage2=0", Requirement::Stage2, Some(libc::ENODEV)),
    ("sev_status=1", Requirement::PlainMemory, None),
    ("syscfg=0x1000000", Requirement::PlainMemory, None),
];

/// Somebody else holds the extension on one CPU: before the probe, after it,
/// and KVM for real.
pub(super) fn taken(device: &Device) -> Result<usize> {
    let probe = Probe::load()?;
    let cpus = machine::online()?;
    for &cpu in &cpus {
        let efer = probe.read_register(cpu, EFER)?;
        probe.write_register(cpu, EFER, efer | EFER_SVME)?;
        let said = attach(device);
        let left = probe.read_register(cpu, EFER)?;
        probe.write_register(cpu, EFER, efer)?;
        let said = said.with_context(|| format!("EFER.SVME set on CPU {cpu}"))?;
        judge(
            device,
            &format!("EFER.SVME set on CPU {cpu}"),
            Requirement::Free,
            Some(libc::EBUSY),
            &said,
        )?;
        ensure!(
            left == efer | EFER_SVME,
            "the refusal changed EFER of CPU {cpu} to {left:#x}"
        );
    }
    for &cpu in &cpus {
        let observer = Observer::start(&probe)?;
        probe.say(&format!("observer take {cpu}"))?;
        let said = attach(device);
        probe.say("observer take -1")?;
        drop(observer);
        let said = said.with_context(|| format!("EFER.SVME set on CPU {cpu} after the probe"))?;
        ensure!(
            matches!(said.requirement, Requirement::Entry | Requirement::Free)
                && said.cpu == Some(cpu),
            "EFER.SVME set on CPU {cpu} after the probe: refused with {said:?}"
        );
        expect::native(device)?;
        println!(
            "refused: EFER.SVME set on CPU {cpu} after the probe: {}, errno {}",
            said.requirement, said.errno
        );
        expect::round_trip(device)?;
    }
    Ok(2 * cpus.len())
}
