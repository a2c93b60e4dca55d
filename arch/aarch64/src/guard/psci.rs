// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware that switches CPUs off (Arm DEN0022).
//!
//! Asked by SMC, which EL2 may always do: HCR_EL2.TSC stands for EL1 alone.
#![cfg_attr(
    target_arch = "aarch64",
    expect(unsafe_code, reason = "asks the firmware")
)]

/// CPU_OFF.
const OFF: u64 = 0x8400_0002;
/// AFFINITY_INFO, of 64 bits.
const AFFINITY: u64 = 0xc400_0004;
/// Its answer of a CPU that is off.
const IS_OFF: u64 = 1;

fn ask(function: u64, argument: u64) -> u64 {
    #[cfg(target_arch = "aarch64")]
    {
        let mut answer = function;
        // SAFETY: the firmware keeps what its calling convention says (Arm DEN0028): X18
        // to X30; everything else is given up here.
        unsafe {
            core::arch::asm!(
                "smc #0",
                inout("x0") answer,
                inout("x1") argument => _,
                inout("x2") 0_u64 => _,
                inout("x3") 0_u64 => _,
                out("x4") _, out("x5") _, out("x6") _, out("x7") _,
                out("x8") _, out("x9") _, out("x10") _, out("x11") _,
                out("x12") _, out("x13") _, out("x14") _, out("x15") _,
                out("x16") _, out("x17") _,
                options(nostack)
            );
        }
        answer
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        let _ = (function, argument);
        u64::MAX
    }
}

/// Switches this CPU off. Comes back if the firmware did not want to.
pub fn switch_off() {
    ask(OFF, 0);
}

/// Whether a CPU is off, by its MPIDR_EL1.
#[must_use]
pub fn is_off(affinity: u64) -> bool {
    ask(AFFINITY, affinity & AFFINITIES) == IS_OFF
}

/// The affinity fields of MPIDR_EL1.
pub const AFFINITIES: u64 = 0xff_00ff_ffff;
