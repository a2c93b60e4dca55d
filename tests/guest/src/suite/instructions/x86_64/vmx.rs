// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMX's instructions raise an undefined opcode; what always exits under VMX
//! (XSETBV, INVD, GETSEC) does what the machine would do; CR4.VMXE and CR0.NE,
//! which VMX operation insists on, are the guest's to change in all that it sees;
//! and the extension's registers read as they do natively.

use super::{Extension, UNDEFINED_OPCODE};
use crate::probe::{Answer, Probe};
use anyhow::{Result, ensure};
use mercury_device::{Device, ExitReason};

const NO_TRAP: i64 = -1;
const PROTECTION: i64 = 13;
const CR4_VMXE: u64 = 1 << 13;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR0_NE: u64 = 1 << 5;

/// FEATURE_CONTROL, VMX's capability registers, and one that no CPU has, outside
/// the ranges that the bitmap speaks of: it exits.
const REGISTERS: [u32; 20] = [
    0x3a, 0x480, 0x481, 0x482, 0x483, 0x484, 0x485, 0x486, 0x487, 0x488, 0x489, 0x48a, 0x48b,
    0x48c, 0x48d, 0x48e, 0x48f, 0x490, 0x491, NOBODYS,
];
const NOBODYS: u32 = 0x4000_0fff;

/// XSETBV, and its trap where the kernel uses XSAVE; elsewhere it is undefined.
const XSETBV: [(&str, i64); 4] = [
    ("xsetbv-same", NO_TRAP),
    ("xsetbv-none", PROTECTION),
    ("xsetbv-high", PROTECTION),
    ("xsetbv-other", PROTECTION),
];

/// Another instruction, and its trap.
const OTHERS: [(&str, i64); 2] = [
    ("invd", NO_TRAP),
    // A bit of CR4 that no CPU has, beside the one that is Mercury's.
    ("vmxe-nobodys", PROTECTION),
];

/// VMX, to the suite.
pub(super) struct Vmx;

/// What a CPU shows: its control registers, and each register with whether
/// reading it faults.
#[derive(Debug, PartialEq)]
pub(super) struct Registers {
    cr0: u64,
    cr4: u64,
    others: Vec<(u32, u64, bool)>,
}

impl Extension for Vmx {
    type Registers = Registers;

    const CALL: &str = "vmcall";
    const INSTRUCTIONS: &[&str] = &[
        "vmxon", "vmclear", "vmptrld", "vmptrst", "vmread", "vmwrite", "vmlaunch", "vmresume",
        "vmxoff", "invept", "invvpid", "vmfunc", "getsec",
    ];
    const SHOWN: &str = "XSETBV, INVD, CR4.VMXE, CR0.NE and VMX's registers";

    fn registers(probe: &Probe, cpu: u32) -> Result<Registers> {
        let state = probe.ask(&format!("state {cpu}"))?;
        let mut others = Vec::new();
        for register in REGISTERS {
            let answer = probe.ask(&format!("msr read {cpu} {register:x}"))?;
            others.push((
                register,
                answer.number("value")?,
                answer.number("faulted")? != 0,
            ));
        }
        Ok(Registers {
            cr0: state.number("cr0")?,
            // TSD and PCE go by task.
            cr4: state.number("cr4")? & !(1 << 2 | 1 << 8),
            others,
        })
    }

    fn kept(device: &Device, probe: &Probe, cpu: u32, native: &Registers) -> Result<()> {
        let as_before = |when: &str| -> Result<()> {
            let found = Self::registers(probe, cpu)?;
            ensure!(
                found == *native,
                "CPU {cpu} {when}: {found:x?} instead of {native:x?}"
            );
            Ok(())
        };
        as_before("after attach")?;
        let xsave = native.cr4 & CR4_OSXSAVE != 0;
        let xsetbv = XSETBV.map(|(name, trap)| (name, if xsave { trap } else { UNDEFINED_OPCODE }));
        for (name, expected) in xsetbv.into_iter().chain(OTHERS) {
            let trap = probe
                .ask(&format!("instruction {cpu} {name}"))?
                .signed("trap")?;
            ensure!(
                trap == expected,
                "{name} on CPU {cpu} raised trap {trap} (-1: none) where {expected} was expected"
            );
            as_before(&format!("after {name}"))?;
        }
        let shown = if xsave {
            "one passed, three faulted"
        } else {
            "undefined, for this kernel uses no XSAVE"
        };
        println!("instructions: XSETBV on CPU {cpu}: {shown}");
        bit_is_the_guests(
            probe,
            cpu,
            ("vmxe", UNDEFINED_OPCODE),
            native.cr4 | CR4_VMXE,
        )?;
        as_before("after CR4.VMXE")?;
        bit_is_the_guests(probe, cpu, ("ne", NO_TRAP), native.cr0 & !CR0_NE)?;
        as_before("after CR0.NE")?;
        exits_were_these(device, cpu, xsave)
    }
}

/// Changes a bit and changes it back: what is read is what was written.
fn bit_is_the_guests(
    probe: &Probe,
    cpu: u32,
    (name, trap): (&str, i64),
    expected: u64,
) -> Result<()> {
    let answer: Answer = probe.ask(&format!("instruction {cpu} {name}"))?;
    let seen = answer.number("answered")? & !(1 << 2 | 1 << 8);
    let expected = expected & !(1 << 2 | 1 << 8);
    ensure!(
        answer.signed("trap")? == trap && answer.number("faults")? == 0 && seen == expected,
        "{name} on CPU {cpu}: trap {} where {trap} was expected, {} wrong accesses, read {seen:#x} instead of {expected:#x}",
        answer.signed("trap")?,
        answer.number("faults")?,
    );
    Ok(())
}

/// Nothing of this got past Mercury: each has come out.
fn exits_were_these(device: &Device, cpu: u32, xsave: bool) -> Result<()> {
    let status = device.status()?;
    let exits = status.online().find(|entry| entry.cpu == cpu);
    let of = |reason| exits.map_or(0, |entry| entry.exits.of(reason));
    // XSETBV where it exits at all, and the register that nobody has.
    for (reason, least) in [
        (ExitReason::Virtualization, 12),
        (ExitReason::RegisterWrite, if xsave { 4 } else { 0 }),
        (ExitReason::RegisterRead, 1),
        (ExitReason::Other, 5),
    ] {
        ensure!(
            of(reason) >= least,
            "CPU {cpu} came out {} times for {reason} where {least} were expected at least",
            of(reason)
        );
    }
    Ok(())
}
