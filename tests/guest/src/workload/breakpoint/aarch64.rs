// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: one hardware watchpoint, one hardware breakpoint, in the register
//! sets NT_ARM_HW_WATCH and NT_ARM_HW_BREAK. Both trap before the instruction
//! is executed, and Linux leaves it to the debugger to get past it: switched
//! off, one step, on again.
#![expect(
    unsafe_code,
    reason = "register sets and signal details are raw memory"
)]

use super::{Hit, places};
use anyhow::{Context, Result, bail};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::Error;

const NT_ARM_HW_BREAK: libc::c_int = 0x402;
const NT_ARM_HW_WATCH: libc::c_int = 0x403;
const ENABLED: u32 = 1;
const USER_MODE: u32 = 2 << 1;
const STORES: u32 = 2 << 3;
/// All four bytes of an instruction, all eight of the word.
const FOUR_BYTES: u32 = 0xf << 5;
const EIGHT_BYTES: u32 = 0xff << 5;

/// The first register of `struct user_hwdebug_state`; the others stay as they are.
#[repr(C)]
#[derive(Default)]
struct Registers {
    information: u32,
    padding: u32,
    address: u64,
    control: u32,
    padding_2: u32,
}

fn write_set(child: Pid, set: libc::c_int, address: u64, control: u32) -> Result<()> {
    let mut registers = Registers {
        address,
        control,
        ..Registers::default()
    };
    let vector = libc::iovec {
        iov_base: (&raw mut registers).cast(),
        iov_len: size_of::<Registers>(),
    };
    // SAFETY: the vector and what it points to live through the call.
    let failed = unsafe {
        libc::ptrace(
            libc::PTRACE_SETREGSET,
            child.as_raw(),
            set,
            &raw const vector,
        )
    };
    if failed != 0 {
        bail!(
            "setting the debug registers {set:#x} of the child: {}",
            Error::last_os_error()
        );
    }
    Ok(())
}

fn switch(child: Pid, on: u32) -> Result<()> {
    let (word, function) = places();
    write_set(
        child,
        NT_ARM_HW_WATCH,
        word,
        STORES | USER_MODE | EIGHT_BYTES | on,
    )?;
    write_set(
        child,
        NT_ARM_HW_BREAK,
        function,
        USER_MODE | FOUR_BYTES | on,
    )
}

/// Sets both.
pub(super) fn set(child: Pid) -> Result<()> {
    switch(child, ENABLED)
}

/// Which one it was, and past it.
pub(super) fn taken(child: Pid) -> Result<Hit> {
    let details = ptrace::getsiginfo(child).context("asking for the trap's address")?;
    // SAFETY: a trap of the debug hardware comes with an address.
    let address = unsafe { details.si_addr() } as u64;
    let (word, function) = places();
    let hit = if details.si_code == libc::TRAP_HWBKPT && address == word {
        Hit::Write
    } else if details.si_code == libc::TRAP_HWBKPT && address == function {
        Hit::Run
    } else {
        bail!(
            "a trap that is no breakpoint: code {} at {address:#x}; watched are {word:#x} and {function:#x}",
            details.si_code
        );
    };
    switch(child, 0)?;
    ptrace::step(child, None).context("stepping the child")?;
    match waitpid(child, None)? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => switch(child, ENABLED)?,
        other => bail!("after one step the child came back with {other:?}"),
    }
    Ok(hit)
}
