// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each requirement means, and what to do when it does not hold.
//!
//! Three sentences a requirement: what holds when all is well, what is the
//! case otherwise, and what the user can do. `{cpu}`, `{read}`, `{code}`,
//! `{image}`, `{paths}` are filled in from the verdict and the machine. What is
//! asked of the CPU stands in a file for each architecture.

mod aarch64;
mod x86_64;

use crate::firmware::Firmware;
use crate::image_error;
use mercury_device::{Requirement, Verdict};

/// The sentences of one requirement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advice {
    /// What holds when all is well.
    pub(crate) holds: &'static str,
    /// What is the case otherwise.
    pub(crate) otherwise: &'static str,
    /// What to do then.
    pub(crate) to_do: &'static str,
}

/// What holds, what is the case otherwise, what to do then.
type Sentences = (&'static str, &'static str, &'static str);

/// The sentences of a requirement, on this architecture.
pub(crate) const fn of(requirement: Requirement) -> Advice {
    let own = if cfg!(target_arch = "aarch64") {
        aarch64::of(requirement)
    } else {
        x86_64::of(requirement)
    };
    let (holds, otherwise, to_do) = match own {
        Some(sentences) => sentences,
        None => of_all(requirement),
    };
    Advice {
        holds,
        otherwise,
        to_do,
    }
}

/// What is the same everywhere.
const fn of_all(requirement: Requirement) -> Sentences {
    match requirement {
        Requirement::Guarded => (
            "there is a store in which a checkpoint can be kept",
            "there is no store",
            "Make one: `mercury guard on`.",
        ),
        Requirement::Quiet => (
            "Linux came to rest: every process frozen, every device suspended",
            "Linux did not come to rest (error {read})",
            "See dmesg for the process or device that refused, and try again.",
        ),
        Requirement::Checkpoint => (
            "the hypervisor took the checkpoint, or went back to it",
            "the hypervisor did not: {error}",
            "See `mercury guard status` for the size that is needed, and `mercury log`.",
        ),
        Requirement::None => (
            "nothing is required",
            "no reason was given",
            "See `mercury log`.",
        ),
        Requirement::Privilege => (
            "the caller has CAP_SYS_ADMIN and CAP_SYS_RAWIO",
            "this process may not command Mercury",
            "Run it as root (sudo mercury ...). In a container root is not enough: it needs \
             CAP_SYS_ADMIN and CAP_SYS_RAWIO in the first user namespace.",
        ),
        Requirement::Lockdown => (
            "the kernel is not locked down",
            "the kernel is locked down",
            "Lockdown forbids what Mercury does, and nothing lifts it in a running kernel. Turn \
             Secure Boot off, or boot without lockdown=, and try again.",
        ),
        Requirement::ImageFound => (
            "the hypervisor image is installed",
            "the image {image} was not found",
            "Copy it to one of these places: {paths}.",
        ),
        Requirement::ImageWhole => (
            "the image is complete",
            "the image {image} is truncated or is no Mercury image",
            "Install it again from the same build as the module; an interrupted copy or a full \
             disk makes such a file.",
        ),
        Requirement::ImageArchitecture => (
            "the image is for this architecture",
            "the image {image} is for another architecture",
            "Install the image that was built for this machine.",
        ),
        Requirement::ImageAbi => (
            "the image speaks the module's version of their interface",
            "the image {image} speaks another version (its version: {code})",
            "Install image and module from the same build.",
        ),
        Requirement::ImageHash => (
            "the image is the one that the module was built with",
            "the image {image} has another SHA-256 than the module was built with",
            "Install image and module from the same build. `mercury check` shows the hash that \
             the module accepts; compare it with sha256sum.",
        ),
        Requirement::Memory => (
            "the kernel can lend the memory",
            "the kernel did not lend enough memory (asked for {code})",
            "Free memory (stop programs; echo 1 > /proc/sys/vm/compact_memory), then try again.",
        ),
        Requirement::Native => (
            "attach: Mercury is not attached yet",
            "Mercury is attached already",
            "Nothing needs to be done; `mercury status` shows it. To attach anew: mercury detach.",
        ),
        Requirement::Attached => (
            "detach, keep: Mercury is attached",
            "Mercury is not attached",
            "Attach it first: mercury attach.",
        ),
        Requirement::Idle => (
            "no other switch is under way",
            "another attach or detach is under way",
            "Wait until it is done (mercury status), then try again.",
        ),
        Requirement::Prepare => (
            "the image built its tables",
            "the image could not prepare: {error}",
            "This should not happen: please report it with the output of `mercury log --level \
             detail`. If frames were exhausted, free memory and try again.",
        ),
        Requirement::Entry => (
            "every CPU entered",
            "{cpu} could not enter: {error}",
            "If the extension was taken, stop the other hypervisor (see extension-free in \
             `mercury check`). Otherwise please report it with `mercury log --level detail`.",
        ),
        Requirement::Arrival => (
            "every CPU came to the door in time",
            "{cpu} did not come to the door in time",
            "A CPU was busy with interrupts off, or the machine around it stood still. Try again; \
             if it happens again, `mercury log` names the CPU.",
        ),
        Requirement::Uninterrupted => (
            "no signal came before the commit",
            "a signal came before the commit",
            "Nothing needs to be done; to attach, run it again.",
        ),
        Requirement::Seal => (
            "the isolation was sealed",
            "the isolation could not be sealed: {error}",
            "This should not happen: please report it with `mercury log --level detail`.",
        ),
        Requirement::Unknown(_) => (
            "a requirement that this tool does not know",
            "a requirement that this tool does not know does not hold (read {read})",
            "The module is newer than this tool: install both from the same build.",
        ),
        Requirement::Extension
        | Requirement::Enabled
        | Requirement::Free
        | Requirement::Stage2
        | Requirement::PlainMemory
        | Requirement::Supported => ("the CPU will do", "{cpu} will not do", "Use another one."),
    }
}

/// What is the case, for a verdict that failed.
pub(crate) fn otherwise(verdict: &Verdict, firmware: &Firmware) -> String {
    // Without a number there is nothing to show between parentheses.
    let text = of(verdict.requirement).otherwise;
    let shortened = text
        .find(" (")
        .filter(|_| !verdict.has_value() && text.contains('{'));
    let text = match shortened {
        Some(at) if text[at..].contains("{read}") || text[at..].contains("{code}") => &text[..at],
        _ => text,
    };
    fill(text, verdict, firmware)
}

/// What to do, for a verdict that failed.
pub(crate) fn to_do(verdict: &Verdict, firmware: &Firmware) -> String {
    fill(of(verdict.requirement).to_do, verdict, firmware)
}

fn fill(text: &str, verdict: &Verdict, firmware: &Firmware) -> String {
    let error = match (verdict.errno, verdict.read) {
        // `read` is then the number of frames.
        (libc::ENOSPC, _) if verdict.requirement != Requirement::Checkpoint => {
            "too few frames were lent".to_owned()
        }
        (_, 0) => "no error code was given".to_owned(),
        (_, code) => image_error::describe(code),
    };
    let cpu = verdict
        .cpu
        .map_or_else(|| "this machine".to_owned(), |cpu| format!("CPU {cpu}"));
    text.replace("{cpu}", &cpu)
        .replace("{read}", &format!("{:#x}", verdict.read))
        .replace("{code}", &verdict.read.to_string())
        .replace("{error}", &error)
        .replace("{image}", &firmware.name)
        .replace("{paths}", &firmware.places())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mercury_device::Outcome;
    use std::collections::BTreeSet;

    #[test]
    fn every_requirement_has_sentences_of_its_own() {
        let mut seen = BTreeSet::new();
        for &requirement in Requirement::ALL {
            let advice = of(requirement);
            for text in [advice.holds, advice.otherwise, advice.to_do] {
                assert!(
                    !text.is_empty() && !text.contains("  "),
                    "{requirement}: {text:?}"
                );
            }
            assert!(
                seen.insert(advice.holds),
                "{requirement} has another one's sentence"
            );
        }
    }

    #[test]
    fn architectures_speak_of_the_same_requirements() {
        for &requirement in Requirement::ALL {
            assert_eq!(
                x86_64::of(requirement).is_some(),
                aarch64::of(requirement).is_some(),
                "{requirement}"
            );
        }
        let (.., free) = aarch64::of(Requirement::Free).unwrap();
        assert!(free.contains("kvm.enable_virt_at_load=0") && free.contains("kvm-arm.mode=none"));
        let (.., enabled) = aarch64::of(Requirement::Enabled).unwrap();
        assert!(enabled.contains("kvm-arm.mode=nvhe") && enabled.contains("id_aa64mmfr1.vh=0"));
    }

    #[test]
    fn every_place_is_filled() {
        let firmware = Firmware::fixed();
        for &requirement in Requirement::ALL {
            for cpu in [None, Some(3)] {
                for read in [0, 5] {
                    let mut verdict = Verdict::in_words(requirement, Outcome::Fail, "");
                    verdict.cpu = cpu;
                    verdict.read = read;
                    for text in [otherwise(&verdict, &firmware), to_do(&verdict, &firmware)] {
                        assert!(!text.contains(['{', '}']), "{requirement}: {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_held_extension_names_cpu_and_value() {
        if cfg!(target_arch = "aarch64") {
            return;
        }
        let mut verdict = Verdict::in_words(Requirement::Free, Outcome::Fail, "");
        assert_eq!(
            otherwise(&verdict, &Firmware::fixed()),
            "KVM or another hypervisor holds the extension on this machine"
        );
        verdict.cpu = Some(1);
        verdict.read = 0x1d01;
        verdict.mask = 0x1000;
        assert_eq!(
            otherwise(&verdict, &Firmware::fixed()),
            "KVM or another hypervisor holds the extension on CPU 1 (read 0x1d01: EFER.SVME or CR4.VMXE set)"
        );
    }
}
