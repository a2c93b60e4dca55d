// SPDX-License-Identifier: MIT OR Apache-2.0
//! `check` for people: a line for each requirement that holds, and for one
//! that does not the value, the sentence and the way out.

use super::{Findings, count, sha256};
use crate::advice;
use crate::firmware::Firmware;
use crate::output::{BAD, DOUBTFUL, GOOD, hexadecimal, paint};
use crate::platform::{Conduit, Platform};
use crate::table::{cpu_list, wrap};
use mercury_device::{Device, Outcome, Verdict};

/// The whole answer.
pub(super) fn render(findings: &Findings) -> String {
    let mut text = heading(findings);
    if let Some(platform) = &findings.platform {
        text += &(wrap("platform  ", &described(platform)) + "\n\n");
    }
    let verdicts = &findings.verdicts;
    // CPUs of which the same is to be said share a line; they need not stand
    // beside each other in the list.
    let mut done: Vec<bool> = vec![false; verdicts.len()];
    for (index, verdict) in verdicts.iter().enumerate() {
        if done[index] {
            continue;
        }
        let mut cpus = Vec::new();
        for (other, done) in verdicts.iter().zip(&mut done) {
            if same(verdict, other) {
                *done = true;
                cpus.extend(other.cpu);
            }
        }
        // Sentences about one CPU would mislead where they hold for several.
        let mut verdict = verdict.clone();
        verdict.cpu = verdict.cpu.filter(|_| cpus.len() == 1);
        text += &lines(&verdict, &cpus, &findings.firmware);
    }
    let (passed, failed) = (
        count(verdicts, Outcome::Pass),
        count(verdicts, Outcome::Fail),
    );
    let unknown = verdicts.len() - passed - failed;
    let style = if failed > 0 {
        BAD
    } else if unknown > 0 {
        DOUBTFUL
    } else {
        GOOD
    };
    let summary = format!("{passed} passed, {failed} failed, {unknown} unknown");
    text + &paint(style, &summary) + "\n"
}

/// The machine by its device tree, in one line.
fn described(platform: &Platform) -> String {
    let mut words = vec![format!("{} MiB of memory", platform.memory >> 20)];
    words.extend(platform.model.clone());
    words.push(match platform.psci {
        Some(Conduit::Smc) => "PSCI by SMC".to_owned(),
        Some(Conduit::Hvc) => "PSCI by HVC".to_owned(),
        None => "no PSCI".to_owned(),
    });
    for part in [&platform.interrupt_controller, &platform.console]
        .into_iter()
        .flatten()
    {
        let at = part.address.map(|address| format!(" at {address:#x}"));
        words.push(format!("{}{}", part.compatible, at.unwrap_or_default()));
    }
    words.join(", ")
}

fn same(one: &Verdict, other: &Verdict) -> bool {
    // Passed is passed: the value may differ from CPU to CPU.
    let passed = one.outcome == Outcome::Pass;
    one.requirement == other.requirement
        && one.outcome == other.outcome
        && (passed || (one.read == other.read && one.detail == other.detail))
}

fn heading(findings: &Findings) -> String {
    match (&findings.info, findings.device) {
        (Some(info), _) => {
            let backend = if info.backend.is_empty() {
                "no backend"
            } else {
                &info.backend
            };
            let testing = if info.testing { ", TEST BUILD" } else { "" };
            format!(
                "module {} ({}, {backend}{testing})\nimage  {}\nsha256 {}\n\n",
                info.version,
                info.architecture,
                info.image_name,
                sha256(info)
            )
        }
        (None, "not-loaded") => {
            "The module is not loaded (modprobe mercury): this is what user space can see.\n\n"
                .into()
        }
        (None, "no-node") => format!(
            "The module is loaded, but {} does not exist (is devtmpfs mounted?).\n\n",
            Device::PATH
        ),
        (None, _) => {
            format!(
                "{} is closed to this user: this is what user space can see.\n\n",
                Device::PATH
            )
        }
    }
}

/// One line for what holds; for what does not, the value and the way out, too.
fn lines(verdict: &Verdict, cpus: &[u32], firmware: &Firmware) -> String {
    let (style, mark) = match verdict.outcome {
        Outcome::Pass => (GOOD, "pass"),
        Outcome::Fail => (BAD, "FAIL"),
        Outcome::Undecided | Outcome::Unknown(_) => (DOUBTFUL, "  ? "),
    };
    let on = match cpus {
        [] => String::new(),
        [one] => format!("cpu {one}"),
        many => format!("cpus {}", cpu_list(many)),
    };
    let mut read = verdict.detail.clone();
    if verdict.has_value() && !read.contains(&hexadecimal(verdict.read)) {
        let colon = if read.is_empty() { "" } else { ": " };
        read = format!("{:#x}{colon}{read}", verdict.read);
    }
    let head = format!("{mark}  {:<18} {on:<9} ", verdict.requirement);
    let mut text = wrap(&head, &read)
        .trim_end()
        .replacen(mark, &paint(style, mark), 1)
        + "\n";
    if verdict.outcome == Outcome::Fail {
        if verdict.mask != 0 {
            let expected = format!("{:#x} in the bits {:#x}", verdict.expected, verdict.mask);
            text += &(wrap("        expected  ", &expected) + "\n");
        }
        text += &(wrap("        that is   ", &advice::otherwise(verdict, firmware)) + "\n");
        text += &(wrap("        to do     ", &advice::to_do(verdict, firmware)) + "\n");
    }
    text
}
