// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86: one HLT in real mode.

use super::call;
use anyhow::{Context, Result};
use std::os::fd::OwnedFd;

const GET_SREGS: libc::Ioctl = 0x8138_ae83_u32 as libc::Ioctl;
const SET_SREGS: libc::Ioctl = 0x4138_ae84;
const SET_REGS: libc::Ioctl = 0x4090_ae82;
const SREGS_BYTES: usize = 0x138;

/// HLT.
pub(super) const CODE: [u8; 1] = [0xf4];
/// KVM_EXIT_HLT.
pub(super) const EXIT: u32 = 5;

/// CS and RIP at 0; the rest as after a reset.
pub(super) fn begin_at_zero(_: &OwnedFd, cpu: &OwnedFd) -> Result<()> {
    let mut special = [0u8; SREGS_BYTES];
    call(cpu, GET_SREGS, special.as_mut_ptr() as u64).context("KVM_GET_SREGS")?;
    // CS comes first: its base and, at 12, its selector become 0.
    special[0..8].fill(0);
    special[12..14].fill(0);
    call(cpu, SET_SREGS, special.as_ptr() as u64).context("KVM_SET_SREGS")?;
    let mut registers = [0u64; 18];
    registers[17] = 2; // RFLAGS; RIP, before it, is 0
    call(cpu, SET_REGS, registers.as_ptr() as u64).context("KVM_SET_REGS")?;
    Ok(())
}
