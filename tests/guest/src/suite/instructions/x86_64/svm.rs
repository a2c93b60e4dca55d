// SPDX-License-Identifier: MIT OR Apache-2.0
//! SVM's instructions and unknown calls raise an undefined opcode, SVM's
//! registers read as they do natively and swallow what is written, and the
//! sequence with which Linux switches SVM off on its crash path changes nothing.

use super::{Extension, UNDEFINED_OPCODE};
use crate::probe::{EFER, EFER_SVME, Probe, VM_CR, VM_HSAVE_PA};
use anyhow::{Result, ensure};
use mercury_device::Device;

/// SVM, to the suite.
pub(super) struct Svm;

impl Extension for Svm {
    type Registers = Registers;

    const CALL: &str = "vmmcall";
    const INSTRUCTIONS: &[&str] = &[
        "vmrun", "vmload", "vmsave", "stgi", "clgi", "skinit", "invlpga",
    ];
    const SHOWN: &str = "register writes and cpu_svm_disable";

    fn registers(probe: &Probe, cpu: u32) -> Result<Registers> {
        registers(probe, cpu)
    }

    fn kept(_: &Device, probe: &Probe, cpu: u32, native: &Registers) -> Result<()> {
        kept(probe, cpu, native)
    }
}

/// What the registers read natively.
#[derive(Debug, PartialEq)]
pub(super) struct Registers {
    efer: u64,
    vm_cr: u64,
    save_area: u64,
}

fn registers(probe: &Probe, cpu: u32) -> Result<Registers> {
    Ok(Registers {
        efer: probe.read_register(cpu, EFER)?,
        vm_cr: probe.read_register(cpu, VM_CR)?,
        save_area: probe.read_register(cpu, VM_HSAVE_PA)?,
    })
}

fn kept(probe: &Probe, cpu: u32, native: &Registers) -> Result<()> {
    let expected = Registers {
        efer: native.efer | EFER_SVME,
        ..*native
    };
    let as_expected = |when: &str| -> Result<()> {
        let found = registers(probe, cpu)?;
        ensure!(
            found == expected,
            "CPU {cpu} {when}: {found:x?} instead of {expected:x?}"
        );
        Ok(())
    };
    as_expected("after attach")?;
    for (number, value) in [
        (EFER, native.efer),
        (VM_CR, native.vm_cr | 0x10),
        (VM_HSAVE_PA, 0),
        (VM_HSAVE_PA, 0x1000),
    ] {
        let done = probe.write_register(cpu, number, value)?;
        ensure!(
            done,
            "writing {value:#x} to register {number:#x} on CPU {cpu} faulted; it must be swallowed"
        );
        as_expected(&format!("after writing {value:#x} to register {number:#x}"))?;
    }
    // As cpu_svm_disable in Linux does it.
    let answer = probe.ask(&format!("instruction {cpu} svm-disable"))?;
    ensure!(
        answer.number("faults")? == 0 && answer.signed("trap")? == UNDEFINED_OPCODE,
        "the sequence of cpu_svm_disable on CPU {cpu}: {} register accesses faulted, STGI raised trap {}",
        answer.number("faults")?,
        answer.signed("trap")?
    );
    as_expected("after the sequence of cpu_svm_disable")
}
