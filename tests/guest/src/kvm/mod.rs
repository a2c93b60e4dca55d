// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM, the other user of the virtualization extension: a machine of one CPU
//! that executes one or two instructions and comes out as it must. Enough to
//! see whether KVM has the CPU.
#![expect(unsafe_code, reason = "KVM's interface is ioctl and mmap")]

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

use anyhow::{Context, Result, ensure};
use std::fs::{File, OpenOptions};
use std::io::{Error, Result as IoResult};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;

const CREATE_VM: libc::Ioctl = 0xae01;
const GET_VCPU_MMAP_SIZE: libc::Ioctl = 0xae04;
const CREATE_VCPU: libc::Ioctl = 0xae41;
const SET_USER_MEMORY_REGION: libc::Ioctl = 0x4020_ae46;
const RUN: libc::Ioctl = 0xae80;
/// Where `exit_reason` stands in `struct kvm_run`.
const EXIT_REASON: usize = 8;
const GUEST_BYTES: usize = 4096;

/// Loads KVM if the kernel has it; whether /dev/kvm is there then.
pub(crate) fn load() -> bool {
    for module in crate::arch::kvm_modules().unwrap_or_default() {
        // Failure shows in the missing device.
        let _ = Command::new("modprobe").arg(module).status();
    }
    Path::new("/dev/kvm").exists()
}

/// A virtual machine of KVM's; while it lives KVM holds the extension.
#[derive(Debug)]
pub(crate) struct Machine {
    system: File,
    machine: OwnedFd,
}

fn call(file: &impl AsRawFd, number: libc::Ioctl, argument: u64) -> IoResult<i32> {
    // SAFETY: the callers pass what the number wants: a plain value or a
    // pointer to a live buffer of the size encoded in it.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), number, argument) };
    if result < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: just returned by an ioctl that makes a new descriptor.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A mapping; a mapped virtual CPU would keep its machine alive, so it ends.
struct Mapping {
    start: *mut u8,
    length: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and nobody keeps a pointer into it.
        let _ = unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

fn map(length: usize, flags: i32, descriptor: i32) -> Result<Mapping> {
    // SAFETY: a new mapping at an address of the kernel's choice.
    let memory = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            descriptor,
            0,
        )
    };
    ensure!(
        memory != libc::MAP_FAILED,
        "mmap: {}",
        Error::last_os_error()
    );
    Ok(Mapping {
        start: memory.cast(),
        length,
    })
}

impl Machine {
    /// KVM_CREATE_VM, with its own error for the caller to judge.
    pub(crate) fn create() -> Result<IoResult<Self>> {
        let system = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .context("opening /dev/kvm")?;
        Ok(call(&system, CREATE_VM, 0).map(|descriptor| Self {
            system,
            machine: owned(descriptor),
        }))
    }

    /// One virtual CPU executes the architecture's few instructions.
    pub(crate) fn run_guest(&self) -> Result<()> {
        let memory = map(GUEST_BYTES, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)?;
        // SAFETY: ours, and longer than the code.
        unsafe {
            memory
                .start
                .copy_from_nonoverlapping(arch::CODE.as_ptr(), arch::CODE.len());
        }
        // slot, flags, guest address, size, user address
        let region: [u64; 4] = [0, 0, GUEST_BYTES as u64, memory.start as u64];
        call(
            &self.machine,
            SET_USER_MEMORY_REGION,
            region.as_ptr() as u64,
        )
        .context("giving KVM memory")?;
        let cpu = owned(call(&self.machine, CREATE_VCPU, 0).context("KVM_CREATE_VCPU")?);
        let length = call(&self.system, GET_VCPU_MMAP_SIZE, 0)? as usize;
        let state = map(length, libc::MAP_SHARED, cpu.as_raw_fd())?;
        arch::begin_at_zero(&self.machine, &cpu)?;
        call(&cpu, RUN, 0).context("KVM_RUN")?;
        let reason = state.start.wrapping_add(EXIT_REASON).cast::<u32>();
        // SAFETY: within the mapping, aligned.
        let reason = unsafe { reason.read_volatile() };
        ensure!(
            reason == arch::EXIT,
            "KVM's guest came out with exit reason {reason} instead of {}",
            arch::EXIT
        );
        Ok(())
    }
}
