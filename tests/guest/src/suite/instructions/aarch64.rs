// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: the calls of Linux's hyp stub, made while attached. What the stub
//! does not know is answered as the stub would; RESET_VECTORS succeeds and does
//! nothing; SET_VECTORS, with which KVM would take EL2, is refused and stands
//! in the log; SOFT_RESTART, with which a crash kernel leaves, lets go of the
//! CPU first. Firmware answers as ever, EL1 reads as ever, and user mode
//! reaches neither.
#![expect(unsafe_code, reason = "a hypercall from user mode is one instruction")]

use super::{CALL_BASE, user_calls};
use crate::expect;
use crate::kernel_log::KernelLog;
use crate::machine;
use crate::probe::Probe;
use anyhow::{Context, Result, ensure};
use core::arch::asm;
use mercury_device::{CpuState, Device, Level, ProofVerdict, State};
use std::collections::BTreeMap;

/// HVC_STUB_ERR.
const STUB_ERROR: u64 = 0xbad_ca11;
const SET_VECTORS: u64 = 0;
const RESET_VECTORS: u64 = 2;
/// Nobody's, a firmware's by HVC, and one past Mercury's own.
const UNKNOWN: [u64; 6] = [
    0xff,
    0x1234,
    0x8400_0000,
    0xc600_0000,
    CALL_BASE | 0xffff,
    u64::MAX,
];
/// PSCI_VERSION and PSCI_FEATURES of CPU_ON.
const FIRMWARE: [(u64, u64); 2] = [(0x8400_0000, 0), (0x8400_000a, 0xc400_0003)];

/// The child: one hypercall from user mode. It must not return.
pub(crate) fn from_user_mode(number: u64, user: Option<u32>) -> Result<()> {
    crate::suite::hostile::become_user(user)?;
    let answer: u64;
    // SAFETY: either it raises an undefined instruction, or somebody answers in
    // the registers that are given up here.
    unsafe { asm!("hvc #0", inout("x0") number => answer, clobber_abi("C")) };
    println!("answered {answer:#x}");
    Ok(())
}

fn call(probe: &Probe, cpu: u32, how: &str, number: u64, argument: u64) -> Result<u64> {
    probe
        .ask(&format!("instruction {cpu} {how} {number:x} {argument:x}"))?
        .number("answered")
}

/// What a CPU answers natively, and must answer as a guest.
#[derive(Debug, PartialEq)]
struct View {
    unknown: Vec<u64>,
    firmware: Vec<u64>,
    registers: BTreeMap<String, String>,
}

fn view(probe: &Probe, cpu: u32) -> Result<View> {
    let mut unknown = Vec::new();
    for number in UNKNOWN {
        for how in ["hvc", "hvc1"] {
            unknown.push(call(probe, cpu, how, number, 0)?);
        }
    }
    let firmware = FIRMWARE.map(|(number, argument)| call(probe, cpu, "smc", number, argument));
    Ok(View {
        unknown,
        firmware: firmware.into_iter().collect::<Result<_>>()?,
        registers: probe.ask(&format!("state {cpu}"))?.into_map(),
    })
}

fn kept(probe: &Probe, cpu: u32, native: &View) -> Result<()> {
    let found = view(probe, cpu)?;
    ensure!(
        found == *native,
        "CPU {cpu} as a guest: {found:x?} instead of {native:x?}"
    );
    Ok(())
}

/// RESET_VECTORS and SET_VECTORS on one CPU.
fn vectors(device: &Device, probe: &Probe, cpu: u32) -> Result<()> {
    let answer = call(probe, cpu, "hvc", RESET_VECTORS, 0)?;
    ensure!(
        answer == 0,
        "HVC_RESET_VECTORS on CPU {cpu} answered {answer:#x} instead of 0"
    );
    let from = device.log(0)?.next;
    // An address that would do harm: 0, where no vectors are.
    let answer = call(probe, cpu, "hvc", SET_VECTORS, 0)?;
    ensure!(
        answer == STUB_ERROR,
        "HVC_SET_VECTORS on CPU {cpu} answered {answer:#x} instead of {STUB_ERROR:#x}"
    );
    let records = device.log(from)?.items;
    let said = records
        .iter()
        .find(|record| record.cpu == Some(cpu) && record.level() <= Level::Warning)
        .with_context(|| format!("HVC_SET_VECTORS on CPU {cpu} is not in the log: {records:?}"))?;
    println!("instructions: log: {}", said.sentence());
    Ok(())
}

