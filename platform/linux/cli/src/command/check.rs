// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mercury check`: every requirement, what was read, and what to do.
//!
//! With the module it is the module's judgement; without it (not loaded, or
//! closed to this user) what user space can see, so the command is of use
//! before anything is installed. How people see it stands in `check/text.rs`.

mod text;

use crate::advice;
use crate::errno;
use crate::exit::Exit;
use crate::firmware::Firmware;
use crate::output::{Output, hexadecimal};
use crate::platform::Platform;
use crate::surroundings;
use mercury_device::{Device, Error, Info, Outcome, Requirement, Verdict};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Answer {
    device: &'static str,
    module: Option<Module>,
    platform: Option<Platform>,
    verdicts: Vec<OneVerdict>,
    passed: usize,
    failed: usize,
    unknown: usize,
    exit: u8,
}

#[derive(Debug, Serialize)]
struct Module {
    version: String,
    abi: u32,
    architecture: String,
    backend: String,
    image_name: String,
    image_sha256: String,
    testing: bool,
}

#[derive(Debug, Serialize)]
struct OneVerdict {
    requirement: String,
    outcome: String,
    cpu: Option<u32>,
    read: Option<String>,
    expected: Option<String>,
    mask: Option<String>,
    detail: Option<String>,
    errno: Option<String>,
    message: String,
    advice: Option<String>,
}

/// Where the verdicts come from.
struct Findings {
    device: &'static str,
    info: Option<Info>,
    firmware: Firmware,
    platform: Option<Platform>,
    verdicts: Vec<Verdict>,
}

/// Looks and shows.
pub(crate) fn run(output: Output) -> anyhow::Result<Exit> {
    let findings = look()?;
    let exit = judge(&findings);
    output.answer(&answer(&findings, exit), || text::render(&findings))?;
    Ok(exit)
}

fn look() -> Result<Findings, Error> {
    let (device, refused) = match Device::open() {
        Ok(device) => {
            let info = device.info()?;
            let firmware = Firmware::of_this_machine(Some(&info.image_name));
            let mut verdicts = device.check()?;
            // What is asked of a detach, and what only trying can tell, says
            // nothing about whether an attach may be tried.
            verdicts.retain(|verdict| {
                verdict.requirement != Requirement::Attached
                    && !(verdict.requirement.only_by_trying() && verdict.outcome != Outcome::Fail)
            });
            return Ok(Findings {
                device: "open",
                info: Some(info),
                firmware,
                platform: Platform::of_this_machine(),
                verdicts,
            });
        }
        Err(Error::NotLoaded { .. }) => ("not-loaded", None),
        Err(Error::NoNode { .. }) => ("no-node", None),
        Err(Error::Privilege { source, .. }) => ("not-permitted", Some(source)),
        Err(other) => return Err(other),
    };
    let firmware = Firmware::of_this_machine(None);
    let mut verdicts = surroundings::look(&firmware);
    if let Some(source) = refused {
        // The kernel has the last word, whatever /proc says.
        verdicts.retain(|verdict| verdict.requirement != Requirement::Privilege);
        verdicts.push(surroundings::privilege_refused(Device::PATH, &source));
        verdicts.sort_by_key(|verdict| verdict.requirement.code());
    }
    Ok(Findings {
        device,
        info: None,
        firmware,
        platform: Platform::of_this_machine(),
        verdicts,
    })
}

/// A failed requirement outweighs a missing module: loading would not help.
fn judge(findings: &Findings) -> Exit {
    let first = |outcome| {
        findings
            .verdicts
            .iter()
            .find(|verdict| verdict.outcome == outcome)
    };
    if let Some(failed) = first(Outcome::Fail) {
        return Exit::Refused(failed.requirement);
    }
    if findings.info.is_none() {
        return Exit::NoDevice;
    }
    if findings
        .verdicts
        .iter()
        .all(|verdict| verdict.outcome == Outcome::Pass)
    {
        Exit::Success
    } else {
        Exit::Undecided
    }
}

fn count(verdicts: &[Verdict], outcome: Outcome) -> usize {
    verdicts
        .iter()
        .filter(|verdict| verdict.outcome == outcome)
        .count()
}

fn answer(findings: &Findings, exit: Exit) -> Answer {
    let verdicts = &findings.verdicts;
    let (passed, failed) = (
        count(verdicts, Outcome::Pass),
        count(verdicts, Outcome::Fail),
    );
    Answer {
        device: findings.device,
        module: findings.info.as_ref().map(|info| Module {
            version: info.version.clone(),
            abi: info.abi,
            architecture: info.architecture.clone(),
            backend: info.backend.clone(),
            image_name: info.image_name.clone(),
            image_sha256: sha256(info),
            testing: info.testing,
        }),
        platform: findings.platform.clone(),
        verdicts: verdicts
            .iter()
            .map(|verdict| one(verdict, &findings.firmware))
            .collect(),
        passed,
        failed,
        unknown: verdicts.len() - passed - failed,
        exit: exit.code(),
    }
}

fn sha256(info: &Info) -> String {
    info.image_sha256
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn one(verdict: &Verdict, firmware: &Firmware) -> OneVerdict {
    let failed = verdict.outcome == Outcome::Fail;
    let number = |value: u64| verdict.has_value().then(|| hexadecimal(value));
    OneVerdict {
        requirement: verdict.requirement.to_string(),
        outcome: verdict.outcome.to_string(),
        cpu: verdict.cpu,
        read: number(verdict.read),
        expected: number(verdict.expected),
        mask: number(verdict.mask),
        detail: Some(verdict.detail.clone()).filter(|detail| !detail.is_empty()),
        errno: (failed && verdict.errno != 0).then(|| errno::name(verdict.errno)),
        message: if failed {
            advice::otherwise(verdict, firmware)
        } else {
            advice::of(verdict.requirement).holds.to_owned()
        },
        advice: failed.then(|| advice::to_do(verdict, firmware)),
    }
}

#[cfg(test)]
mod tests;
