// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: DR0 watches writes, DR1 execution, DR6 says which it was.

use super::{Hit, places};
use anyhow::{Context, Result, bail};
use core::mem::offset_of;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// DR0: writes of 8 bytes; DR1: execution. Both local, DR7 as the APM has it.
const CONTROL: u64 = 1 | 1 << 2 | 0b01 << 16 | 0b10 << 18;

fn debug_register(number: usize) -> *mut libc::c_void {
    (offset_of!(libc::user, u_debugreg) + 8 * number) as *mut libc::c_void
}

fn write_register(child: Pid, number: usize, value: u64) -> Result<()> {
    ptrace::write_user(child, debug_register(number), value as libc::c_long)
        .with_context(|| format!("writing DR{number} of the child"))
}

/// Sets both.
pub(super) fn set(child: Pid) -> Result<()> {
    let (word, function) = places();
    write_register(child, 0, word)?;
    write_register(child, 1, function)?;
    write_register(child, 7, CONTROL)
}

/// Which one it was.
pub(super) fn taken(child: Pid) -> Result<Hit> {
    let status = ptrace::read_user(child, debug_register(6)).context("reading DR6")? as u64;
    write_register(child, 6, 0)?;
    match status & 3 {
        1 => Ok(Hit::Write),
        2 => Ok(Hit::Run),
        _ => bail!("a trap that is no one breakpoint: DR6 {status:#x}"),
    }
}
