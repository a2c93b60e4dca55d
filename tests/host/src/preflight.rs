// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's decisions about a CPU (`preflight.h` and each architecture's
//! `rules.h`), called from Rust.
//!
//! Facts are words, and their names are the module's own: tests name what they
//! change.
#![expect(unsafe_code, reason = "calls C")]

use core::ffi::CStr;
use core::ffi::c_char;
use core::mem::MaybeUninit;

use mercury_device::abi;

#[repr(C)]
struct Rule {
    requirement: u32,
    error: i32,
    fact: u32,
    mask: u64,
    expected: u64,
    what: *const c_char,
}

// SAFETY: as in c/preflight.c, which the same build compiles; the verdict's
// mirror is held to the header by `abi_agreement`.
unsafe extern "C" {
    safe fn x86_rule_count(backend: u32) -> u32;
    safe fn x86_fact_count() -> u32;
    fn x86_rule(backend: u32, number: u32) -> *const Rule;
    fn x86_fact_name(number: u32) -> *const c_char;
    fn x86_judge(rule: *const Rule, facts: *const u64, cpu: i32, verdict: *mut abi::Verdict);
    safe fn arm64_rule_count(backend: u32) -> u32;
    safe fn arm64_fact_count() -> u32;
    fn arm64_rule(backend: u32, number: u32) -> *const Rule;
    fn arm64_fact_name(number: u32) -> *const c_char;
    fn arm64_judge(rule: *const Rule, facts: *const u64, cpu: i32, verdict: *mut abi::Verdict);
}

/// The rules of one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// x86-64, AMD.
    Svm,
    /// x86-64, Intel.
    Vmx,
    /// ARM64.
    El2,
}

/// What was read on a CPU, by name.
#[derive(Clone, Debug)]
pub struct Facts {
    backend: Backend,
    values: Vec<u64>,
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

impl Backend {
    /// As its architecture counts, from 1.
    const fn number(self) -> u32 {
        match self {
            Self::Svm | Self::El2 => 1,
            Self::Vmx => 2,
        }
    }

    /// How many rules there are.
    #[must_use]
    pub fn rules(self) -> u32 {
        match self {
            Self::Svm | Self::Vmx => x86_rule_count(self.number()),
            Self::El2 => arm64_rule_count(self.number()),
        }
    }

    /// Facts with these values; the others are 0.
    #[must_use]
    pub fn facts(self, values: &[(&str, u64)]) -> Facts {
        let count = match self {
            Self::Svm | Self::Vmx => x86_fact_count(),
            Self::El2 => arm64_fact_count(),
        };
        let mut facts = Facts {
            backend: self,
            values: vec![0; count as usize],
        };
        for (name, value) in values {
            facts.set(name, *value);
        }
        facts
    }

    fn fact_name(self, number: u32) -> &'static str {
        let name = match self {
            // SAFETY: the number is below the count.
            Self::Svm | Self::Vmx => unsafe { x86_fact_name(number) },
            // SAFETY: as above.
            Self::El2 => unsafe { arm64_fact_name(number) },
        };
        // SAFETY: a string literal.
        let name = unsafe { CStr::from_ptr(name) };
        name.to_str().expect("a name")
    }
}

impl Facts {
    /// Changes one.
    ///
    /// # Panics
    /// If there is no fact of that name.
    pub fn set(&mut self, name: &str, value: u64) {
        let place = (0..self.values.len())
            .find(|place| self.backend.fact_name(*place as u32) == name)
            .unwrap_or_else(|| panic!("no fact is called {name}"));
        self.values[place] = value;
    }

    /// Applies every rule to what was read on `cpu`: those that were not met,
    /// in their order.
    ///
    /// # Panics
    /// If a verdict contradicts itself.
    #[must_use]
    pub fn refusals(&self, cpu: i32) -> Vec<Refusal> {
        (0..self.backend.rules())
            .filter_map(|number| self.refusal(number, cpu))
            .collect()
    }

    fn refusal(&self, number: u32, cpu: i32) -> Option<Refusal> {
        let facts = self.values.as_ptr();
        let mut verdict = MaybeUninit::uninit();
        let rule = match self.backend {
            // SAFETY: the number is below the count.
            Backend::Svm | Backend::Vmx => unsafe { x86_rule(self.backend.number(), number) },
            // SAFETY: as above.
            Backend::El2 => unsafe { arm64_rule(self.backend.number(), number) },
        };
        match self.backend {
            // SAFETY: the rule is static, the other two live until it returns;
            // there are as many words as the architecture has facts.
            Backend::Svm | Backend::Vmx => unsafe {
                x86_judge(rule, facts, cpu, verdict.as_mut_ptr())
            },
            // SAFETY: as above.
            Backend::El2 => unsafe { arm64_judge(rule, facts, cpu, verdict.as_mut_ptr()) },
        }
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
            return None;
        }
        // SAFETY: a string literal.
        let what = unsafe { CStr::from_ptr(rule.what) };
        Some(Refusal {
            requirement: verdict.requirement,
            error: verdict.error,
            read: verdict.read,
            what: what.to_str().expect("a sentence").to_owned(),
        })
    }
}
