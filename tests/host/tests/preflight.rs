// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's decisions about a CPU, with values that no machine at hand
//! produces: for each refusal, what was read, the requirement, the errno.

use mercury_host_tests::preflight::Backend;
use mercury_host_tests::preflight::Facts;

const ENODEV: i32 = 19;
const EBUSY: i32 = 16;
const EOPNOTSUPP: i32 = 95;

/// What QEMU's `max` gives.
fn svm() -> Facts {
    Backend::Svm.facts(&[
        ("cpuid_extension", 0x77),
        ("cpuid_stage2", 0x1001_0001),
        ("efer", 0xd01),
        ("cr4", 0x7_70f0),
        ("address_bits", 40),
        ("huge_leaves", 1),
    ])
}

/// What Bochs' Skylake-X gives.
fn vmx() -> Facts {
    Backend::Vmx.facts(&[
        ("cpuid_vmx", 0x20),
        ("feature_control", 5),
        ("vmx_basic", 1 << 55),
        ("vmx_secondary", 1 << 33 | 1 << 39),
        ("ept_capability", 0x0f01_0633_4141 | 0x0211_4040),
        ("cr4", 0x1_70f0 & !(1 << 13)),
        ("huge_leaves", 1),
    ])
}

/// What QEMU's Cortex-A72 gives.
fn el2() -> Facts {
    Backend::El2.facts(&[
        ("has_el2", 1),
        ("current_el", 1),
        ("stub", 0xbad_ca11),
        ("stage2_granule", 1),
        ("address_bits", 44),
        ("huge_leaves", 1),
    ])
}

/// The requirement of this name in the public header.
fn requirement(name: &str) -> u32 {
    mercury_device::abi::constants()
        .into_iter()
        .find(|(constant, _)| *constant == format!("MERCURY_REQUIREMENT_{name}"))
        .map(|(_, value)| value)
        .unwrap()
}

