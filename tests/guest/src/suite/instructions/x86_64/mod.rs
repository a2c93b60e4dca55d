// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: the extension's instructions and unknown calls raise an undefined opcode,
//! in the kernel and in user mode; what else there is to see is the extension's.
#![expect(unsafe_code, reason = "a hypercall from user mode is one instruction")]

mod svm;
mod vmx;

use super::{CALL_BASE, user_calls};
use crate::arch::{Backend, backend};
use crate::expect;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::Probe;
use anyhow::{Context, Result, ensure};
use core::arch::asm;
use core::fmt::Debug;
use mercury_device::Device;

const UNDEFINED_OPCODE: i64 = 6;

/// What the suite must know of an extension.
trait Extension {
    /// What is looked at natively, attached and natively again.
    type Registers: Debug + PartialEq;

    /// The instruction for a hypercall.
    const CALL: &str;
    /// Those that raise an undefined opcode.
    const INSTRUCTIONS: &[&str];
    /// What `kept` shows, in words.
    const SHOWN: &str;

    /// Reads them on a CPU.
    fn registers(probe: &Probe, cpu: u32) -> Result<Self::Registers>;
    /// What the guest must see and must not change, on an attached CPU.
    fn kept(device: &Device, probe: &Probe, cpu: u32, native: &Self::Registers) -> Result<()>;
}

/// The child: one hypercall from user mode. It must not return.
pub(crate) fn from_user_mode(number: u64, user: Option<u32>) -> Result<()> {
    let answer: u64;
    macro_rules! call {
        ($instruction:literal) => {
            // SAFETY: either it raises an undefined opcode, or a hypervisor answers
            // in the registers that are given up here.
            unsafe {
                asm!(
                    "push rbx", $instruction, "pop rbx",
                    inout("rax") number => answer,
                    out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                );
            }
        };
    }
    // Who is nobody cannot ask any more.
    let backend = backend()?;
    crate::suite::hostile::become_user(user)?;
    match backend {
        Backend::Svm => call!("vmmcall"),
        Backend::Vmx => call!("vmcall"),
    }
    println!("answered {answer:#x}");
    Ok(())
}

/// The extension is switched off by a register here, which `kept` sees to.
pub(crate) fn keeps_vectors(_: &Device, _: &Probe) -> Result<()> {
    Ok(())
}

fn refused<E: Extension>(probe: &Probe, cpu: u32) -> Result<()> {
    let unknown = [0u64, 1, 0x1234, CALL_BASE | 0xffff, u64::MAX]
        .map(|number| format!("{} {number:x}", E::CALL));
    let names = E::INSTRUCTIONS
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

pub(crate) fn run() -> Result<()> {
    match backend()? {
        Backend::Svm => run_on::<svm::Svm>(),
        Backend::Vmx => run_on::<vmx::Vmx>(),
    }
}

fn run_on<E: Extension>() -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    let cpus = machine::online()?;
    expect::native(&device)?;
    let native: Vec<E::Registers> = cpus
        .iter()
        .map(|&cpu| E::registers(&probe, cpu))
        .collect::<Result<_>>()?;
    expect::attach(&device)?;
    let outcome = cpus.iter().zip(&native).try_for_each(|(&cpu, native)| {
        refused::<E>(&probe, cpu)?;
        E::kept(&device, &probe, cpu, native)?;
        user_calls(cpu)
    });
    let still = expect::attached(&device).context("after everything that was refused");
    expect::detach(&device)?;
    outcome?;
    still?;
    for (&cpu, native) in cpus.iter().zip(&native) {
        let found = E::registers(&probe, cpu)?;
        ensure!(
            found == *native,
            "CPU {cpu} after detach: {found:x?} instead of {native:x?}"
        );
    }
    log.quiet()?;
    println!(
        "instructions: {} instructions, unknown calls, user-mode calls, {} on {} CPUs: \
         refused or swallowed, still attached",
        E::INSTRUCTIONS.len(),
        E::SHOWN,
        cpus.len()
    );
    Ok(())
}
