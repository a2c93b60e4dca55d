// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an ARM64 CPU must be, in words.

use super::Sentences;
use mercury_device::Requirement;

/// The sentences of a requirement that is the CPU's.
pub(super) const fn of(requirement: Requirement) -> Option<Sentences> {
    Some(match requirement {
        Requirement::Extension => (
            "the CPU has EL2, and the kernel was started there",
            "{cpu} has no EL2 for this kernel (ID_AA64PFR0_EL1.EL2 is 0)",
            "Have the kernel started at EL2: no hypervisor above it, and firmware that does not \
             keep EL2 for itself (QEMU: -machine virtualization=on; U-Boot: leave EL2 to the \
             kernel).",
        ),
        Requirement::Enabled => (
            "the kernel runs at EL1",
            "the kernel itself runs at EL2 on {cpu} (CurrentEL={read}: VHE), so there is nothing \
             beneath it",
            "Boot with kvm-arm.mode=nvhe (or id_aa64mmfr1.vh=0): the kernel then runs at EL1. \
             kvm-arm.mode=none alone does not do it.",
        ),
        Requirement::Free => (
            "nobody but the kernel's own stub is at EL2",
            "KVM or another hypervisor holds EL2 on {cpu} (an unknown call was answered with \
             {read})",
            "Stop all virtual machines. If none runs, KVM holds EL2 from boot: with \
             kvm-arm.mode=protected (pKVM), boot without it; with a kernel from 6.12 on, boot \
             with kvm.enable_virt_at_load=0, so that KVM takes EL2 only while a machine runs, or \
             with kvm-arm.mode=none.",
        ),
        Requirement::Stage2 => (
            "stage 2 has pages of 4 KiB",
            "stage 2 of {cpu} has no pages of 4 KiB (ID_AA64MMFR0_EL1.TGran4_2)",
            "Use another CPU: this version builds its tables of 4-KiB pages only.",
        ),
        Requirement::PlainMemory => (
            "memory is not encrypted",
            "memory encryption is active on {cpu} (read {read})",
            "Mercury cannot run inside a confidential guest (Realm).",
        ),
        Requirement::Supported => (
            "the CPU is of a kind that Mercury knows",
            "EL2 of {cpu} knows only VHE (ID_AA64MMFR4_EL1.E2H0={read})",
            "This version needs a CPU on which HCR_EL2.E2H can be 0.",
        ),
        _ => return None,
    })
}
