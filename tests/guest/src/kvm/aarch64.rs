// SPDX-License-Identifier: MIT OR Apache-2.0
//! ARM64: one store to an address where the machine has nothing.

use super::call;
use anyhow::{Context, Result};
use std::os::fd::OwnedFd;

const PREFERRED_TARGET: libc::Ioctl = 0x8020_aeaf_u32 as libc::Ioctl;
const VCPU_INIT: libc::Ioctl = 0x4020_aeae;
const SET_ONE_REG: libc::Ioctl = 0x4010_aeac;
/// KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE_REG(regs.pc)
const PROGRAM_COUNTER: u64 = 0x6030_0000_0010_0040;

/// `mov x0, #0x10000; str w1, [x0]`
pub(super) const CODE: [u8; 8] = [0x20, 0x00, 0xa0, 0xd2, 0x01, 0x00, 0x00, 0xb9];
/// KVM_EXIT_MMIO.
pub(super) const EXIT: u32 = 6;

/// PC at 0; the rest as after a reset.
pub(super) fn begin_at_zero(machine: &OwnedFd, cpu: &OwnedFd) -> Result<()> {
    // struct kvm_vcpu_init: target, features
    let mut target = [0u32; 8];
    call(machine, PREFERRED_TARGET, target.as_mut_ptr() as u64)
        .context("KVM_ARM_PREFERRED_TARGET")?;
    call(cpu, VCPU_INIT, target.as_ptr() as u64).context("KVM_ARM_VCPU_INIT")?;
    let zero = 0u64;
    let register = [PROGRAM_COUNTER, &raw const zero as u64];
    call(cpu, SET_ONE_REG, register.as_ptr() as u64).context("KVM_SET_ONE_REG")?;
    Ok(())
}
