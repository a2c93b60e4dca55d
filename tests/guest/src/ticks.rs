// SPDX-License-Identifier: MIT OR Apache-2.0
//! The counter that the module takes its samples from, as user mode reads it:
//! x86's time-stamp counter, ARM64's CNTVCT_EL0. So what happens here can be
//! held against when a switch was.
#![expect(
    unsafe_code,
    reason = "reading the counter is an intrinsic or assembly"
)]

/// Now, in order with what stands before and behind it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn now() -> u64 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: SSE2 is part of x86-64; orders the two readings around it.
    unsafe { _mm_lfence() };
    // SAFETY: Linux lets user mode read the counter.
    unsafe { _rdtsc() }
}

/// Now, in order with what stands before and behind it.
#[cfg(target_arch = "aarch64")]
pub(crate) fn now() -> u64 {
    let value;
    // SAFETY: Linux lets user mode read the counter.
    unsafe { core::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) value, options(nostack)) };
    value
}