/// SOFT_RESTART by the test module, which looks at EL2 that way: the CPU must
/// be native then, and EL2 as it always was.
fn restart(
    device: &Device,
    probe: &Probe,
    cpu: u32,
    native: &BTreeMap<String, String>,
) -> Result<()> {
    expect::attach(device)?;
    let found = probe.ask(&format!("el2 {cpu}"))?.into_map();
    let status = device.status();
    let proof = device.prove(cpu);
    device
        .detach()
        .context("detach, one CPU being out already")?;
    expect::native(device)?;
    let (status, proof) = (status?, proof?);
    let state = status.cpus.iter().find(|entry| entry.cpu == cpu);
    ensure!(
        status.state != State::Attached
            && state.is_some_and(|entry| entry.state == CpuState::Native)
            && proof.verdict() == ProofVerdict::Native,
        "after HVC_SOFT_RESTART CPU {cpu} is {state:?}, the machine {} and the proof says {:?}",
        status.state,
        proof.verdict()
    );
    ensure!(
        found == *native,
        "after HVC_SOFT_RESTART EL2 of CPU {cpu} is {found:?} instead of {native:?}"
    );
    Ok(())
}

/// RESET_VECTORS on each CPU while attached: all of them stay guests.
pub(crate) fn keeps_vectors(device: &Device, probe: &Probe) -> Result<()> {
    expect::attach(device)?;
    let outcome = machine::online()?.into_iter().try_for_each(|cpu| {
        call(probe, cpu, "hvc", RESET_VECTORS, 0)?;
        expect::attached(device)?;
        Ok(())
    });
    device.detach()?;
    outcome
}

fn attached(device: &Device, probe: &Probe, native: &BTreeMap<u32, View>) -> Result<()> {
    for (&cpu, native) in native {
        kept(probe, cpu, native)?;
        vectors(device, probe, cpu)?;
        user_calls(cpu)?;
        kept(probe, cpu, native).context("after everything that was refused")?;
    }
    expect::attached(device).context("after everything that was refused")?;
    expect::proven(device, ProofVerdict::Guest)
}

pub(crate) fn run() -> Result<()> {
    let device = Device::open()?;
    let probe = Probe::load()?;
    let mut log = KernelLog::from_here()?;
    expect::native(&device)?;
    let (mut native, mut el2) = (BTreeMap::new(), BTreeMap::new());
    for cpu in machine::online()? {
        let seen = view(&probe, cpu)?;
        ensure!(
            seen.unknown.iter().all(|&answer| answer == STUB_ERROR),
            "Linux's stub on CPU {cpu} answers {:x?}",
            seen.unknown
        );
        native.insert(cpu, seen);
        el2.insert(cpu, probe.ask(&format!("el2 {cpu}"))?.into_map());
    }
    expect::attach(&device)?;
    let outcome = attached(&device, &probe, &native);
    expect::detach(&device)?;
    outcome?;
    for (&cpu, el2) in &el2 {
        restart(&device, &probe, cpu, el2)?;
    }
    for (&cpu, native) in &native {
        kept(&probe, cpu, native).context("natively again")?;
    }
    log.quiet()?;
    println!(
        "instructions: unknown calls, the stub's calls and user-mode calls on {} CPUs: answered as the stub does, \
         SET_VECTORS refused and logged, SOFT_RESTART lets go; firmware and EL1 as natively",
        native.len()
    );
    Ok(())
}
