// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be true of the machine, asked of every CPU.

use anyhow::{Context, Result, anyhow, bail, ensure};
use core::fmt;
use mercury_device::{
    AttachOptions, CpuState, Device, Error, ExitReason, ProofVerdict, Requirement, State, Status,
};
use std::collections::BTreeMap;

/// This machine cannot show what was asked for; the reason.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Ends the suite as skipped.
pub(crate) fn skip<T>(reason: impl Into<String>) -> Result<T> {
    Err(Skip(reason.into()).into())
}

fn every_cpu(status: &Status, state: CpuState) -> Result<()> {
    for cpu in status.online() {
        ensure!(
            cpu.state == state,
            "CPU {} is {} where {state} was expected",
            cpu.cpu,
            cpu.state
        );
    }
    Ok(())
}

/// No CPU is a guest, and the module holds nothing of the kernel's.
pub(crate) fn native(device: &Device) -> Result<Status> {
    let status = device.status()?;
    ensure!(
        status.state == State::Native,
        "the machine is {} where native was expected",
        status.state
    );
    every_cpu(&status, CpuState::Native)?;
    ensure!(
        status.ledger.is_empty(),
        "native, and the module still holds {:?}",
        status.ledger
    );
    ensure!(
        status.memory.lent == 0,
        "native, and {} bytes are still lent",
        status.memory.lent
    );
    Ok(status)
}

/// Every online CPU is a guest.
pub(crate) fn attached(device: &Device) -> Result<Status> {
    let status = device.status()?;
    ensure!(
        status.state == State::Attached,
        "the machine is {} where attached was expected",
        status.state
    );
    every_cpu(&status, CpuState::Attached)?;
    ensure!(status.ledger.pages > 0, "attached, and no page is lent");
    Ok(status)
}

/// Nothing came out of a guest that a healthy Linux does not cause.
pub(crate) fn only_usual_exits(status: &Status) -> Result<()> {
    for cpu in status.online() {
        for (reason, count) in cpu.exits.iter() {
            let usual = matches!(
                reason,
                ExitReason::Hypercall
                    | ExitReason::RegisterRead
                    | ExitReason::RegisterWrite
                    | ExitReason::Stage2Mapped
                    // CPUID: exits always under VMX, and never under SVM.
                    | ExitReason::Identification
            );
            ensure!(
                usual || count == 0,
                "CPU {} had {count} exits of kind {reason}",
                cpu.cpu
            );
        }
    }
    Ok(())
}

/// The proof on every online CPU, with the answer that is expected.
pub(crate) fn proven(device: &Device, expected: ProofVerdict) -> Result<()> {
    for cpu in crate::machine::online()? {
        let proof = device.prove(cpu)?;
        ensure!(
            proof.verdict() == expected,
            "CPU {cpu} proves to be {:?} where {expected:?} was expected: {proof:x?}",
            proof.verdict()
        );
    }
    Ok(())
}

/// Attaches, and sees that it is so.
pub(crate) fn attach(device: &Device) -> Result<Status> {
    device.attach(&AttachOptions::default()).context("attach")?;
    attached(device)
}

/// Detaches, and sees that it is so.
pub(crate) fn detach(device: &Device) -> Result<Status> {
    device.detach().context("detach")?;
    native(device)
}

/// A round trip that works, after something that did not.
pub(crate) fn round_trip(device: &Device) -> Result<()> {
    attach(device).context("afterwards")?;
    detach(device).context("afterwards")?;
    Ok(())
}

/// How often something ended how, by name.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    pub(crate) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, count)) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { ", " };
            write!(formatter, "{before}{count} {name}")?;
        }
        Ok(())
    }
}

/// What a refusal said.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) requirement: Requirement,
    pub(crate) errno: i32,
    pub(crate) cpu: Option<u32>,
    pub(crate) detail: String,
}

/// Turns the outcome of a call that had to be refused into what was said.
pub(crate) fn refused(outcome: Result<(), Error>) -> Result<Refused> {
    match outcome {
        Ok(()) => bail!("the call succeeded where a refusal was expected"),
        Err(Error::Refused(refusal)) => {
            let verdict = refusal.verdict;
            ensure!(refusal.errno != 0, "a refusal without an error number");
            ensure!(
                verdict.errno == refusal.errno,
                "the call returned errno {} and its verdict says {}",
                refusal.errno,
                verdict.errno
            );
            Ok(Refused {
                requirement: verdict.requirement,
                errno: refusal.errno,
                cpu: verdict.cpu,
                detail: verdict.detail,
            })
        }
        Err(other) => {
            let requirement = other.requirement();
            let errno = other.errno();
            match (requirement, errno) {
                (Some(requirement), Some(errno)) => Ok(Refused {
                    requirement,
                    errno,
                    cpu: None,
                    detail: other.to_string(),
                }),
                _ => Err(anyhow!(other).context("not a refusal but a failure")),
            }
        }
    }
}
