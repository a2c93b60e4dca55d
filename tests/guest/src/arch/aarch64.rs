// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64.

use crate::probe::Probe;
use anyhow::{Context, Result, ensure};
use mercury_device::{ExitReason, Requirement};
use std::collections::BTreeMap;
use std::fs;

/// In an image's header, the name of a machine that this one is not.
pub(crate) const OTHER_NAME: &[u8; 8] = b"x86_64\0\0";

/// KVM is built in.
pub(crate) fn kvm_modules() -> Result<&'static [&'static str]> {
    Ok(&[])
}

/// Whether KVM warns when it does not get EL2.
pub(crate) fn kvm_warns() -> Result<bool> {
    Ok(true)
}

/// Whether it gives a machine out all the same: it has no way to find out.
pub(crate) const KVM_BELIEVES: bool = true;

/// An attached, idle machine comes out for nothing.
pub(crate) fn exits_when_idle(_: ExitReason) -> Result<bool> {
    Ok(false)
}

/// There is one backend.
pub(crate) fn mutants_of_others() -> Result<&'static [&'static str]> {
    Ok(&[])
}

/// There are no NMIs.
pub(crate) fn may_lose_nmis() -> Result<bool> {
    Ok(false)
}

/// Workers that hold what the observer cannot see.
pub(crate) const WORKERS_BESIDE_MUTANTS: &[&str] =
    &["breakpoint", "registers", "clocks", "pauth", "perf"];

/// Failure points of one CPU.
pub(crate) const CPU_POINTS: &[(&str, Requirement)] = &[
    ("enter", Requirement::Entry),
    ("arrive", Requirement::Arrival),
];

/// Commands of the test module that read what belongs to a CPU. The second one
/// goes to EL2 by way of Linux's stub: on a native machine only.
pub(crate) const STATES: &[&str] = &["state", "el2"];

/// What the demonstration shows of each CPU natively and attached.
pub(crate) const VIEW: &str = "HCR_EL2";
/// And what there is to say of it while attached.
pub(crate) const VIEW_ATTACHED: &str = " (EL2 is Mercury's; from EL1 nothing can be seen of it)";

/// Its value, read at EL2; attached nobody gets there.
pub(crate) fn view(probe: Option<&Probe>, cpu: u32, attached: bool) -> Result<Option<String>> {
    match probe {
        Some(probe) if !attached => {
            let state = probe.ask(&format!("el2 {cpu}"))?;
            Ok(Some(state.text("hcr_el2")?.to_owned()))
        }
        _ => Ok(None),
    }
}

/// Which design, by implementer and part; Linux knows no names here.
pub(crate) fn processor() -> Result<String> {
    let table = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name| super::cpuinfo(&table, name);
    let (maker, part) = (field("CPU implementer"), field("CPU part"));
    let name = match (maker.as_str(), part.as_str()) {
        ("0x41", "0xd03") => "Cortex-A53",
        ("0x41", "0xd07") => "Cortex-A57",
        ("0x41", "0xd08") => "Cortex-A72",
        ("0x41", "0xd0b") => "Cortex-A76",
        ("0x41", "0xd0c") => "Neoverse N1",
        ("0x00", "0x051") => "QEMU's max",
        _ => "unknown",
    };
    Ok(format!("{name} (implementer {maker}, part {part})"))
}

/// Takes out of a CPU's state what belongs to the task that was interrupted:
/// the test module has done that.
pub(crate) fn without_task(_: &mut BTreeMap<String, String>) -> Result<()> {
    Ok(())
}

/// Fails if a CPU's state is not that of a sound native machine.
pub(crate) fn sound(cpu: u32, state: &BTreeMap<String, String>) -> Result<()> {
    let value = |name: &str| {
        state
            .get(name)
            .with_context(|| format!("no {name} in the state"))
    };
    let (level, map) = (value("current_el")?, value("vttbr_el2")?);
    ensure!(
        level == "0x4" && map == "0",
        "CPU {cpu} runs at CurrentEL {level} with VTTBR_EL2 {map}, not at EL1 (0x4) with none (0)"
    );
    Ok(())
}

/// Registers of EL2 that nobody needs on a native machine: the stub runs with
/// its MMU off and uses no stack, KVM sets them anew when it starts. Each gets a
/// value that it has nowhere else, or one that is lost would not be missed
/// where Mercury's own happens to be what was there.
const PLANTED: [(&str, u64); 7] = [
    ("tcr_el2", 0x8080_3519),
    ("ttbr0_el2", 0x5eed_0000),
    ("mair_el2", 0x0011_2233_4455_6677),
    ("tpidr_el2", 0x7777_0000_5eed_0010),
    ("sp_el2", 0x6666_0000_5eed_0020),
    ("vtcr_el2", 0x8002_3558),
    // An address without a VMID: VMs of KVM's leave such a thing behind.
    ("vttbr_el2", 0x5eec_0000),
];

/// What a mutant may have left, beside those.
const DAMAGED: [&str; 5] = [
    "hcr_el2",
    "cntvoff_el2",
    "cptr_el2",
    "mdcr_el2",
    "cnthctl_el2",
];

/// EL2 with values of ours in it, on every CPU, until dropped: then as it was.
#[derive(Debug)]
pub(crate) struct Planted<'a> {
    probe: &'a Probe,
    before: BTreeMap<u32, BTreeMap<String, String>>,
}

/// Plants them.
pub(crate) fn plant(probe: &Probe) -> Result<Planted<'_>> {
    let mut before = BTreeMap::new();
    for cpu in crate::machine::online()? {
        before.insert(cpu, probe.ask(&format!("el2 {cpu}"))?.into_map());
    }
    let planted = Planted { probe, before };
    planted.again()?;
    Ok(planted)
}

impl Planted<'_> {
    /// Plants them again, and takes damage away, after a mutant.
    pub(crate) fn again(&self) -> Result<()> {
        self.back(&DAMAGED)?;
        for cpu in self.before.keys() {
            for (name, value) in PLANTED {
                self.probe
                    .say(&format!("el2-write {cpu} {name} {value:x}"))?;
            }
        }
        Ok(())
    }

    fn back(&self, names: &[&str]) -> Result<()> {
        for (cpu, state) in &self.before {
            for name in names {
                let value = state
                    .get(*name)
                    .context("a register of EL2 is not in the state")?;
                self.probe.say(&format!("el2-write {cpu} {name} {value}"))?;
            }
        }
        Ok(())
    }
}

impl Drop for Planted<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.back(&PLANTED.map(|(name, _)| name)) {
            eprintln!("mercury-judge: {error:#}");
        }
    }
}

/// What the acts of `hostile.c` are, by number.
pub(crate) const HOSTILE_ACTS: &[&str] = &["HVC 0", "HVC with another immediate", "SMC"];

/// That is x86's.
pub(crate) fn no_register_faults(_: &Probe) -> Result<bool> {
    Ok(true)
}
