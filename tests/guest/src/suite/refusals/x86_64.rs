// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: the extension missing, switched off, or somebody else's.

use super::{Override, attach, judge};
use crate::arch::{Backend, backend};
use crate::probe::{Observer, Probe};
use crate::{expect, machine};
use anyhow::{Context, Result, ensure};
use mercury_device::{Device, Requirement};

/// Overridden value, requirement, errno if it is one that a caller relies on.
pub(super) fn overrides() -> Result<&'static [Override]> {
    Ok(match backend()? {
        Backend::Svm => SVM,
        Backend::Vmx => VMX,
    })
}

const SVM: &[Override] = &[
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

const VMX: &[Override] = &[
    ("cpuid_vmx=0", Requirement::Extension, Some(libc::ENODEV)),
    // Locked without VMX; locked with VMX inside SMX alone.
    ("feature_control=1", Requirement::Enabled, None),
    ("feature_control=3", Requirement::Enabled, None),
    ("vmx_secondary=0", Requirement::Stage2, Some(libc::ENODEV)),
    ("ept_capability=0", Requirement::Stage2, Some(libc::ENODEV)),
    // EPT and no unrestricted guest.
    ("vmx_secondary=0x200000000", Requirement::Supported, None),
    ("vmx_basic=0", Requirement::Supported, None),
    ("host_encryption=1", Requirement::PlainMemory, None),
    ("cr4=0x100000000", Requirement::Supported, None),
    ("s_cet=1", Requirement::Supported, None),
    ("tracing=1", Requirement::Supported, None),
    ("cr4=0x2000", Requirement::Free, Some(libc::EBUSY)),
];

/// What shows that somebody has the extension: a register by the name that the
/// test module has for it, its bit, and both in words.
struct Mark {
    register: &'static str,
    bit: u64,
    name: &'static str,
}

const SVME: Mark = Mark {
    register: "efer",
    bit: 1 << 12,
    name: "EFER.SVME",
};
const VMXE: Mark = Mark {
    register: "cr4",
    bit: 1 << 13,
    name: "CR4.VMXE",
};

/// Somebody else holds the extension on one CPU: before the probe, after it,
/// and KVM for real.
pub(super) fn taken(device: &Device) -> Result<usize> {
    let probe = Probe::load()?;
    let cpus = machine::online()?;
    let mark = match backend()? {
        Backend::Svm => SVME,
        Backend::Vmx => VMXE,
    };
    let name = mark.name;
    for &cpu in &cpus {
        probe.say(&format!("take {cpu} 1"))?;
        let said = attach(device);
        let left = probe.ask(&format!("state {cpu}"))?.number(mark.register)?;
        probe.say(&format!("take {cpu} 0"))?;
        let said = said.with_context(|| format!("{name} set on CPU {cpu}"))?;
        judge(
            device,
            &format!("{name} set on CPU {cpu}"),
            Requirement::Free,
            Some(libc::EBUSY),
            &said,
        )?;
        ensure!(
            left & mark.bit != 0,
            "the refusal took {name} of CPU {cpu} away: {left:#x}"
        );
    }
    for &cpu in &cpus {
        let observer = Observer::start(&probe)?;
        probe.say(&format!("observer take {cpu}"))?;
        let said = attach(device);
        probe.say("observer take -1")?;
        drop(observer);
        let said = said.with_context(|| format!("{name} set on CPU {cpu} after the probe"))?;
        ensure!(
            matches!(said.requirement, Requirement::Entry | Requirement::Free)
                && said.cpu == Some(cpu),
            "{name} set on CPU {cpu} after the probe: refused with {said:?}"
        );
        expect::native(device)?;
        println!(
            "refused: {name} set on CPU {cpu} after the probe: {}, errno {}",
            said.requirement, said.errno
        );
        expect::round_trip(device)?;
    }
    Ok(2 * cpus.len())
}
