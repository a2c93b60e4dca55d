// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64.

use crate::probe::{EFER, Probe};
use anyhow::{Context, Result, bail, ensure};
use mercury_device::{Device, ExitReason, Requirement};
use std::collections::BTreeMap;
use std::fs;

/// In an image's header, the name of a machine that this one is not.
pub(crate) const OTHER_NAME: &[u8; 8] = b"aarch64\0";

/// Whose extension the CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// AMD's.
    Svm,
    /// Intel's.
    Vmx,
}

/// Of this machine.
pub(crate) fn backend() -> Result<Backend> {
    match Device::open()?.info()?.backend.as_str() {
        "svm" => Ok(Backend::Svm),
        "vmx" => Ok(Backend::Vmx),
        other => bail!("mercury.ko names the backend '{other}'"),
    }
}

/// Modules that make /dev/kvm.
pub(crate) fn kvm_modules() -> Result<&'static [&'static str]> {
    Ok(match backend()? {
        Backend::Svm => &["kvm", "kvm_amd"],
        Backend::Vmx => &["kvm", "kvm_intel"],
    })
}

/// Whether KVM warns when it does not get the extension: on VMX it tries VMXON
/// unprepared for a #UD.
pub(crate) fn kvm_warns() -> Result<bool> {
    Ok(backend()? == Backend::Vmx)
}

/// Whether it gives a machine out all the same.
pub(crate) const KVM_BELIEVES: bool = false;

/// Whether an attached, idle machine comes out for this: CPUID exits always under
/// VMX, and an idle kernel asks it now and then.
pub(crate) fn exits_when_idle(reason: ExitReason) -> Result<bool> {
    Ok(backend()? == Backend::Vmx && reason == ExitReason::Identification)
}

/// Mutants of the image that are the other backend's, or whose register the other
/// one's machines do not have.
pub(crate) fn mutants_of_others() -> Result<&'static [&'static str]> {
    Ok(match backend()? {
        Backend::Svm => &["tr", "pcid", "nmi"],
        Backend::Vmx => &["hsave", "svme"],
    })
}

/// Whether NMIs can be lost in a switch (SVM holds them off).
pub(crate) fn may_lose_nmis() -> Result<bool> {
    Ok(backend()? == Backend::Vmx)
}

/// Workers that hold what the observer cannot see (the hidden parts of segment
/// registers, a debugger's registers).
pub(crate) const WORKERS_BESIDE_MUTANTS: &[&str] = &["ldt", "breakpoint", "registers", "clocks"];

/// Failure points of one CPU.
pub(crate) const CPU_POINTS: &[(&str, Requirement)] = &[
    ("enter", Requirement::Entry),
    ("asid0", Requirement::Entry),
    ("arrive", Requirement::Arrival),
];

/// Commands of the test module that read what belongs to a CPU.
pub(crate) const STATES: &[&str] = &["state"];

/// What the demonstration shows of each CPU natively and attached.
pub(crate) const VIEW: &str = "EFER";
/// And what there is to say of it while attached.
pub(crate) const VIEW_ATTACHED: &str = " (bit 12: SVM, which a guest cannot hide)";

/// Its value, by the test module or by /dev/cpu/N/msr.
pub(crate) fn view(probe: Option<&Probe>, cpu: u32, _attached: bool) -> Result<Option<String>> {
    let value = match probe {
        Some(probe) => Some(probe.read_register(cpu, EFER)?),
        None => from_msr_device(cpu),
    };
    Ok(value.map(|value| format!("{value:#x}")))
}

fn from_msr_device(cpu: u32) -> Option<u64> {
    use std::os::unix::fs::FileExt;
    let file = fs::File::open(format!("/dev/cpu/{cpu}/msr")).ok()?;
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, u64::from(EFER)).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// Model and maker.
pub(crate) fn processor() -> Result<String> {
    let table = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name| super::cpuinfo(&table, name);
    Ok(format!("{} ({})", field("model name"), field("vendor_id")))
}

/// Takes out of a CPU's state what belongs to the task that was interrupted:
/// two bits of CR4, TSD (2) and PCE (8).
pub(crate) fn without_task(state: &mut BTreeMap<String, String>) -> Result<()> {
    if let Some(cr4) = state.get_mut("cr4") {
        let value = u64::from_str_radix(cr4.trim_start_matches("0x"), 16)?;
        *cr4 = format!("{:#x}", value & !(1 << 2 | 1 << 8));
    }
    Ok(())
}

/// Fails if a CPU's state is not that of a sound native machine.
pub(crate) fn sound(cpu: u32, state: &BTreeMap<String, String>) -> Result<()> {
    let kind = state.get("tss_type").context("no tss_type in the state")?;
    ensure!(
        kind == "0x8b",
        "the task segment of CPU {cpu} is of type {kind}, not busy (0x8b)"
    );
    Ok(())
}

/// A table of local descriptors for this process; the rest the observer plants at
/// the door.
#[derive(Debug)]
pub(crate) struct Planted;

/// Plants it.
pub(crate) fn plant(_: &Probe) -> Result<Planted> {
    crate::workload::ldt::plant()?;
    Ok(Planted)
}

impl Planted {
    /// It stays.
    pub(crate) fn again(&self) -> Result<()> {
        Ok(())
    }
}

/// What the acts of `hostile.c` are, by number.
pub(crate) const HOSTILE_ACTS: &[&str] = &[
    "hypercall",
    "virtualization instruction",
    "register of SVM",
    "EFER",
    "register that no CPU has",
    "INT 2",
    "GDT that is none",
    "TSS that is none",
];

/// Whether a register that no CPU has faults natively: it does on CPUs, and does
/// not on QEMU's.
pub(crate) fn no_register_faults(probe: &Probe) -> Result<bool> {
    let answer = probe.ask("msr read 0 50000000")?;
    Ok(answer.number("faulted")? == 1)
}
