// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an x86-64 CPU must be, in words.

use super::Sentences;
use mercury_device::Requirement;

/// The sentences of a requirement that is the CPU's.
pub(super) const fn of(requirement: Requirement) -> Option<Sentences> {
    Some(match requirement {
        Requirement::Extension => (
            "the CPU has a virtualization extension (AMD SVM, Intel VMX)",
            "{cpu} names no virtualization extension (SVM, VMX) in CPUID",
            "Use a CPU with AMD SVM or Intel VMX. In a virtual machine, let the outer hypervisor \
             pass it on (QEMU: -cpu with +svm,+npt or +vmx; KVM: kvm_amd or kvm_intel nested=1). \
             Some firmware hides it: look for \"SVM mode\" or \"Virtualization\" in its set-up.",
        ),
        Requirement::Enabled => (
            "the firmware left the extension usable",
            "the firmware disabled the extension of {cpu} (read {read}: VM_CR with SVMDIS, or FEATURE_CONTROL locked without VMX)",
            "Enable it (\"SVM mode\", \"VT-x\", \"Virtualization\") in the firmware set-up and start the \
             machine anew; no program can undo it later.",
        ),
        Requirement::Free => (
            "nobody else uses the extension",
            "KVM or another hypervisor holds the extension on {cpu} (read {read}: EFER.SVME or CR4.VMXE set)",
            "Stop all virtual machines and unload kvm_amd or kvm_intel (modprobe -r), or boot with \
             kvm.enable_virt_at_load=0, so that KVM takes it only while a machine runs.",
        ),
        Requirement::Stage2 => (
            "the CPU has nested paging",
            "{cpu} has no nested paging (NPT, EPT): read {read}",
            "Use a CPU with nested paging (AMD since 2007, Intel since 2008). In a virtual \
             machine, let the outer hypervisor pass it on (QEMU: -cpu with +npt, or +vmx-ept).",
        ),
        Requirement::PlainMemory => (
            "memory is not encrypted (no SEV guest, no SNP host, no SME)",
            "memory encryption is active on {cpu} (read {read})",
            "Boot with mem_encrypt=off and without SNP (firmware: SMEE, SNP off). Mercury cannot \
             run inside an SEV guest.",
        ),
        Requirement::Supported => (
            "the CPU's vendor and paging mode are ones that Mercury knows",
            "{cpu} is of a kind that Mercury does not know yet",
            "This version knows AMD SVM and Intel VMX with EPT, unrestricted guests and TRUE controls, on kernels without FRED and shadow stacks.",
        ),
        _ => return None,
    })
}
