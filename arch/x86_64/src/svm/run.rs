// SPDX-License-Identifier: MIT OR Apache-2.0
//! The world switch (APM 15.5, 15.6).
//!
//! VMRUN and the exit exchange what the control block's save area holds and the
//! host save area keeps. What they leave out, FS, GS, TR, LDTR and the system
//! call registers, is exchanged here on both sides, so that the image always
//! runs with its own TSS (and so has a stack for a double fault) and the
//! guest's values are in its control block when an exit is looked at. Exits are
//! rare; the four instructions do not matter. Vector registers are neither
//! saved nor used.
#![expect(unsafe_code, reason = "the world switch is assembly")]

#[cfg(target_os = "none")]
use core::arch::global_asm;

#[cfg(target_os = "none")]
use crate::area::REGISTERS_OFFSET;
#[cfg(target_os = "none")]
use crate::switch::load_guest;
#[cfg(target_os = "none")]
use crate::switch::pop_kept_and_return;
#[cfg(target_os = "none")]
use crate::switch::push_kept;
#[cfg(target_os = "none")]
use crate::switch::store_guest;

unsafe extern "C" {
    /// Runs the guest until it exits.
    fn mercury_svm_run(area: *mut u8, guest: u64, host: u64);
}

/// Runs the guest until it exits.
///
/// # Safety
/// `area` is the virtual address of this CPU's area; `guest` and `host` are the
/// physical addresses of its control blocks, filled in; the global interrupt
/// flag is clear; VM_HSAVE_PA names this CPU's save area.
pub unsafe fn run(area: *mut u8, guest: u64, host: u64) {
    // SAFETY: the caller vouches for all of it.
    unsafe { mercury_svm_run(area, guest, host) }
}

#[cfg(target_os = "none")]
global_asm!(
    ".global mercury_svm_run",
    "mercury_svm_run:",
    push_kept!(),
    "   push rdi",
    "   push rdx",
    "   push rsi",
    "   mov rax, rsi",
    "   vmload rax",
    load_guest!(),
    "   vmrun rax",
    // RAX and RSP are ours again, all else is still the guest's.
    "   mov rax, [rsp + 16]",
    store_guest!(),
    "   pop rax",
    "   vmsave rax",
    "   pop rax",
    "   vmload rax",
    "   pop rdi",
    pop_kept_and_return!(),
    registers = const REGISTERS_OFFSET,
);
