// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each requirement means, and what to do when it does not hold.
//!
//! Three sentences a requirement: what holds when all is well, what is the
//! case otherwise, and what the user can do. `{cpu}`, `{read}`, `{code}`,
//! `{image}`, `{paths}` are filled in from the verdict and the machine.

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

/// The sentences of a requirement.
pub(crate) const fn of(requirement: Requirement) -> Advice {
    let (holds, otherwise, to_do) = match requirement {
        Requirement::None => (
            "nothing is required",
            "no reason was given",
            "See `mercury log`.",
        ),
        Requirement::Extension => (
            "the CPU has the virtualization extension (AMD SVM)",
            "{cpu} does not name the virtualization extension SVM in CPUID",
            "Use a CPU with AMD SVM. In a virtual machine, let the outer hypervisor pass it on \
             (QEMU: -cpu with +svm,+npt; KVM: kvm_amd nested=1). Some firmware hides SVM: look \
             for \"SVM mode\" or \"Virtualization\" in its set-up.",
        ),
        Requirement::Enabled => (
            "the firmware left the extension usable",
            "SVM of {cpu} is disabled by the firmware (VM_CR={read}, SVMDIS set)",
            "Enable SVM (\"SVM mode\", \"Virtualization\") in the firmware set-up and start the \
             machine anew; no program can undo it later.",
        ),
        Requirement::Free => (
            "nobody else uses the extension",
            "KVM or another hypervisor holds SVM on {cpu} (EFER={read}, SVME set)",
            "Stop all virtual machines and unload kvm_amd (modprobe -r kvm_amd), or boot with \
             kvm.enable_virt_at_load=0, so that KVM takes SVM only while a machine runs.",
        ),
        Requirement::Stage2 => (
            "the CPU has nested paging",
            "{cpu} does not name nested paging (NPT) in CPUID",
            "Use a CPU with nested paging (AMD since 2007). In a virtual machine, let the outer \
             hypervisor pass it on (QEMU: -cpu with +npt).",
        ),
        Requirement::PlainMemory => (
            "memory is not encrypted (no SEV guest, no SNP host, no SME)",
            "memory encryption is active on {cpu} (read {read})",
            "Boot with mem_encrypt=off and without SNP (firmware: SMEE, SNP off). Mercury cannot \
             run inside an SEV guest.",
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
        Requirement::Supported => (
            "the CPU's vendor and paging mode are ones that Mercury knows",
            "{cpu} is of a kind that Mercury does not know yet",
            "This version knows x86-64 with AMD SVM only.",
        ),
        Requirement::Unknown(_) => (
            "a requirement that this tool does not know",
            "a requirement that this tool does not know does not hold (read {read})",
            "The module is newer than this tool: install both from the same build.",
        ),
    };
    Advice {
        holds,
        otherwise,
        to_do,
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
        (libc::ENOSPC, _) => "too few frames were lent".to_owned(),
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
        let mut verdict = Verdict::in_words(Requirement::Free, Outcome::Fail, "");
        assert_eq!(
            otherwise(&verdict, &Firmware::fixed()),
            "KVM or another hypervisor holds SVM on this machine"
        );
        verdict.cpu = Some(1);
        verdict.read = 0x1d01;
        verdict.mask = 0x1000;
        assert_eq!(
            otherwise(&verdict, &Firmware::fixed()),
            "KVM or another hypervisor holds SVM on CPU 1 (EFER=0x1d01, SVME set)"
        );
    }
}
