// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's decisions about a CPU, with values that no machine at hand
//! produces: for each refusal, what was read, the requirement, the errno.

use mercury_host_tests::preflight::Facts;
use mercury_host_tests::preflight::refusals;
use mercury_host_tests::preflight::rules;

const EXTENSION: u32 = 1;
const ENABLED: u32 = 2;
const FREE: u32 = 3;
const STAGE2: u32 = 4;
const PLAIN_MEMORY: u32 = 5;
const ENODEV: i32 = 19;
const EBUSY: i32 = 16;
const EOPNOTSUPP: i32 = 95;

/// What QEMU's CPU gives.
const FIT: Facts = Facts {
    cpuid_extension: 0x77,
    cpuid_stage2: 0x1001_0001,
    vm_cr: 0,
    efer: 0xd01,
    sev_status: 0,
    syscfg: 0,
    host_encryption: 0,
    cr4: 0x7_70f0,
    s_cet: 0,
    address_bits: 40,
    huge_leaves: 1,
    broadcast_flush: 0,
};

/// The requirement of this name in the public header.
fn requirement(name: &str) -> u32 {
    mercury_device::abi::constants()
        .into_iter()
        .find(|(constant, _)| *constant == format!("MERCURY_REQUIREMENT_{name}"))
        .map(|(_, value)| value)
        .unwrap()
}

/// A change, the value it is about, and which requirement refuses it how.
type Row = (&'static str, fn(&mut Facts), u64, u32, i32);

fn table() -> Vec<Row> {
    vec![
        (
            "no SVM",
            |f| f.cpuid_extension = 0x73,
            0x73,
            EXTENSION,
            ENODEV,
        ),
        (
            "disabled in VM_CR",
            |f| f.vm_cr = 0x18,
            0x18,
            ENABLED,
            ENODEV,
        ),
        (
            "no nested paging",
            |f| f.cpuid_stage2 = 0x1001_0000,
            0x1001_0000,
            STAGE2,
            ENODEV,
        ),
        (
            "broadcast flushes",
            |f| f.broadcast_flush = 1,
            1,
            requirement("SUPPORTED"),
            EOPNOTSUPP,
        ),
        (
            "SEV guest",
            |f| f.sev_status = 1,
            1,
            PLAIN_MEMORY,
            EOPNOTSUPP,
        ),
        (
            "SEV-ES alone",
            |f| f.sev_status = 2,
            2,
            PLAIN_MEMORY,
            EOPNOTSUPP,
        ),
        (
            "SEV-SNP alone",
            |f| f.sev_status = 4,
            4,
            PLAIN_MEMORY,
            EOPNOTSUPP,
        ),
        (
            "SNP host",
            |f| f.syscfg = 1 << 24,
            1 << 24,
            PLAIN_MEMORY,
            EOPNOTSUPP,
        ),
        (
            "SME",
            |f| f.host_encryption = 1,
            1,
            PLAIN_MEMORY,
            EOPNOTSUPP,
        ),
        (
            "FRED",
            |f| f.cr4 |= 1 << 32,
            0x1_0007_70f0,
            requirement("SUPPORTED"),
            EOPNOTSUPP,
        ),
        (
            "shadow stacks",
            |f| f.s_cet = 1,
            1,
            requirement("SUPPORTED"),
            EOPNOTSUPP,
        ),
        ("SVME set", |f| f.efer |= 1 << 12, 0x1d01, FREE, EBUSY),
    ]
}

#[test]
fn a_fit_cpu_is_taken() {
    assert_eq!(refusals(&FIT, 0), []);
}

#[test]
fn every_refusal_names_its_requirement_and_errno() {
    for (name, change, read, requirement, error) in table() {
        let mut facts = FIT;
        change(&mut facts);
        let found = refusals(&facts, 3);
        let [refusal] = &found[..] else {
            panic!("{name}: {found:?}");
        };
        let expected = (requirement, error, read);
        assert_eq!(
            (refusal.requirement, refusal.error, refusal.read),
            expected,
            "{name}"
        );
        assert!(!refusal.what.is_empty());
    }
}

/// Every rule of the module refuses something in the table.
#[test]
fn no_rule_is_left_out() {
    let mut said: Vec<String> = Vec::new();
    for (_, change, ..) in table() {
        let mut facts = FIT;
        change(&mut facts);
        said.extend(refusals(&facts, 0).into_iter().map(|one| one.what));
    }
    said.sort();
    said.dedup();
    assert_eq!(said.len(), rules() as usize, "{said:#?}");
}

#[test]
fn the_numbers_here_are_the_headers() {
    let numbers = ["EXTENSION", "ENABLED", "FREE", "STAGE2", "PLAIN_MEMORY"].map(requirement);
    assert_eq!(numbers, [EXTENSION, ENABLED, FREE, STAGE2, PLAIN_MEMORY]);
}

/// A CPU without the extension is refused for that first, whatever else is
/// read where its registers are not.
#[test]
fn what_is_missing_comes_first() {
    let mut facts = FIT;
    facts.cpuid_extension = 0;
    facts.cpuid_stage2 = 0;
    facts.vm_cr = 0x10;
    facts.efer |= 1 << 12;
    let order: Vec<u32> = refusals(&facts, 0)
        .iter()
        .map(|one| one.requirement)
        .collect();
    assert_eq!(order, [EXTENSION, ENABLED, STAGE2, FREE]);
}

/// Bits that say nothing about the refusals change nothing.
#[test]
fn other_bits_do_not_matter() {
    let mut facts = FIT;
    facts.cpuid_extension = !0;
    facts.cpuid_stage2 = !0;
    facts.vm_cr = !(1 << 4);
    facts.efer = !(1 << 12);
    facts.sev_status = !7;
    facts.syscfg = !(1 << 24);
    facts.cr4 = !(1 << 32);
    facts.s_cet = !1;
    assert_eq!(refusals(&facts, 0), []);
}
