// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's decisions about a CPU (`preflight.h`), called from Rust.
#![expect(unsafe_code, reason = "calls C")]

use core::ffi::CStr;
use core::ffi::c_char;
use core::mem::MaybeUninit;

use mercury_device::abi;

/// `struct mercury_facts`: what was read on a CPU.
#[expect(
    missing_docs,
    reason = "the names are the header's, which explains them"
)]
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Facts {
    pub cpuid_extension: u64,
    pub cpuid_stage2: u64,
    pub vm_cr: u64,
    pub efer: u64,
    pub sev_status: u64,
    pub syscfg: u64,
    pub host_encryption: u64,
    pub cr4: u64,
    pub s_cet: u64,
    pub address_bits: u64,
    pub huge_leaves: u64,
    pub broadcast_flush: u64,
}

#[repr(C)]
struct Rule {
    requirement: u32,
    error: i32,
    fact: u32,
    mask: u64,
    expected: u64,
    what: *const c_char,
}

// SAFETY: as in c/shim.c, which the same build compiles; the verdict's mirror
// is held to the header by `abi_agreement`.
unsafe extern "C" {
    safe fn shim_rule_count() -> u32;
    safe fn shim_fact_count() -> u32;
    fn shim_rule(number: u32) -> *const Rule;
    fn shim_judge(rule: *const Rule, facts: *const Facts, cpu: i32, verdict: *mut abi::Verdict);
}

/// A rule that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `enum mercury_requirement`.
    pub requirement: u32,
    /// Positive errno.
    pub error: i32,
    /// The value that was read.
    pub read: u64,
    /// What was looked at, for the user.
    pub what: String,
}

/// How many rules there are.
#[must_use]
pub fn rules() -> u32 {
    shim_rule_count()
}

/// Applies every rule to what was read on `cpu`: those that were not met, in
/// their order.
///
/// # Panics
/// If the mirror of the facts has another length than the header's, or a
/// verdict contradicts itself.
#[must_use]
pub fn refusals(facts: &Facts, cpu: i32) -> Vec<Refusal> {
    assert_eq!(shim_fact_count() as usize, size_of::<Facts>() / 8);
    let mut refusals = Vec::new();
    for number in 0..rules() {
        // SAFETY: the number is below the count.
        let rule = unsafe { shim_rule(number) };
        let mut verdict = MaybeUninit::uninit();
        // SAFETY: the rule is static, the other two live until it returns.
        unsafe { shim_judge(rule, facts, cpu, verdict.as_mut_ptr()) };
        // SAFETY: the shim stores a whole structure, and any bits are one.
        let verdict: abi::Verdict = unsafe { verdict.assume_init() };
        // SAFETY: static.
        let rule = unsafe { &*rule };
        assert_eq!(verdict.requirement, rule.requirement);
        assert_eq!(verdict.cpu, cpu);
        assert_eq!((verdict.mask, verdict.expected), (rule.mask, rule.expected));
        let met = verdict.read & verdict.mask == verdict.expected;
        assert_eq!(verdict.error, if met { 0 } else { rule.error });
        if met {
            continue;
        }
        // SAFETY: a string literal.
        let what = unsafe { CStr::from_ptr(rule.what) };
        refusals.push(Refusal {
            requirement: verdict.requirement,
            error: verdict.error,
            read: verdict.read,
            what: what.to_str().expect("a sentence").to_owned(),
        });
    }
    refusals
}
