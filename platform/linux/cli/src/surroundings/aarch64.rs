// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the device tree says of an ARM64 machine's EL2.
//!
//! No file says at which level the kernel was started. But a kernel that was
//! started at EL2 calls the firmware by SMC: HVC would call itself.

use super::{judged, read, unknown};
use crate::platform::{Conduit, Platform};
use mercury_device::{Requirement, Verdict};

/// What the CPUs are, as far as user space can judge it.
pub(super) fn look() -> Vec<Verdict> {
    let mut verdicts = vec![extension(Platform::of_this_machine().as_ref())];
    let arguments = read("/proc/cmdline").unwrap_or_default();
    verdicts.push(free(&arguments));
    for (requirement, detail) in [
        (
            Requirement::Enabled,
            "CurrentEL can only be read by the module",
        ),
        (
            Requirement::Stage2,
            "the ID registers of stage 2 can only be read by the module",
        ),
        (
            Requirement::Supported,
            "the ID registers of EL2 can only be read by the module",
        ),
    ] {
        verdicts.push(unknown(requirement, detail));
    }
    verdicts
}

fn extension(platform: Option<&Platform>) -> Verdict {
    match platform.and_then(|platform| platform.psci) {
        Some(Conduit::Hvc) => judged(
            Requirement::Extension,
            false,
            libc::ENODEV,
            "PSCI is called by HVC (device tree): a hypervisor is above this kernel".to_owned(),
        ),
        Some(Conduit::Smc) => unknown(
            Requirement::Extension,
            "PSCI is called by SMC (device tree), as by a kernel that was started at EL2; the \
             register can only be read by the module",
        ),
        None => unknown(
            Requirement::Extension,
            "the device tree names no PSCI; the register can only be read by the module",
        ),
    }
}

/// Whether KVM holds EL2 from boot on, as the kernel was told to.
fn free(arguments: &str) -> Verdict {
    let protected = arguments
        .split_whitespace()
        .any(|argument| argument == "kvm-arm.mode=protected");
    if protected {
        let detail = "kvm-arm.mode=protected in /proc/cmdline: pKVM holds EL2";
        return judged(Requirement::Free, false, libc::EBUSY, detail.to_owned());
    }
    unknown(
        Requirement::Free,
        "who is at EL2 can only be asked by the module",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mercury_device::Outcome;

    #[test]
    fn a_hypervisor_above_is_seen() {
        let with = |psci| {
            let platform = Platform {
                psci,
                ..Platform::default()
            };
            extension(Some(&platform)).outcome
        };
        assert_eq!(with(Some(Conduit::Hvc)), Outcome::Fail);
        assert_eq!(with(Some(Conduit::Smc)), Outcome::Undecided);
        assert_eq!(with(None), Outcome::Undecided);
        assert_eq!(extension(None).outcome, Outcome::Undecided);
    }

    #[test]
    fn pkvm_is_seen_in_the_arguments() {
        assert_eq!(free("quiet kvm-arm.mode=protected").outcome, Outcome::Fail);
        assert_eq!(free("quiet kvm-arm.mode=nvhe").outcome, Outcome::Undecided);
    }
}
