// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be found out without the module.
//!
//! `mercury check` shall be of use before anything is loaded: most refusals
//! (no SVM, not root, lockdown, no image) can be foreseen from `/proc` and
//! `/sys`. What only ring 0 can read is said to be unknown, not guessed. Each
//! judgement is a function of a file's text, so it can be tested. What is asked
//! of the CPU stands in a file for each architecture.

use crate::firmware::Firmware;
use mercury_device::{Outcome, Requirement, Verdict};
use std::fs;
use std::io;

mod aarch64;
mod x86_64;

/// CAP_SYS_ADMIN and CAP_SYS_RAWIO in the kernel's numbering.
const CAPABILITIES: [(u32, &str); 2] = [(21, "CAP_SYS_ADMIN"), (17, "CAP_SYS_RAWIO")];

/// Every requirement, as far as user space can judge it.
pub(crate) fn look(firmware: &Firmware) -> Vec<Verdict> {
    let mut verdicts = if cfg!(target_arch = "aarch64") {
        aarch64::look()
    } else {
        x86_64::look()
    };
    verdicts.push(privilege_now());
    verdicts.push(lockdown(read("/sys/kernel/security/lockdown").as_deref()));
    verdicts.push(image(firmware));
    for requirement in [
        Requirement::ImageWhole,
        Requirement::ImageArchitecture,
        Requirement::ImageAbi,
        Requirement::ImageHash,
        Requirement::Memory,
    ] {
        verdicts.push(unknown(requirement, "judged by the module"));
    }
    verdicts.sort_by_key(|verdict| verdict.requirement.code());
    verdicts
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn unknown(requirement: Requirement, detail: &str) -> Verdict {
    Verdict::in_words(requirement, Outcome::Undecided, detail)
}

fn judged(requirement: Requirement, holds: bool, errno: i32, detail: String) -> Verdict {
    let outcome = if holds { Outcome::Pass } else { Outcome::Fail };
    let mut verdict = Verdict::in_words(requirement, outcome, detail);
    verdict.errno = if holds { 0 } else { errno };
    verdict
}

/// The capabilities of this process.
fn privilege_now() -> Verdict {
    privilege(&read("/proc/self/status").unwrap_or_default())
}

/// The kernel refused the device to this process: why, as far as can be seen.
pub(crate) fn privilege_refused(path: &str, source: &io::Error) -> Verdict {
    refused(privilege_now(), path, source)
}

fn refused(seen: Verdict, path: &str, source: &io::Error) -> Verdict {
    let mut verdict = seen;
    if verdict.outcome == Outcome::Fail {
        verdict.detail = format!("{}; {path}: {source}", verdict.detail);
    } else {
        // Root of a container: the numbers would only contradict the refusal.
        let detail = format!(
            "{path}: {source}; the capabilities of this process do not count in the first user \
             namespace, or a device cgroup forbids it"
        );
        verdict = Verdict::in_words(Requirement::Privilege, Outcome::Fail, detail);
    }
    verdict.errno = source.raw_os_error().unwrap_or(libc::EPERM);
    verdict
}

fn privilege(status: &str) -> Verdict {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    let Some(effective) = effective else {
        return unknown(Requirement::Privilege, "no CapEff in /proc/self/status");
    };
    let missing: Vec<&str> = CAPABILITIES
        .iter()
        .filter(|(bit, _)| effective & (1 << bit) == 0)
        .map(|(_, name)| *name)
        .collect();
    let detail = if missing.is_empty() {
        "CapEff in /proc/self/status".to_owned()
    } else {
        format!(
            "CapEff in /proc/self/status lacks {}",
            missing.join(" and ")
        )
    };
    let mut verdict = judged(
        Requirement::Privilege,
        missing.is_empty(),
        libc::EPERM,
        detail,
    );
    verdict.read = effective;
    verdict.mask = CAPABILITIES
        .iter()
        .fold(0, |mask, (bit, _)| mask | 1 << bit);
    verdict.expected = verdict.mask;
    verdict
}

/// The text of `/sys/kernel/security/lockdown`: `[none] integrity confidentiality`.
fn lockdown(text: Option<&str>) -> Verdict {
    let path = "/sys/kernel/security/lockdown";
    let level = text
        .and_then(|text| text.split_once('[')?.1.split_once(']'))
        .map(|(level, _)| level);
    match level {
        Some(level) => {
            let detail = format!("{path}: {level}");
            judged(Requirement::Lockdown, level == "none", libc::EPERM, detail)
        }
        None => unknown(
            Requirement::Lockdown,
            &format!("{path} cannot be read (no securityfs?)"),
        ),
    }
}

/// Whether the image is where the kernel would look.
fn image(firmware: &Firmware) -> Verdict {
    match firmware.find() {
        Some(found) => judged(
            Requirement::ImageFound,
            true,
            0,
            format!("{}, {} bytes", found.path.display(), found.length),
        ),
        None => judged(
            Requirement::ImageFound,
            false,
            libc::ENOENT,
            format!(
                "{} is in none of the kernel's firmware directories",
                firmware.name
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_capabilities_are_needed() {
        for (digits, outcome) in [
            ("000001ffffffffff", Outcome::Pass),
            ("0000000000220000", Outcome::Pass),
            ("0000000000200000", Outcome::Fail),
            ("0000000000020000", Outcome::Fail),
            ("0000000000000000", Outcome::Fail),
            ("what", Outcome::Undecided),
        ] {
            let verdict = privilege(&format!("Name:\tx\nCapEff:\t{digits}\nCapBnd:\t0\n"));
            assert_eq!(verdict.outcome, outcome, "{digits}");
        }
        assert!(
            privilege("CapEff: 200000")
                .detail
                .ends_with("lacks CAP_SYS_RAWIO")
        );
        assert!(privilege("CapEff: 0").has_value());
    }

    #[test]
    fn a_refusal_is_explained_even_to_the_root_of_a_container() {
        let source = io::Error::from_raw_os_error(libc::EPERM);
        let user = refused(privilege("CapEff: 0"), "/dev/mercury", &source);
        assert_eq!((user.outcome, user.has_value()), (Outcome::Fail, true));
        let root = refused(privilege("CapEff: 1ffffffffff"), "/dev/mercury", &source);
        assert_eq!((root.outcome, root.has_value()), (Outcome::Fail, false));
        assert_eq!(root.errno, libc::EPERM);
        assert!(root.detail.contains("user namespace"), "{}", root.detail);
    }

    #[test]
    fn lockdown_levels() {
        let outcome = |text| lockdown(text).outcome;
        assert_eq!(
            outcome(Some("[none] integrity confidentiality\n")),
            Outcome::Pass
        );
        assert_eq!(
            outcome(Some("none [integrity] confidentiality\n")),
            Outcome::Fail
        );
        assert_eq!(outcome(None), Outcome::Undecided);
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let verdicts = look(&Firmware::fixed());
        assert!(
            verdicts
                .iter()
                .any(|verdict| verdict.requirement == Requirement::Privilege)
        );
    }
}
