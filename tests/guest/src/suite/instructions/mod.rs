// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest must not do, done, and what it must see, looked at: the
//! instructions by which a kernel, or a program, could reach the hypervisor or
//! take its place. They are the architecture's.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{from_user_mode, keeps_vectors, run};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{from_user_mode, keeps_vectors, run};

use crate::machine;
use anyhow::{Result, ensure};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Upper half of the number of Mercury's own hypercalls, and how many to try.
const CALL_BASE: u64 = 0x4d45_5243_0000_0000;
const CALLS: u64 = 16;

/// Hypercalls from user mode on a CPU: each must end its process with SIGILL.
fn user_calls(cpu: u32) -> Result<()> {
    machine::pin(cpu)?;
    for number in (0..=CALLS).map(|call| CALL_BASE | call).chain([0, 0x1234]) {
        let output = Command::new("/proc/self/exe")
            .args(["user-hypercall", &number.to_string()])
            .output()?;
        ensure!(
            output.status.signal() == Some(libc::SIGILL),
            "hypercall {number:#x} from user mode on CPU {cpu} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stdout).trim()
        );
    }
    machine::unpin()
}
