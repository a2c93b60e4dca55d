// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: SVM's instructions and unknown calls raise an undefined opcode, SVM's
//! registers read as they do natively and swallow what is written, and the
//! sequence with which Linux switches SVM off on its crash path changes nothing.
#![expect(unsafe_code, reason = "a hypercall from user mode is one instruction")]

use super::{CALL_BASE, user_calls};
use crate::expect;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::{EFER, EFER_SVME, Probe, VM_CR, VM_HSAVE_PA};
use anyhow::{Context, Result, ensure};
use core::arch::asm;
use mercury_device::Device;

const UNDEFINED_OPCODE: i64 = 6;
const INSTRUCTIONS: [&str; 7] = [
    "vmrun", "vmload", "vmsave", "stgi", "clgi", "skinit", "invlpga",
];

/// The child: one hypercall from user mode. It must not return.
pub(crate) fn from_user_mode(number: u64) -> Result<()> {
    let answer: u64;
    // SAFETY: either it raises an undefined opcode, or a hypervisor answers in
    // the registers that are given up here.
    unsafe {
        asm!(
            "push rbx", "vmmcall", "pop rbx",
            inout("rax") number => answer,
            out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    println!("answered {answer:#x}");
    Ok(())
}

/// The extension is switched off by a register here, which `kept` sees to.
pub(crate) fn keeps_vectors(_: &Device, _: &Probe) -> Result<()> {
    Ok(())
}

fn refused(probe: &Probe, cpu: u32) -> Result<()> {
    let unknown =
        [0u64, 1, 0x1234, CALL_BASE | 0xffff, u64::MAX].map(|number| format!("vmmcall {number:x}"));
    let names = INSTRUCTIONS
        .iter()
        .map(|name| (*name).to_owned())
        .chain(unknown);
    for name in names {
        let answer = probe.ask(&format!("instruction {cpu} {name}"))?;
        let trap = answer.signed("trap")?;
        ensure!(
            trap == UNDEFINED_OPCODE,
            "{name} on CPU {cpu} raised trap {trap} (-1: none) where {UNDEFINED_OPCODE} was expected; it answered {}",
            answer.text("answered")?
        );
    }
    Ok(())
}

/// What the registers read natively.
#[derive(Debug, PartialEq)]
struct Registers {
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

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    let cpus = machine::online()?;
    expect::native(&device)?;
    let native: Vec<Registers> = cpus
        .iter()
        .map(|&cpu| registers(&probe, cpu))
        .collect::<Result<_>>()?;
    expect::attach(&device)?;
    let outcome = cpus.iter().zip(&native).try_for_each(|(&cpu, native)| {
        refused(&probe, cpu)?;
        kept(&probe, cpu, native)?;
        user_calls(cpu)
    });
    let still = expect::attached(&device).context("after everything that was refused");
    expect::detach(&device)?;
    outcome?;
    still?;
    for (&cpu, native) in cpus.iter().zip(&native) {
        let found = registers(&probe, cpu)?;
        ensure!(
            found == *native,
            "CPU {cpu} after detach: {found:x?} instead of {native:x?}"
        );
    }
    log.quiet()?;
    println!(
        "instructions: {} instructions, unknown calls, user-mode calls, register writes and cpu_svm_disable on {} CPUs: \
         refused or swallowed, still attached",
        INSTRUCTIONS.len(),
        cpus.len()
    );
    Ok(())
}
