// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `/proc` and `/sys` say of an x86-64 CPU.

use super::{judged, read, unknown};
use mercury_device::{Requirement, Verdict};
use std::path::Path;

/// What the CPUs are, as far as user space can judge it.
pub(super) fn look() -> Vec<Verdict> {
    let mut verdicts = processors(&read("/proc/cpuinfo").unwrap_or_default());
    verdicts.push(unknown(
        Requirement::Enabled,
        "VM_CR can only be read by the module",
    ));
    verdicts.push(free(
        ["kvm_amd", "kvm_intel"]
            .iter()
            .any(|name| Path::new("/sys/module").join(name).exists()),
    ));
    verdicts.push(unknown(
        Requirement::PlainMemory,
        "the registers of memory encryption can only be read by the module",
    ));
    verdicts
}

/// Vendor, extension and nested paging of each CPU in `/proc/cpuinfo`.
fn processors(cpuinfo: &str) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for block in cpuinfo.split("\n\n") {
        let field = |name: &str| {
            block.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim())
            })
        };
        let Some(cpu) = field("processor").and_then(|number| number.parse().ok()) else {
            continue;
        };
        let vendor = field("vendor_id").unwrap_or_default();
        let flags: Vec<&str> = field("flags")
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let has = |flag: &str| flags.contains(&flag);
        let mut add = |requirement, holds, detail: String| {
            let mut verdict = judged(requirement, holds, libc::ENODEV, detail);
            verdict.cpu = Some(cpu);
            verdicts.push(verdict);
        };
        let amd = ["AuthenticAMD", "HygonGenuine"].contains(&vendor);
        let (extension, stage2) = if amd { ("svm", "npt") } else { ("vmx", "ept") };
        for (requirement, flag) in [
            (Requirement::Extension, extension),
            (Requirement::Stage2, stage2),
        ] {
            let without = if has(flag) { "" } else { "no " };
            add(
                requirement,
                has(flag),
                format!("{without}flag {flag} in /proc/cpuinfo"),
            );
        }
    }
    if verdicts.is_empty() {
        verdicts.push(unknown(
            Requirement::Supported,
            "/proc/cpuinfo names no CPU",
        ));
    }
    verdicts
}

/// Whether KVM may be in the way.
fn free(kvm_loaded: bool) -> Verdict {
    unknown(
        Requirement::Free,
        if kvm_loaded {
            "KVM is loaded and may hold the extension; its bit can only be read by the module"
        } else {
            "KVM is not loaded; the extension's bit can only be read by the module"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mercury_device::Outcome;

    fn outcomes(cpuinfo: &str) -> Vec<(Requirement, Option<u32>, Outcome)> {
        processors(cpuinfo)
            .iter()
            .map(|verdict| (verdict.requirement, verdict.cpu, verdict.outcome))
            .collect()
    }

    #[test]
    fn processors_are_judged_one_by_one() {
        let text = "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu svm npt\n\n\
                    processor\t: 1\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu svml\n\n";
        assert_eq!(
            outcomes(text),
            [
                (Requirement::Extension, Some(0), Outcome::Pass),
                (Requirement::Stage2, Some(0), Outcome::Pass),
                (Requirement::Extension, Some(1), Outcome::Fail),
                (Requirement::Stage2, Some(1), Outcome::Fail),
            ]
        );
    }

    #[test]
    fn each_vendor_has_flags_of_its_own() {
        assert_eq!(
            outcomes("processor : 0\nvendor_id : GenuineIntel\nflags : fpu vmx svm npt\n"),
            [
                (Requirement::Extension, Some(0), Outcome::Pass),
                (Requirement::Stage2, Some(0), Outcome::Fail),
            ]
        );
        assert_eq!(processors("").len(), 1);
    }
}
