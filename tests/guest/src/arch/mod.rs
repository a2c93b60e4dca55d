// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the judge must know of the architecture it runs on, where a whole file
//! for it would be too much. The suites that differ as a whole have a folder
//! with one file for each (`suite/hole`, `suite/instructions`, ...).

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{
    CPU_POINTS, HOSTILE_ACTS, KVM_BELIEVES, OTHER_NAME, STATES, VIEW, VIEW_ATTACHED,
    WORKERS_BESIDE_MUTANTS, exits_when_idle, kvm_modules, kvm_warns, may_lose_nmis,
    mutants_of_others, no_register_faults, plant, processor, sound, view, without_task,
};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{
    Backend, CPU_POINTS, HOSTILE_ACTS, KVM_BELIEVES, OTHER_NAME, STATES, VIEW, VIEW_ATTACHED,
    WORKERS_BESIDE_MUTANTS, backend, exits_when_idle, kvm_modules, kvm_warns, may_lose_nmis,
    mutants_of_others, no_register_faults, plant, processor, sound, view, without_task,
};

/// A field of the first CPU's in /proc/cpuinfo.
fn cpuinfo(table: &str, name: &str) -> String {
    table
        .lines()
        .find(|line| line.starts_with(name))
        .and_then(|line| line.split_once(':'))
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}