/// What it is, the fact that is changed and its value, and which requirement
/// refuses it how.
type Row = (&'static str, &'static str, u64, &'static str, i32);

const SVM: &[Row] = &[
    ("no SVM", "cpuid_extension", 0x73, "EXTENSION", ENODEV),
    ("disabled in VM_CR", "vm_cr", 0x18, "ENABLED", ENODEV),
    (
        "no nested paging",
        "cpuid_stage2",
        0x1001_0000,
        "STAGE2",
        ENODEV,
    ),
    (
        "broadcast flushes",
        "broadcast_flush",
        1,
        "SUPPORTED",
        EOPNOTSUPP,
    ),
    ("SEV guest", "sev_status", 1, "PLAIN_MEMORY", EOPNOTSUPP),
    ("SEV-ES alone", "sev_status", 2, "PLAIN_MEMORY", EOPNOTSUPP),
    ("SEV-SNP alone", "sev_status", 4, "PLAIN_MEMORY", EOPNOTSUPP),
    ("SNP host", "syscfg", 1 << 24, "PLAIN_MEMORY", EOPNOTSUPP),
    ("SME", "host_encryption", 1, "PLAIN_MEMORY", EOPNOTSUPP),
    ("FRED", "cr4", 0x1_0007_70f0, "SUPPORTED", EOPNOTSUPP),
    ("shadow stacks", "s_cet", 1, "SUPPORTED", EOPNOTSUPP),
    ("SVME set", "efer", 0x1d01, "FREE", EBUSY),
];

const VMX: &[Row] = &[
    ("no VMX", "cpuid_vmx", 0, "EXTENSION", ENODEV),
    (
        "locked without VMX",
        "feature_control",
        1,
        "ENABLED",
        ENODEV,
    ),
    ("not in SMX only", "feature_control", 3, "ENABLED", ENODEV),
    ("no EPT", "vmx_secondary", 1 << 39, "STAGE2", ENODEV),
    (
        "EPT of 5 levels only",
        "ept_capability",
        0x0211_4080,
        "STAGE2",
        ENODEV,
    ),
    (
        "no unrestricted guest",
        "vmx_secondary",
        1 << 33,
        "SUPPORTED",
        EOPNOTSUPP,
    ),
    ("no TRUE controls", "vmx_basic", 0, "SUPPORTED", EOPNOTSUPP),
    (
        "TDX guest",
        "host_encryption",
        1,
        "PLAIN_MEMORY",
        EOPNOTSUPP,
    ),
    ("FRED", "cr4", 1 << 32, "SUPPORTED", EOPNOTSUPP),
    ("shadow stacks", "s_cet", 1, "SUPPORTED", EOPNOTSUPP),
    ("Intel PT runs", "tracing", 1, "SUPPORTED", EOPNOTSUPP),
    ("VMXE set", "cr4", 1 << 13, "FREE", EBUSY),
];

const EL2: &[Row] = &[
    ("no EL2", "has_el2", 0, "EXTENSION", ENODEV),
    ("VHE", "current_el", 2, "ENABLED", ENODEV),
    (
        "no 4-KiB pages at stage 2",
        "stage2_granule",
        0,
        "STAGE2",
        ENODEV,
    ),
    ("nothing but VHE", "host_only", 0xf, "SUPPORTED", EOPNOTSUPP),
    ("pKVM", "stub", u64::MAX, "FREE", EBUSY),
    ("somebody's SMCCC", "stub", 0xffff_ffff, "FREE", EBUSY),
];

fn machines() -> [(Facts, &'static [Row], Backend); 3] {
    [
        (svm(), SVM, Backend::Svm),
        (vmx(), VMX, Backend::Vmx),
        (el2(), EL2, Backend::El2),
    ]
}

#[test]
fn a_fit_cpu_is_taken() {
    for (fit, ..) in machines() {
        assert_eq!(fit.refusals(0), []);
    }
}

#[test]
fn every_refusal_names_its_requirement_and_errno() {
    for (fit, table, _) in machines() {
        for (name, fact, read, holds, error) in table {
            let mut facts = fit.clone();
            facts.set(fact, *read);
            let found = facts.refusals(3);
            let [refusal] = &found[..] else {
                panic!("{name}: {found:?}");
            };
            let expected = (requirement(holds), *error, *read);
            assert_eq!(
                (refusal.requirement, refusal.error, refusal.read),
                expected,
                "{name}"
            );
            assert!(!refusal.what.is_empty());
        }
    }
}

/// Every rule of the module refuses something in the table.
#[test]
fn no_rule_is_left_out() {
    for (fit, table, backend) in machines() {
        let mut said: Vec<String> = Vec::new();
        for (_, fact, read, ..) in table {
            let mut facts = fit.clone();
            facts.set(fact, *read);
            said.extend(facts.refusals(0).into_iter().map(|one| one.what));
        }
        said.sort();
        said.dedup();
        assert_eq!(said.len(), backend.rules() as usize, "{said:#?}");
    }
}

/// A CPU without the extension is refused for that first, whatever else is
/// read where its registers are not.
#[test]
fn what_is_missing_comes_first() {
    let mut facts = svm();
    for (fact, value) in [
        ("cpuid_extension", 0),
        ("cpuid_stage2", 0),
        ("vm_cr", 0x10),
        ("efer", 1 << 12),
    ] {
        facts.set(fact, value);
    }
    let order: Vec<u32> = facts
        .refusals(0)
        .iter()
        .map(|one| one.requirement)
        .collect();
    assert_eq!(
        order,
        ["EXTENSION", "ENABLED", "STAGE2", "FREE"].map(requirement)
    );
    let none = Backend::El2.facts(&[("current_el", 1)]);
    assert_eq!(none.refusals(0)[0].requirement, requirement("EXTENSION"));
}

/// Bits that say nothing about the refusals change nothing.
#[test]
fn other_bits_do_not_matter() {
    let mut facts = svm();
    for (fact, value) in [
        ("cpuid_extension", !0),
        ("cpuid_stage2", !0),
        ("vm_cr", !(1 << 4)),
        ("efer", !(1 << 12)),
        ("sev_status", !7),
        ("syscfg", !(1 << 24)),
        ("cr4", !(1 << 32)),
        ("s_cet", !1),
    ] {
        facts.set(fact, value);
    }
    assert_eq!(facts.refusals(0), []);
}
